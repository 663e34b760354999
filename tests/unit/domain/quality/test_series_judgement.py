"""Judging a day: outside, removed, the common residual, and the words for what cannot be judged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.quality.drift_evidence import measure_deviations
from mlops_assets.domain.quality.kernel import build_kernel
from mlops_assets.domain.quality.log_scale import OFFSET
from mlops_assets.domain.quality.panel import Panel
from mlops_assets.domain.quality.series_judgement import (
    DayJudgement,
    DayRange,
    SeriesJudgement,
    judge_day,
    read_day_ranges,
)
from mlops_assets.domain.reporting.anomaly_report import build_series_lines
from tests.unit.domain.quality.kernel_samples import FIRST_DAY, ONE_DAY, make_panel, make_spec, with_series
from tests.unit.domain.reporting.sample_anomalies import has_word

DAY = FIRST_DAY
MEDIAN_MB, MID_Z, HALF, REMOVAL_HALF = 450.0, math.log(1.1), 0.2, 0.5


def to_mb(z: float) -> float:
    return MEDIAN_MB * max(0.0, math.exp(z) - OFFSET)


def make_range(series: str = "p", half: float = HALF, removal_half: float = REMOVAL_HALF) -> DayRange:
    return DayRange(
        series=series,
        status="ok",
        low_mb=to_mb(MID_Z - half),
        high_mb=to_mb(MID_Z + half),
        removal_low_mb=to_mb(MID_Z - removal_half),
        removal_high_mb=to_mb(MID_Z + removal_half),
        z_mid=MID_Z,
        median_mb=MEDIAN_MB,
    )


def without_range(status: str) -> DayRange:
    return DayRange("p", status, *(None,) * 6)


def judge_one(value_mb: float | None, one: DayRange | None = None) -> SeriesJudgement:
    (found,) = judge_day(DAY, [one or make_range()], {"p": value_mb}).series
    return found


def judge_many(moves: list[float], half: float = HALF) -> DayJudgement:
    """Judge series whose values lie so far from the middle on the log scale."""
    names = [f"s{number}" for number in range(len(moves))]
    values = {name: to_mb(MID_Z + move) for name, move in zip(names, moves, strict=True)}
    return judge_day(DAY, [make_range(name, half) for name in names], values)


@pytest.mark.parametrize(
    ("move", "is_outside", "is_removed", "reason"),
    [
        (0.0, False, False, ""),
        (0.19, False, False, ""),
        (0.3, True, False, "above_range"),
        (-0.3, True, False, "below_range"),
        (0.6, True, True, "above_range"),
        (-0.6, True, True, "below_range"),
        (4.0, True, True, "gigantic_value"),
    ],
)
def test_two_levels(move: float, is_outside: bool, is_removed: bool, reason: str) -> None:
    found = judge_one(to_mb(MID_Z + move))
    assert (found.is_outside, found.is_removed, found.reason) == (is_outside, is_removed, reason)
    assert found.residual_z == pytest.approx(move)


def test_sentence() -> None:
    one = replace(make_range(), low_mb=380.0, high_mb=525.0)
    assert judge_one(600.0, one).sentence == "Anomaly! => (380 <= 600 <= 525)"
    assert judge_one(400.0, one).sentence == ""
    assert judge_one(None, one).sentence == ""


def test_what_moves_everybody_removes_nobody() -> None:
    day = judge_many([0.7] * 6)
    assert day.outside_share == 1.0
    assert day.common_residual_z == pytest.approx(0.7)
    assert not any(one.is_removed for one in day.series)


def test_who_stays_where_all_others_move_is_inside_and_stays() -> None:
    day = judge_many([0.7] * 5 + [0.0])
    assert not day.series[-1].is_outside
    assert not day.series[-1].is_removed


def test_a_series_that_moves_more_than_all_is_removed() -> None:
    removed = [one.series for one in judge_many([0.3, 0.25, 0.35, 0.3, 0.3, 1.2]).series if one.is_removed]
    assert removed == ["s5"]


def test_few_series_are_judged_by_themselves() -> None:
    day = judge_many([0.7, 0.7])
    assert day.common_residual_z == 0.0
    assert all(one.is_removed for one in day.series)


@given(st.lists(st.floats(-2.2, 3.0), min_size=1, max_size=12), st.floats(0.05, 0.5))
def test_removed_values_are_outside(moves: list[float], half: float) -> None:
    day = judge_many(moves, half)
    assert all(one.is_outside for one in day.series if one.is_removed)
    assert day.outside_share == pytest.approx(np.mean([bool(one.is_outside) for one in day.series]))


def test_a_range_that_was_cut_at_zero_has_no_lower_end() -> None:
    cut = replace(make_range(), low_mb=10.0, removal_low_mb=0.0)
    found = judge_one(0.0, cut)
    assert (found.is_outside, found.is_removed) == (True, False)


@pytest.mark.parametrize(
    ("one", "value_mb", "reason"),
    [
        (without_range("short_history"), 5.0, "short_history"),
        (without_range("silent"), 5.0, "silent"),
        (without_range("ended"), 0.0, "ended"),
        (without_range("new"), 5.0, "new"),
        (make_range(), None, "missing_value"),
        (make_range(), math.nan, "missing_value"),
        (make_range(), -1.0, "negative"),
    ],
)
def test_what_cannot_be_judged(one: DayRange, value_mb: float | None, reason: str) -> None:
    found = judge_one(value_mb, one)
    assert (found.is_outside, found.is_removed, found.reason) == (None, False, reason)
    assert has_word(found.reason)
    assert has_word(found.status)


def test_a_missing_feed_is_neither_alarm_nor_pass() -> None:
    day = judge_day(DAY, [make_range()], None)
    assert day.outside_share is None
    assert [one.reason for one in day.series] == ["missing_feed"]


def test_series_that_no_kernel_knows() -> None:
    found = judge_day(DAY, [make_range()], {"p": MEDIAN_MB, "q": 3.0}).series
    assert [(one.series, one.reason, one.status) for one in found] == [("p", "", "ok"), ("q", "new", "new")]
    (alone,) = judge_day(DAY, [], {"q": 3.0}).series
    assert (alone.is_outside, alone.reason) == (None, "no_range")


def test_a_constant_series_is_outside_with_any_other_value() -> None:
    panel = with_series(make_panel(80), "flat", np.full(80, 0.3))
    day = panel.days[-1] + ONE_DAY
    ranges = read_day_ranges(build_kernel(panel, make_spec()).to_arrow(), day)
    values = dict(zip(panel.series, panel.values_mb[-7].tolist(), strict=True))
    same, other = (
        next(one for one in judge_day(day, ranges, {**values, "flat": value}).series if one.series == "flat")
        for value in (0.1 + 0.2, 0.31)
    )
    assert (same.is_outside, same.reason) == (False, "")
    assert (other.is_outside, other.is_removed, other.reason) == (True, False, "above_range")


def test_kernel_to_verdict_to_report() -> None:
    panel = make_panel(150)
    known = Panel(panel.days[:-1], panel.series, panel.values_mb[:-1])
    kernel, day = build_kernel(known, make_spec()).to_arrow(), panel.days[-1]
    values = dict(zip(panel.series, panel.values_mb[-1].tolist(), strict=True)) | {"plan_3": 1e6}
    judged = judge_day(day, read_day_ranges(kernel, day), values)
    assert [one.series for one in judged.series if one.is_removed] == ["plan_3"]
    rows = judged.to_arrow()
    assert rows.column_names == [
        "series", "target_day", "value_mb", "low_mb", "high_mb", "residual_z", "is_outside", "is_removed",
        "reason", "status",
    ]  # fmt: skip
    lines = {line.series: line for line in build_series_lines(rows, day=day, kernel=kernel)}
    assert lines["plan_3"].sentence == judged.series[3].sentence
    assert measure_deviations(rows.to_pylist())["plan_3"].is_outside


def test_days_beyond_the_kernel_have_no_ranges() -> None:
    panel = make_panel(80)
    kernel = build_kernel(panel, make_spec()).to_arrow()
    assert read_day_ranges(kernel, panel.days[-1]) == []
    assert len(read_day_ranges(kernel, panel.days[-1] + 30 * ONE_DAY)) == len(panel.series)
    assert read_day_ranges(kernel, panel.days[-1] + 31 * ONE_DAY) == []


def test_kernel_rows_that_cannot_be_used() -> None:
    panel = make_panel(80)
    kernel, day = build_kernel(panel, make_spec()).to_arrow(), panel.days[-1] + ONE_DAY
    with pytest.raises(TableInputError, match="z_mid"):
        read_day_ranges(kernel.drop_columns(["z_mid"]), day)
    with pytest.raises(TableInputError, match="two ranges"):
        read_day_ranges(pa.concat_tables([kernel, kernel]), day)
