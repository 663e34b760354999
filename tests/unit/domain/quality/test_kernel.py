"""The kernel: ranges, calibration against the past, and a word for every series that is special."""

from __future__ import annotations

import csv
import datetime as dt
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlops_assets.domain.errors import ConfigError, PlatformError, TableInputError
from mlops_assets.domain.quality.calibration import (
    calibrate,
    conformal_quantile,
    find_bucket,
    find_common_residual,
    gather_scores,
)
from mlops_assets.domain.quality.forecasters import ForecastCalendar
from mlops_assets.domain.quality.forecasters.protocol import FloatArray
from mlops_assets.domain.quality.holiday_calendar import find_holidays
from mlops_assets.domain.quality.kernel import Kernel, build_kernel, forecast_panel
from mlops_assets.domain.quality.log_scale import find_medians, to_mb, to_z
from mlops_assets.domain.quality.outliers import soften_outliers
from mlops_assets.domain.quality.panel import Panel, assemble_panel
from mlops_assets.domain.quality.series_status import clean_history
from mlops_assets.domain.quality.spec import ForecasterSpec, RangeSpec
from mlops_assets.domain.quality.stored_forecasts import DayForecast, StoredForecasts
from tests.unit.domain.quality.kernel_samples import (
    FIRST_DAY,
    ONE_DAY,
    make_days,
    make_panel,
    make_spec,
    make_values,
    with_series,
)
from tests.unit.domain.reporting.sample_anomalies import has_word

SPEC = make_spec()
HORIZON = SPEC.forecast.horizon_days
DAYS = 80


def status_of(values: FloatArray, **more: int) -> tuple[str, Kernel]:
    """Return the word for a series among ordinary ones, and the kernel."""
    kernel = build_kernel(with_series(make_panel(len(values)), "odd", values), make_spec(**more))
    return kernel.status[-1], kernel


def ordinary(days: int = DAYS) -> FloatArray:
    return make_values(days, 1, seed=5)[:, 0]


def has_range(kernel: Kernel) -> bool:
    return bool(np.isfinite(kernel.low_mb[:, -1]).all())


class TestRanges:
    def test_order_and_levels(self) -> None:
        kernel = build_kernel(make_panel(), SPEC)
        assert kernel.made_day == make_days(150)[-1]
        assert set(kernel.status) == {"ok"}
        assert (kernel.removal_low_mb <= kernel.low_mb).all()
        assert (kernel.low_mb < kernel.mid_mb).all()
        assert (kernel.mid_mb < kernel.high_mb).all()
        assert (kernel.high_mb <= kernel.removal_high_mb).all()

    def test_coverage_is_as_published(self) -> None:
        panel = make_panel(220, 40)
        inside = []
        for known in (130, 160, 190):
            kernel = build_kernel(panel.up_to(panel.days[known - 1]), SPEC)
            values = panel.values_mb[known : known + HORIZON]
            inside.append((kernel.low_mb <= values) & (values <= kernel.high_mb))
        assert np.mean(inside) == pytest.approx(0.95, abs=0.015)

    def test_scale_of_the_values_does_not_matter(self) -> None:
        panel = make_panel()
        larger = replace(panel, values_mb=panel.values_mb * 1000)
        one, other = build_kernel(panel, SPEC), build_kernel(larger, SPEC)
        np.testing.assert_allclose(other.low_mb, 1000 * one.low_mb, rtol=1e-9)
        np.testing.assert_allclose(other.high_mb, 1000 * one.high_mb, rtol=1e-9)

    def test_largest_series_go_to_their_forecaster(self) -> None:
        spec = make_spec(largest=ForecasterSpec(kind="robust_seasonal"), largest_series=2)
        kernel = build_kernel(make_panel(), spec)
        assert kernel.forecaster == ("prophet_ridge",) * 6 + ("robust_seasonal",) * 2

    def test_unknown_forecaster(self) -> None:
        with pytest.raises(ConfigError, match="forecaster 'prophecy' is unknown"):
            build_kernel(make_panel(), make_spec("prophecy"))

    def test_no_days(self) -> None:
        with pytest.raises(PlatformError, match="no days"):
            build_kernel(Panel((), (), np.empty((0, 0))), SPEC)

    def test_no_series(self) -> None:
        kernel = build_kernel(Panel(make_days(DAYS), (), np.empty((DAYS, 0))), SPEC)
        assert kernel.to_arrow().num_rows == 0

    def test_one_series(self) -> None:
        kernel = build_kernel(make_panel(series=1), SPEC)
        assert has_range(kernel)

    @pytest.mark.parametrize("series", [1, 6])
    def test_holidays_of_a_country_are_used(self, series: int) -> None:
        panel = make_panel(120, series, noise=0.02)
        holidays = find_holidays("CL", panel.days[0], panel.days[-1] + HORIZON * ONE_DAY)
        factors = np.array([1.5 if day in holidays else 1.0 for day in panel.days])[:, None]
        panel = replace(panel, values_mb=panel.values_mb * factors)
        ahead = [n for n in range(HORIZON) if panel.days[-1] + (n + 1) * ONE_DAY in holidays]
        plain, aware = build_kernel(panel, SPEC), build_kernel(panel, make_spec(holidays_country="CL"))
        assert ahead
        assert (aware.mid_mb[ahead] > 1.2 * plain.mid_mb[ahead]).all()


