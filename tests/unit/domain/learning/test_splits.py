"""Time splits are purged, hash splits exact and stable."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.learning.spec import HashSplit, TimeSplit
from mlops_assets.domain.learning.splits import (
    first_trainable_day,
    hash_split,
    plan_time_split,
    usable_days,
)

FIRST = dt.date(2026, 1, 1)
time_splits = st.builds(
    lambda surplus, fewest, **counts: TimeSplit(
        train_as_ofs=fewest + surplus, train_as_ofs_min=fewest, **counts
    ),
    surplus=st.integers(0, 3),
    fewest=st.integers(1, 3),
    as_of_every_days=st.integers(1, 20),
    validation_as_ofs=st.integers(1, 4),
    holdout_as_ofs=st.integers(1, 4),
)


@given(time_splits, st.integers(1, 60), st.integers(0, 30), st.integers(0, 200))
def test_every_plan_is_purged_complete_and_inside_the_data(
    split: TimeSplit, horizon_days: int, min_history_days: int, extra_days: int
) -> None:
    ready = first_trainable_day(FIRST, horizon_days, split, min_history_days)
    last = ready + dt.timedelta(days=extra_days)
    plan = plan_time_split(FIRST, last, horizon_days, split, min_history_days)
    horizon = dt.timedelta(days=horizon_days)
    assert plan.train[-1] + horizon <= plan.validation[0]
    assert plan.validation[-1] + horizon == plan.trained_through_day <= plan.holdout[0]
    assert plan.holdout[-1] + horizon == last
    assert plan.train[0] >= FIRST + dt.timedelta(days=min_history_days)
    assert (len(plan.validation), len(plan.holdout)) == (split.validation_as_ofs, split.holdout_as_ofs)
    assert split.train_as_ofs_min <= len(plan.train) <= split.train_as_ofs
    assert list(plan.days) == sorted(set(plan.days))
    assert {plan.part_of(day) for day in plan.holdout} == {"holdout"}


@given(time_splits, st.integers(1, 60), st.integers(0, 30))
def test_the_day_before_the_first_trainable_one_is_refused(
    split: TimeSplit, horizon_days: int, min_history_days: int
) -> None:
    ready = first_trainable_day(FIRST, horizon_days, split, min_history_days)
    with pytest.raises(CorpusError, match=f"data through {ready}"):
        plan_time_split(FIRST, ready - dt.timedelta(days=1), horizon_days, split, min_history_days)


@given(time_splits, st.integers(1, 20), st.integers(0, 200), st.data())
def test_days_that_were_lost_are_passed_over(
    split: TimeSplit, horizon_days: int, extra_days: int, data: st.DataObject
) -> None:
    """No as-of day without features or with a hole in its label window is ever used."""
    last = first_trainable_day(FIRST, horizon_days, split, 0) + dt.timedelta(days=extra_days)
    every_day = [FIRST + dt.timedelta(days=n) for n in range((last - FIRST).days + 1)]
    lost = data.draw(st.sets(st.sampled_from(every_day), max_size=3))
    kept = [day for day in every_day if day not in lost]
    try:
        plan = plan_time_split(FIRST, last, horizon_days, split, 0, usable_days(kept, kept, horizon_days))
    except CorpusError:
        assert lost
        return
    needed = {day + dt.timedelta(days=n) for day in plan.days for n in range(horizon_days + 1)}
    assert not needed & lost
    assert plan.validation[-1] + dt.timedelta(days=horizon_days) <= plan.holdout[0]


def test_the_fewest_are_not_more_than_those_asked_for() -> None:
    with pytest.raises(ValueError, match="more than `train_as_ofs`"):
        TimeSplit(train_as_ofs=2, train_as_ofs_min=3)


def test_plan_of_eight_weeks() -> None:
    plan = plan_time_split(FIRST, FIRST + dt.timedelta(days=55), 7, TimeSplit(), 14)
    assert [str(day) for day in plan.days] == ["2026-01-28", "2026-02-04", "2026-02-11", "2026-02-18"]
    with pytest.raises(CorpusError, match="not an as-of day"):
        plan.part_of(FIRST)


hash_cases = st.tuples(
    st.lists(st.tuples(st.text(max_size=8), st.integers(0, 2)), max_size=120, unique_by=lambda row: row[0]),
    st.builds(
        HashSplit,
        validation_share=st.floats(0.05, 0.4),
        holdout_share=st.floats(0.05, 0.4),
        seed=st.integers(0, 9),
    ),
)


@given(hash_cases)
def test_hash_shares_are_exact_within_each_class(case: tuple[list[tuple[str, int]], HashSplit]) -> None:
    rows, split = case
    labels = np.array([label for _, label in rows], dtype=np.float64)
    parts = hash_split([key for key, _ in rows], labels, split)
    for label in set(labels.tolist()):
        count = int((labels == label).sum())
        for part, share in (("holdout", split.holdout_share), ("validation", split.validation_share)):
            assert abs(int(((parts == part) & (labels == label)).sum()) - count * share) <= 1


@given(hash_cases, st.integers(0, 1000))
def test_hash_split_does_not_depend_on_the_order_of_rows(
    case: tuple[list[tuple[str, int]], HashSplit], seed: int
) -> None:
    rows, split = case
    shuffled = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]

    def assign(given_rows: list[tuple[str, int]]) -> dict[str, str]:
        keys = [key for key, _ in given_rows]
        labels = np.array([label for _, label in given_rows], dtype=np.float64)
        return dict(zip(keys, hash_split(keys, labels, split).tolist(), strict=True))

    assert assign(rows) == assign(shuffled)


def test_hash_split_is_the_same_on_every_machine_and_differs_by_seed() -> None:
    keys, labels = [f"k{number}" for number in range(12)], np.zeros(12)
    parts = hash_split(keys, labels, HashSplit(validation_share=0.25, holdout_share=0.25))
    assert "".join(part[0] for part in parts) == "hvvhttttttvh"
    other = hash_split(keys, labels, HashSplit(validation_share=0.25, holdout_share=0.25, seed=1))
    assert parts.tolist() != other.tolist()


def test_continuous_labels_are_stratified_by_tenths() -> None:
    labels = np.arange(1000, dtype=np.float64)
    parts = hash_split([str(number) for number in range(1000)], labels, HashSplit())
    for start in range(0, 1000, 100):
        assert (parts[start : start + 100] == "holdout").sum() == 20


def test_hash_split_refuses_repeated_keys_and_empty_training() -> None:
    with pytest.raises(CorpusError, match="1 entity keys repeat"):
        hash_split(["a", "a"], np.zeros(2), HashSplit())
    with pytest.raises(CorpusError, match="no rows to train on"):
        hash_split(["a"], np.zeros(1), HashSplit(validation_share=0.5, holdout_share=0.5))
