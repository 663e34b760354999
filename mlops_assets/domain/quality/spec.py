"""What a monitor asks of the quality stage: which series, which ranges, which evidence of drift.

Belongs here: the typed shape of those requests. Does not belong here: reading YAML (mlops_assets.config) or
doing the work (kernel, series judgement, drift).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.learning.spec import ColumnName, Share, TableKey
from mlops_assets.domain.model_base import Record


class ForecasterSpec(Record):
    """One member of the forecaster family and its parameters, as in `FORECASTERS`."""

    kind: str = "prophet_ridge"
    parameters: dict[str, Any] = {}


class ForecastSpec(Record):
    """How ranges are forecast: `largest` for the biggest series by volume, `beyond` for all others.

    `window_days` of history are used, at least `min_history_days` are needed. `holidays_country` is an ISO
    country code; empty means no holidays.
    """

    largest: ForecasterSpec = ForecasterSpec(kind="prophet")
    largest_series: int = Field(0, ge=0, le=10_000)
    beyond: ForecasterSpec = ForecasterSpec()
    window_days: int = Field(60, ge=14, le=400)
    min_history_days: int = Field(28, ge=14, le=400)
    horizon_days: int = Field(30, ge=1, le=60)
    holidays_country: str = Field("", pattern=r"^([A-Z]{2})?$")

    @model_validator(mode="after")
    def _history_within_window(self) -> ForecastSpec:
        if self.min_history_days > self.window_days:
            raise ValueError("`min_history_days` is more than `window_days`")
        return self


class RangeSpec(Record):
    """Shares of normal values that fall outside: of the published range, and of the one that removes values."""

    published_alpha: Share = 0.05
    removal_alpha: Share = 0.002

    @model_validator(mode="after")
    def _removal_is_rarer(self) -> RangeSpec:
        if self.removal_alpha > self.published_alpha:
            raise ValueError("`removal_alpha` must not exceed `published_alpha`")
        return self


class DriftSpec(Record):
    """When a panel's anomalies mean that behaviour has moved: a share of values, on days of the last days.

    `anomaly_share` of the day's series outside their range on at least `days` of the last `of_days` healthy
    days. `days: 1, of_days: 1` is the literal rule "over 20 % anomalies".
    """

    anomaly_share: Share = 0.2
    days: int = Field(3, ge=1, le=30)
    of_days: int = Field(4, ge=1, le=30)

    @model_validator(mode="after")
    def _days_within_window(self) -> DriftSpec:
        if self.days > self.of_days:
            raise ValueError("`days` is more than `of_days`")
        return self


class MonitorSpec(Record):
    """A panel of daily series whose values are checked against forecast ranges.

    Attributes:
        table: daily table where the values are; one row or several per series and day.
        series_by: columns that name a series, e.g. the plan.
        value: the column that is summed per series and day.
        unit: its unit (`feeds.units`); ranges are published in MB.
        gap: what a series without rows on a delivered day had: `zero` traffic, or nothing that is known.
    """

    name: ColumnName
    description: str
    owner: str
    recipients: list[str] = []
    table: TableKey
    series_by: list[ColumnName] = Field(min_length=1)
    value: ColumnName
    unit: str = "MB"
    gap: Literal["zero", "unknown"] = "zero"
    forecast: ForecastSpec = ForecastSpec()
    ranges: RangeSpec = RangeSpec()
    drift: DriftSpec = DriftSpec()
