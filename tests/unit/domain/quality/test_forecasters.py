"""The contract that every forecaster keeps, and what holds Prophet and its closed form together."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import numpy as np
import pytest

from mlops_assets.domain.errors import ConfigError, LearningError
from mlops_assets.domain.quality.forecasters import (
    FORECASTERS,
    Forecast,
    ForecastCalendar,
    find_forecaster,
)
from mlops_assets.domain.quality.forecasters.protocol import FloatArray
from mlops_assets.domain.quality.forecasters.residual_spread import NORMAL_95, measure_halfwidth
from tests.unit.domain.quality.kernel_samples import FIRST_DAY, make_values

DAYS, HORIZON, SERIES = 60, 30, 3
HOLIDAYS = frozenset(
    {dt.date(2026, 3, 20), dt.date(2026, 4, 3), dt.date(2026, 5, 1)}
)  # the last one lies ahead


def calendar(days: int = DAYS, holidays: frozenset[dt.date] = frozenset()) -> ForecastCalendar:
    return ForecastCalendar(FIRST_DAY, days, HORIZON, holidays)


def history(series: int = SERIES, days: int = DAYS, noise: float = 0.08, seed: int = 0) -> FloatArray:
    values = make_values(days, series, seed=seed, noise=noise)
    z: FloatArray = np.log(values / np.median(values, axis=0) + 0.1)
    return z


def forecast(name: str, z: FloatArray, **more: frozenset[dt.date]) -> Forecast:
    return FORECASTERS[name].fit_predict(z, calendar(len(z), **more))


@pytest.mark.parametrize("name", FORECASTERS)
class TestContract:
    def test_same_history_same_forecast(self, name: str) -> None:
        first, second = (forecast(name, history(), holidays=HOLIDAYS) for _ in range(2))
        np.testing.assert_array_equal(first.mid, second.mid)
        np.testing.assert_array_equal(first.halfwidth, second.halfwidth)

    def test_shapes(self, name: str) -> None:
        for series in (0, 1, SERIES):
            found = forecast(name, history()[:, :series])
            for array in (found.mid, found.halfwidth):
                assert array.shape == (HORIZON, series)
                assert array.dtype == np.float64
                assert np.isfinite(array).all()
            assert (found.halfwidth > 0).all()

    def test_history_is_not_changed(self, name: str) -> None:
        z = history()
        forecast(name, z)
        np.testing.assert_array_equal(z, history())

    def test_missing_values_change_little(self, name: str) -> None:
        z = history()
        gappy = z.copy()
        gappy[[0, 13, 30, 59], 0] = np.nan
        whole, found = forecast(name, z), forecast(name, gappy)
        assert np.abs(found.mid - whole.mid)[:, 0].max() < 0.1
        if name != "robust_seasonal":  # it shrinks weekday effects towards those of the panel
            np.testing.assert_allclose(found.mid[:, 1:], whole.mid[:, 1:], atol=1e-6)

    def test_weekdays_are_learned(self, name: str) -> None:
        weekday = (FIRST_DAY.weekday() + np.arange(DAYS + HORIZON)) % 7
        truth = np.where(weekday >= 5, 0.4, 0.0)[:, None] + np.array([0.1, 0.3])
        noise = np.random.default_rng(2).normal(0, 0.01, (DAYS, 2))
        found = forecast(name, truth[:DAYS] + noise)
        np.testing.assert_allclose(found.mid, truth[DAYS:], atol=0.03)

    def test_halfwidth_is_that_of_the_noise(self, name: str) -> None:
        z = np.random.default_rng(1).normal(0.1, 0.1, (400, 4))
        found = FORECASTERS[name].fit_predict(z, ForecastCalendar(FIRST_DAY, 400, 5))
        np.testing.assert_allclose(found.halfwidth, 1.96 * 0.1, rtol=0.2)

    @pytest.mark.parametrize("value", [0.0, 0.0953, -2.3])
    def test_constant_history(self, name: str, value: float) -> None:
        found = forecast(name, np.full((DAYS, 2), value))
        np.testing.assert_allclose(found.mid, value, atol=1e-4)
        assert (found.halfwidth > 0).all()

    def test_fourteen_days_are_enough(self, name: str) -> None:
        found = forecast(name, history(days=14))
        assert np.isfinite(found.mid).all()
        assert np.isfinite(found.halfwidth).all()

    @pytest.mark.parametrize(
        ("z", "what"),
        [
            (np.zeros((DAYS - 1, 1)), "does not fit its calendar"),
            (np.zeros(DAYS), "does not fit its calendar"),
            (np.full((DAYS, 1), np.inf), "infinite"),
            (np.where(np.arange(DAYS)[:, None] < 13, 0.0, np.nan), "13 known days"),
        ],
    )
    def test_unusable_history(self, name: str, z: FloatArray, what: str) -> None:
        with pytest.raises(LearningError, match=what):
            FORECASTERS[name].fit_predict(z, calendar())

    def test_parameters_are_checked(self, name: str) -> None:
        plug_in = FORECASTERS[name]
        known = next(iter(plug_in.parameters))
        with pytest.raises(ConfigError, match=f"did you mean '{known}'"):
            plug_in.fit_predict(history(), calendar(), {known[:-1]: 1.0})
        with pytest.raises(ConfigError, match="is not accepted"):
            plug_in.fit_predict(history(), calendar(), {known: -1.0})
        assert plug_in.name == name


# Prophet stops short of the optimum, farthest where a holiday and a gap make it flat.
@pytest.mark.parametrize(("holidays", "tolerance"), [(frozenset(), 5e-5), (HOLIDAYS, 5e-4)])
@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_prophet_and_its_closed_form_agree(
    holidays: frozenset[dt.date], tolerance: float, noise: float
) -> None:
    z = history(series=4, noise=noise)
    z[7, 1] = np.nan
    prophet, ridge = (forecast(name, z, holidays=holidays) for name in ("prophet", "prophet_ridge"))
    np.testing.assert_allclose(ridge.mid, prophet.mid, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ridge.halfwidth, prophet.halfwidth, rtol=1e-3)


def test_a_holiday_effect_is_learned_once_for_all_holidays() -> None:
    flags = calendar(holidays=HOLIDAYS).holiday_flags[:, None]
    z = np.random.default_rng(0).normal(0.1, 0.01, (DAYS, 1)) + 0.3 * flags[:DAYS]
    found = forecast("prophet_ridge", z, holidays=HOLIDAYS).mid[:, 0]
    ahead = (dt.date(2026, 5, 1) - FIRST_DAY).days - DAYS
    assert found[ahead] == pytest.approx(0.4, abs=0.03)
    assert np.delete(found, ahead) == pytest.approx(0.1, abs=0.03)


def test_holidays_ahead_only_change_nothing() -> None:
    coming = frozenset({dt.date(2026, 5, 1)})
    np.testing.assert_array_equal(
        forecast("prophet_ridge", history(), holidays=coming).mid, forecast("prophet_ridge", history()).mid
    )


def test_series_are_forecast_independently_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    z = history(series=7)
    z[3, 2] = np.nan
    whole = forecast("prophet_ridge", z)
    monkeypatch.setattr("mlops_assets.domain.quality.forecasters.prophet_ridge._SERIES_AT_ONCE", 2)
    np.testing.assert_allclose(forecast("prophet_ridge", z).mid, whole.mid, rtol=1e-12)


def test_median_polish_ignores_a_gigantic_day() -> None:
    z = history(series=2)
    spoiled = z.copy()
    spoiled[40, 0] += 7.0
    moved = np.abs(forecast("robust_seasonal", spoiled).mid - forecast("robust_seasonal", z).mid)
    assert moved.max() < 0.05


def test_spread_of_outliers_is_bounded() -> None:
    residuals = np.random.default_rng(0).normal(0, 1, (2000, 1))
    assert measure_halfwidth(residuals, 1)[0] == pytest.approx(NORMAL_95, rel=0.05)
    residuals[:10] = 30.0
    assert measure_halfwidth(residuals, 1)[0] == pytest.approx(NORMAL_95, rel=0.15)


def test_unknown_forecaster() -> None:
    with pytest.raises(ConfigError, match="did you mean 'prophet_ridge'"):
        find_forecaster("prophet_rigde", FORECASTERS)


def test_importing_the_family_loads_no_forecasting_library() -> None:
    code = (
        "import sys, mlops_assets.domain.quality.kernel, mlops_assets.domain.quality.series_judgement\n"
        "heavy = {'prophet', 'pandas', 'sklearn', 'pyarrow', 'holidays', 'dagster'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
