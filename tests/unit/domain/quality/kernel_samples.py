"""Small panels and specifications for the kernel's tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray
from mlops_assets.domain.quality.panel import Panel
from mlops_assets.domain.quality.spec import ForecasterSpec, ForecastSpec, MonitorSpec

FIRST_DAY = dt.date(2026, 3, 1)
ONE_DAY = dt.timedelta(days=1)


def make_spec(kind: str = "prophet_ridge", **forecast: Any) -> MonitorSpec:
    return MonitorSpec(
        name="volume",
        description="volume by plan",
        owner="team:data-quality",
        table="etl/plan_usage_daily",
        series_by=["plan_code"],
        value="data_kb",
        forecast=ForecastSpec(beyond=ForecasterSpec(kind=kind), **forecast),
    )


def make_days(count: int, first: dt.date = FIRST_DAY) -> tuple[dt.date, ...]:
    return tuple(first + number * ONE_DAY for number in range(count))


def make_values(days: int, series: int, seed: int = 0, noise: float = 0.08) -> FloatArray:
    """Return MB with a weekday profile and noise: levels from 100 to 10,000."""
    chance = np.random.default_rng(seed)
    profile = chance.normal(0, 0.1, (7, series))[np.arange(days) % 7]
    level = np.log(10 ** np.linspace(2, 4, series))
    values: FloatArray = np.exp(level + profile + noise * chance.normal(0, 1, (days, series)))
    return values


def make_panel(days: int = 150, series: int = 8, seed: int = 0, **more: Any) -> Panel:
    names = tuple(f"plan_{number}" for number in range(series))
    return Panel(make_days(days), names, make_values(days, series, seed, **more))


def with_series(panel: Panel, name: str, values: FloatArray) -> Panel:
    """Return the panel with one more series."""
    return Panel(panel.days, (*panel.series, name), np.column_stack([panel.values_mb, values]))
