"""Importances before and after."""

from __future__ import annotations

import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.explanation import (
    ImportanceChange,
    compare_importances,
    normalise_importances,
)


def test_normalised_shares_are_sorted_and_sum_to_1() -> None:
    assert list(normalise_importances({"a": 1, "b": 3}).items()) == [("b", 0.75), ("a", 0.25)]
    assert normalise_importances({"a": 0.0}) == {"a": 0.0}
    with pytest.raises(LearningError, match=r"\['a'\] are unusable"):
        normalise_importances({"a": float("nan")})


def test_comparison_names_added_dropped_and_changed() -> None:
    change = compare_importances({"a": 5, "b": 4, "gone": 1}, {"a": 2, "b": 4, "new": 4})
    assert change.added == (ImportanceChange("new", 0.0, 0.4),)
    assert change.dropped == (ImportanceChange("gone", 0.1, 0.0),)
    assert change.changed == (ImportanceChange("a", 0.5, 0.2),)
