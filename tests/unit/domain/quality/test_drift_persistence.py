"""What persists over days, and what chance explains: against counting by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.domain.quality.drift_persistence import (
    ALONE,
    SERIES_PERSISTS_BY_CHANCE,
    WITH_WITNESS,
    Scores,
    common_limit,
    common_scores,
    excess_over,
    persistent_level,
    series_needed,
    shared_scores,
    tail_probability,
)

_FINITE = st.floats(-9, 9)
_PANEL = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=_FINITE)


@given(_PANEL, st.integers(1, 6))
def test_level_is_reached_on_so_many_days(scores: Scores, days: int) -> None:
    for level, series in zip(persistent_level(scores, days), scores.T, strict=True):
        if level > 0:
            assert (series >= level).sum() >= days
        if level < 0:
            assert (series <= level).sum() >= days
        # Nothing further out is reached as often.
        assert (series > abs(level)).sum() < days
        assert (series < -abs(level)).sum() < days


def test_level_needs_the_same_side_and_ignores_absent_days() -> None:
    scores = np.array([[2.0, 2.0, 2.0], [-2.0, 2.0, np.nan], [2.0, 2.0, 2.0], [-2.0, 0.1, np.nan]])
    assert persistent_level(scores, 3).tolist() == [0.0, 2.0, 0.0]
    assert persistent_level(scores[:2], 3).tolist() == [0.0, 0.0, 0.0]


@given(_FINITE, _FINITE)
def test_accepted_levels_take_away_what_lies_between_them_and_zero(score: float, accepted: float) -> None:
    excess = float(excess_over(np.array([score]), accepted)[0])
    low, high = min(0.0, accepted), max(0.0, accepted)
    if low <= score <= high:
        assert excess == 0.0
    else:
        assert score - excess == pytest.approx(low if score < low else high)
        assert math.copysign(1.0, excess) == (-1.0 if score < low else 1.0)


def test_median_and_shared_movement() -> None:
    half_moved = np.array([[0.0, 0.0, 0.0, 3.0, 3.0, 3.0]])
    all_moved = np.array([[2.0, 2.2, 2.4, 2.6, 2.8, 3.0]])
    assert common_scores(half_moved).tolist() == [1.5]
    assert shared_scores(half_moved).tolist() == [0.0]
    assert 2.0 <= shared_scores(all_moved)[0] <= 2.5
    assert shared_scores(-all_moved)[0] == -shared_scores(all_moved)[0]


def test_days_without_scores_have_no_movement() -> None:
    scores = np.array([[np.nan, np.nan], [1.0, 3.0]])
    assert common_scores(scores).tolist() == [0.0, 2.0]
    assert shared_scores(scores)[0] == 0.0
    assert common_scores(scores[:0]).shape == shared_scores(scores[:0]).shape == (0,)


def test_limit_follows_history_and_never_falls_too_low() -> None:
    calm, restless = np.tile([0.05, -0.05], 100), np.tile([1.0, -1.0], 100)
    assert common_limit(np.array([]), ALONE.common_sds) == 1.75
    assert common_limit(calm, WITH_WITNESS.common_sds) == 0.75
    assert common_limit(restless, ALONE.common_sds) > 5.0
    with_one_event = np.concatenate([calm, [9.0]])
    assert common_limit(with_one_event, ALONE.common_sds) == pytest.approx(
        common_limit(calm, ALONE.common_sds), abs=0.05
    )


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.001, 0.5))
def test_tail_is_the_binomial_one(trials: int, least: int, probability: float) -> None:
    exact = sum(
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
        for k in range(least, trials + 1)
    )
    assert tail_probability(trials, least, probability) == pytest.approx(
        min(exact, 1.0), rel=1e-9, abs=1e-300
    )


@given(st.integers(1, 400), st.floats(0.05, 0.6))
def test_needed_series_are_above_the_share_and_beyond_chance(series: int, share: float) -> None:
    needed = series_needed(series, share, ALONE)
    assert needed > share * series
    assert needed >= series_needed(series, share, WITH_WITNESS)
    if needed <= series:
        assert tail_probability(series, needed, SERIES_PERSISTS_BY_CHANCE) <= ALONE.series_chance


def test_small_panels_need_most_of_their_series() -> None:
    assert [series_needed(series, 0.2, ALONE) for series in (1, 2, 6, 7, 50)] == [2, 3, 4, 4, 11]
    assert series_needed(6, 0.2, WITH_WITNESS) == 3
    needed = [series_needed(series, 0.2, ALONE) for series in range(3, 300)]
    assert all(after - before in (0, 1) for before, after in pairwise(needed))
