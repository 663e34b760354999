"""Importances as shares of a model."""

from __future__ import annotations

import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.explanation import normalise_importances


def test_normalised_shares_are_sorted_and_sum_to_1() -> None:
    assert list(normalise_importances({"a": 1, "b": 3}).items()) == [("b", 0.75), ("a", 0.25)]
    assert normalise_importances({"a": 0.0}) == {"a": 0.0}
    with pytest.raises(LearningError, match=r"\['a'\] are unusable"):
        normalise_importances({"a": float("nan")})