class TestSpecialSeries:
    @pytest.mark.parametrize(
        ("values", "word", "is_forecast"),
        [
            (ordinary(), "ok", True),
            (np.where(np.arange(DAYS) < DAYS - 20, np.nan, ordinary()), "short_history", False),
            (np.where(np.arange(DAYS) < DAYS - 1, np.nan, ordinary()), "new", False),
            (np.zeros(DAYS), "silent", False),
            (np.where(np.arange(DAYS) < DAYS - 10, ordinary(), 0.0), "ended", False),
            (np.where(np.arange(DAYS) < DAYS - 10, ordinary(), np.nan), "ended", False),
            (np.where(np.arange(DAYS) < 10, ordinary(), np.nan), "ended", False),
            (np.where(np.arange(DAYS) % 30 == 0, -5.0, ordinary()), "negative", True),
            (-ordinary(), "negative", False),
            (np.where(np.arange(DAYS) == 60, 1e12, ordinary()), "gigantic_value", True),
            (np.where(np.isin(np.arange(DAYS), (30, 50, 51)), np.nan, ordinary()), "gaps", True),
            (np.where(np.arange(DAYS) % 2 == 0, 0.0, ordinary()), "ok", True),
        ],
    )
    def test_word_and_range(self, values: FloatArray, word: str, is_forecast: bool) -> None:
        status, kernel = status_of(values)
        assert status == word
        assert has_word(status)
        assert has_range(kernel) is is_forecast
        assert np.isfinite(kernel.low_mb[:, :-1]).all(), "the others are not touched"

    def test_constant_series_has_its_value_only(self) -> None:
        status, kernel = status_of(np.full(DAYS, 0.3))
        assert status == "constant"
        for array in (kernel.low_mb, kernel.mid_mb, kernel.high_mb):
            np.testing.assert_array_equal(array[:, -1], 0.3)
        assert np.isnan(kernel.removal_low_mb[:, -1]).all()

    def test_a_gigantic_value_does_not_widen_the_range(self) -> None:
        values = ordinary()
        spoiled = values.copy()
        spoiled[60] *= 1024
        widths = [status_of(one)[1] for one in (values, spoiled)]
        plain, other = (kernel.high_mb[0, -1] - kernel.low_mb[0, -1] for kernel in widths)
        assert other == pytest.approx(plain, rel=0.15)

    def test_single_odd_days_hardly_move_the_range(self) -> None:
        values = ordinary()
        spoiled = values.copy()
        spoiled[[30, 45, 70]] *= (3.0, 0.2, 4.0)
        plain, other = (status_of(one)[1] for one in (values, spoiled))
        np.testing.assert_allclose(other.mid_mb[:, -1], plain.mid_mb[:, -1], rtol=0.1)

    def test_days_of_a_missing_feed_are_no_gaps_of_a_series(self) -> None:
        panel = make_panel(DAYS)
        panel.values_mb[[40, 41]] = np.nan
        kernel = build_kernel(panel, SPEC)
        assert set(kernel.status) == {"ok"}
        assert np.isfinite(kernel.low_mb).all()

    def test_a_week_without_feed_ends_no_series(self) -> None:
        panel = make_panel(DAYS)
        panel.values_mb[-9:] = np.nan
        assert set(build_kernel(panel, SPEC).status) == {"ok"}

    def test_nothing_was_ever_delivered(self) -> None:
        panel = make_panel(DAYS)
        panel.values_mb[:] = np.nan
        kernel = build_kernel(panel, SPEC)
        assert set(kernel.status) == {"short_history"}

    def test_days_of_a_clock_change_are_days(self) -> None:
        first = dt.date(2026, 2, 20)  # Chile turns its clocks back on 5 April 2026
        panel = Panel(make_days(DAYS, first), ("a",), ordinary()[:, None])
        assert build_kernel(panel, SPEC).status == ("ok",)

    @settings(max_examples=25, deadline=None)
    @given(
        hnp.arrays(
            np.float64,
            (40, 3),
            elements=st.one_of(
                st.floats(-1e9, 1e15, allow_subnormal=False), st.just(math.nan), st.just(0.0), st.just(7.0)
            ),
        )
    )
    def test_whatever_is_delivered_has_a_word_and_no_absurd_range(self, values: FloatArray) -> None:
        kernel = build_kernel(Panel(make_days(40), ("a", "b", "c"), values), SPEC)
        assert all(has_word(word) for word in kernel.status)
        known = np.isfinite(kernel.low_mb)
        np.testing.assert_array_equal(known, np.isfinite(kernel.high_mb))
        assert (kernel.low_mb[known] >= 0).all()
        assert (kernel.low_mb[known] <= kernel.high_mb[known]).all()


