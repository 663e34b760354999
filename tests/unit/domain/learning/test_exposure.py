"""Which rows a model has seen."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.exposure import Exposure, exposure_to_keys, find_seen_rows
from tests.unit.domain.learning.samples import make_holdout

DAY = dt.date(2026, 3, 1)


@pytest.mark.parametrize(("through", "is_seen"), [(DAY, False), (DAY + dt.timedelta(days=1), True)])
def test_label_windows_open_after_their_as_of_day(through: dt.date, is_seen: bool) -> None:
    seen = find_seen_rows(Exposure(trained_through_day=through), make_holdout([0, 1], DAY))
    assert seen.tolist() == [is_seen] * 2


def test_keys_are_remembered_by_hash() -> None:
    assert find_seen_rows(exposure_to_keys(["s1", "s9"]), make_holdout([0, 1, 0])).tolist() == [
        False,
        True,
        False,
    ]


def test_unknown_exposure_is_refused() -> None:
    with pytest.raises(LearningError, match="exposure is not known"):
        Exposure()
    undated = replace(make_holdout([0, 1]), as_of=None)
    with pytest.raises(LearningError, match="cannot be told"):
        find_seen_rows(Exposure(trained_through_day=DAY), undated)
    assert find_seen_rows(exposure_to_keys([]), undated).dtype == np.bool_