class TestStoredForecasts:
    def test_rows_come_back(self) -> None:
        panel = make_panel()
        kernels = [build_kernel(panel.up_to(day), SPEC) for day in panel.days[-3:]]
        rows = pa.concat_tables([kernel.to_arrow() for kernel in kernels])
        stored = StoredForecasts.from_arrow(rows)
        assert [one.made_day for one in stored.forecasts] == list(panel.days[-3:])
        for kernel, found in zip(kernels, stored.forecasts, strict=True):
            assert found.series == kernel.forecast.series
            assert found.stratum == kernel.forecast.stratum
            np.testing.assert_array_equal(found.mid_z, kernel.forecast.mid_z)
            np.testing.assert_array_equal(found.halfwidth_z, kernel.forecast.halfwidth_z)
            np.testing.assert_array_equal(found.median_mb, kernel.forecast.median_mb)

    def test_series_without_forecast_are_left_out(self) -> None:
        panel = with_series(make_panel(DAYS), "silent", np.zeros(DAYS))
        table = build_kernel(panel, SPEC).to_arrow()
        silent = table.filter(pa.compute.equal(table["series"], "silent"))
        assert silent.num_rows == HORIZON
        assert silent["low_mb"].null_count == HORIZON
        (found,) = StoredForecasts.from_arrow(table).forecasts
        assert "silent" not in found.series

    def test_columns_are_those_of_the_contract(self) -> None:
        table = build_kernel(make_panel(), SPEC).to_arrow()
        assert table.column_names == [
            "series", "target_day", "horizon_days", "mid_mb", "low_mb", "high_mb", "removal_low_mb",
            "removal_high_mb", "z_mid", "z_halfwidth", "median_mb", "forecaster", "stratum", "status",
        ]  # fmt: skip
        first = table.slice(0, 1).to_pylist()[0]
        assert (first["series"], first["horizon_days"]) == ("plan_0", 1)
        assert first["target_day"] == make_days(151)[-1]

    def test_a_missing_column_is_named(self) -> None:
        table = build_kernel(make_panel(), SPEC).to_arrow().drop_columns(["z_mid"])
        with pytest.raises(TableInputError, match="z_mid"):
            StoredForecasts.from_arrow(table)

    def test_nothing_stored(self) -> None:
        table = build_kernel(make_panel(), SPEC).to_arrow().slice(0, 0)
        assert StoredForecasts.from_arrow(table) == StoredForecasts()

    def test_past_forecasts_that_were_too_narrow_widen_the_range(self) -> None:
        panel = make_panel(180)
        stored = [forecast_panel(panel.up_to(day), SPEC.forecast)[1] for day in panel.days[60:-1]]
        narrow = [replace(one, halfwidth_z=one.halfwidth_z / 2) for one in stored]
        honest, wider = (build_kernel(panel, SPEC, StoredForecasts.of(past)) for past in (stored, narrow))
        logs = [np.log(kernel.high_mb / kernel.mid_mb) for kernel in (honest, wider)]
        assert np.median(logs[1] / logs[0]) == pytest.approx(2.0, rel=0.1)

    def test_made_up_forecasts_do_as_well_as_stored_ones(self) -> None:
        panel = make_panel(180)
        stored = [forecast_panel(panel.up_to(day), SPEC.forecast)[1] for day in panel.days[60:-1]]
        with_past, without = build_kernel(panel, SPEC, StoredForecasts.of(stored)), build_kernel(panel, SPEC)
        np.testing.assert_allclose(without.high_mb, with_past.high_mb, rtol=0.05)

    def test_forecasts_of_the_future_are_not_used(self) -> None:
        panel = make_panel(180)
        early = panel.up_to(panel.days[150])
        later = [forecast_panel(panel.up_to(day), SPEC.forecast)[1] for day in panel.days[150:]]
        plain, given = build_kernel(early, SPEC), build_kernel(early, SPEC, StoredForecasts.of(later))
        np.testing.assert_array_equal(plain.low_mb, given.low_mb)


class TestCalibration:
    @given(st.integers(20, 400), st.sampled_from([0.05, 0.1]), st.integers(0, 1000))
    def test_conformal_quantile_is_an_order_statistic(self, count: int, alpha: float, seed: int) -> None:
        scores = np.random.default_rng(seed).random(count)
        found = conformal_quantile(scores, alpha)
        wanted = min(math.ceil((count + 1) * (1 - alpha)), count)
        assert (scores <= found).sum() == wanted

    def test_buckets(self) -> None:
        assert find_bucket(np.array([1, 7, 8, 14, 15, 30])).tolist() == [0, 0, 1, 1, 2, 2]

    def test_few_series_have_nothing_in_common(self) -> None:
        residuals = np.full((2, 4), 0.5)
        np.testing.assert_array_equal(find_common_residual(residuals), [0.0, 0.0])
        wide = np.column_stack([residuals, [0.1, np.nan]])
        np.testing.assert_array_equal(find_common_residual(wide), [0.5, 0.0])

    def _forecast(self, panel: Panel, stratum: str = "ordinary") -> list[DayForecast]:
        shape = (HORIZON, len(panel.series))
        medians = np.nanmedian(panel.values_mb, axis=0)
        return [
            DayForecast(
                day, panel.series, np.full(shape, math.log(1.1)), np.full(shape, 0.1), medians,
                (stratum,) * shape[1],
            )
            for day in panel.days[:-1]
        ]  # fmt: skip

    def test_scores_of_unknown_and_other_days_are_left_out(self) -> None:
        panel = make_panel(40, 6)
        panel.values_mb[20:30] = np.nan
        forecasts = self._forecast(panel)
        scores = gather_scores(forecasts, panel, 15)
        assert set(scores.day.tolist()) == {5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
        assert np.isfinite(scores.published).all()
        assert not len(
            gather_scores([replace(one, series=("x",) * 6) for one in forecasts], panel, 15).series
        )

    def test_score_is_the_distance_in_halfwidths(self) -> None:
        panel = Panel(make_days(3), ("a",), np.array([[100.0], [100.0], [120.0]]))
        (forecast,) = [one for one in self._forecast(panel) if one.made_day == panel.days[1]]
        scores = gather_scores([forecast], panel, 3)
        assert scores.published.tolist() == pytest.approx([(math.log(1.3) - math.log(1.1)) / 0.1])
        assert scores.bucket.tolist() == [0]

    def test_too_few_scores_fall_back(self) -> None:
        panel = make_panel(40, 1)
        scores = gather_scores(self._forecast(panel), panel, 10)
        limits = calibrate(scores, RangeSpec())
        assert set(limits.published.values()) == {1.3}
        assert all(limits.removal[cell] > limits.published[cell] for cell in limits.published)

    def test_anomalies_of_the_past_neither_shrink_nor_burst_the_limits(self) -> None:
        clean = make_panel(150, 20)
        spoiled = np.random.default_rng(1).random(clean.values_mb.shape) < 0.03
        dirty = replace(clean, values_mb=np.where(spoiled, 5 * clean.values_mb, clean.values_mb))
        forecasts = self._forecast(clean)
        one, other = (calibrate(gather_scores(forecasts, p, 120), RangeSpec()) for p in (clean, dirty))
        for cell, limit in one.published.items():
            assert limit <= other.published[cell] <= 2 * limit
            assert 0.9 * one.removal[cell] <= other.removal[cell] <= 2 * one.removal[cell]


class TestScaleAndPanel:
    @given(hnp.arrays(np.float64, (5, 3), elements=st.floats(0, 1e12)))
    def test_scale_comes_back(self, values: FloatArray) -> None:
        medians = find_medians(values)
        assert (medians > 0).all()
        back = to_mb(to_z(values, medians), medians)
        np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-9 * medians.max() + 1e-12)

    def test_a_mostly_silent_series_has_its_mean_as_scale(self) -> None:
        values = np.array([[0.0, 0.0], [0.0, 0.0], [9.0, 0.0], [np.nan, np.nan]])
        np.testing.assert_array_equal(find_medians(values), [3.0, 1.0])

    def test_rows_are_summed_and_gaps_filled(self) -> None:
        days = [FIRST_DAY, FIRST_DAY, FIRST_DAY + 2 * ONE_DAY, FIRST_DAY + ONE_DAY, FIRST_DAY - ONE_DAY]
        delivered = {FIRST_DAY, FIRST_DAY + 2 * ONE_DAY, FIRST_DAY + 3 * ONE_DAY}
        made = {
            gap: assemble_panel(
                days, ["a", "a", "b", "a", "c"], [1.0, 2.0, 5.0, 99.0, 1.0], delivered_days=delivered,
                first_day=FIRST_DAY, last_day=FIRST_DAY + 3 * ONE_DAY, gap=gap,
            )
            for gap in ("zero", "unknown")
        }  # fmt: skip
        nan = np.nan
        assert made["zero"].series == ("a", "b")
        np.testing.assert_array_equal(made["zero"].values_mb, [[3, nan], [nan, nan], [0, 5], [0, 0]])
        np.testing.assert_array_equal(made["unknown"].values_mb, [[3, nan], [nan, nan], [nan, 5], [nan, nan]])

    @pytest.mark.parametrize(
        ("days", "series", "values", "what"),
        [
            (make_days(2), ("a",), np.zeros((3, 1)), "shape"),
            ((FIRST_DAY, FIRST_DAY), ("a",), np.zeros((2, 1)), "consecutive"),
            (make_days(2), ("a", "a"), np.zeros((2, 2)), "twice"),
            (make_days(2), ("a",), np.full((2, 1), np.inf), "infinite"),
        ],
    )
    def test_what_is_no_panel(
        self, days: tuple[dt.date, ...], series: tuple[str, ...], values: FloatArray, what: str
    ) -> None:
        with pytest.raises(PlatformError, match=what):
            Panel(days, series, values)

    def test_a_festival_is_no_outlier_and_an_odd_day_is_clipped(self) -> None:
        z = np.random.default_rng(0).normal(0.1, 0.05, (60, 12))
        z[30] += 1.0
        z[40, 3] += 3.0
        softened = soften_outliers(z, ForecastCalendar(FIRST_DAY, 60, 1))
        assert np.abs(softened - z)[30].max() < 0.2
        assert softened[40, 3] < 0.6
        untouched = np.delete(np.delete(softened - z, [30, 40], axis=0), 3, axis=1)
        np.testing.assert_allclose(untouched, 0, atol=1e-12)

    def test_status_needs_no_minimum_of_series(self) -> None:
        assert clean_history(np.empty((30, 0)), 28).status == ()


def test_unknown_country_is_refused() -> None:
    with pytest.raises(ConfigError, match="'ZZ'"):
        find_holidays("ZZ", FIRST_DAY, FIRST_DAY)
    assert dt.date(2026, 9, 18) in find_holidays("CL", FIRST_DAY, dt.date(2026, 12, 31))
    assert find_holidays("", FIRST_DAY, FIRST_DAY) == frozenset()


def test_traffic_of_real_cells_is_covered() -> None:
    panel = _read_cells()
    inside = []
    for known in range(215, 336, 30):
        kernel = build_kernel(panel.up_to(panel.days[known - 1]), SPEC)
        values = panel.values_mb[known : known + HORIZON]
        inside.append((kernel.low_mb <= values) & (values <= kernel.high_mb))
    assert np.mean(inside) >= 0.91


def _read_cells() -> Panel:
    """Return five LTE cells of a public data set, MB a day; the days when clocks change have odd hours."""
    folder = Path(os.environ.get("MLOPS_PUBLIC_DATA") or Path(__file__).parents[5] / "shared" / "data")
    file = folder / "lte_cells_hourly.csv"
    if not file.exists():
        pytest.skip(f"{file.name} is not in {folder}; name its folder in MLOPS_PUBLIC_DATA")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    days = [dt.date(*map(int, reversed(row["DATE"].split("/")))) for row in rows]  # day first
    return assemble_panel(
        days, [row["CELLNAME"] for row in rows], [float(row["VALUE"]) for row in rows],
        delivered_days=set(days), first_day=min(days), last_day=max(days), gap="unknown",
    )  # fmt: skip
