"""What a monitor asks of the quality stage: which series, which ranges, which evidence of drift.

Belongs here: the typed shape of those requests. Does not belong here: reading YAML (mlops_assets.config) or
doing the work (kernel, series judgement, drift).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.feeds.contract import Owner
from mlops_assets.domain.learning.spec import ColumnName, Share, TableKey
from mlops_assets.domain.mail_address import MailAddress
from mlops_assets.domain.model_base import Record

OLDEST_EVIDENCE_DAYS = 21  # a usable day further back says nothing about drift now


class ForecasterSpec(Record):
    """One member of the forecaster family and its parameters, as in `FORECASTERS`.

    Attributes:
        kind: name of a forecaster.
        parameters: its settings; those that it does not know are refused.
    """

    kind: str = "prophet_ridge"
    parameters: dict[str, Any] = {}


class ForecastSpec(Record):
    """How ranges are forecast: `largest` for the biggest series by volume, `beyond` for all others.

    `window_days` of history are used, at least `min_history_days` are needed. `holidays_country` is an ISO
    country code, or `none`; empty means the country of the geography.

    Attributes:
        largest_series: how many of the biggest series `largest` forecasts; 0 for none.
        horizon_days: days ahead for which ranges are made.
    """

    largest: ForecasterSpec = ForecasterSpec(kind="prophet")
    largest_series: int = Field(0, ge=0, le=10_000)
    beyond: ForecasterSpec = ForecasterSpec()
    window_days: int = Field(60, ge=14, le=400)
    min_history_days: int = Field(28, ge=14, le=400)
    horizon_days: int = Field(30, ge=1, le=60)
    holidays_country: str = Field("", pattern=r"^([A-Z]{2}|none)?$")

    @model_validator(mode="after")
    def _history_within_window(self) -> ForecastSpec:
        if self.min_history_days > self.window_days:
            raise ValueError("`min_history_days` is more than `window_days`")
        return self


class RangeSpec(Record):
    """Shares of normal values that fall outside: of the published range, and of the one that removes values.

    Attributes:
        published_alpha: share of healthy days that may lie outside the range that is published.
        removal_alpha: share of healthy days that may lie outside the range beyond which a value is an anomaly.
    """

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
    days: int = Field(3, ge=1, le=OLDEST_EVIDENCE_DAYS)
    of_days: int = Field(4, ge=1, le=OLDEST_EVIDENCE_DAYS)

    @model_validator(mode="after")
    def _days_within_window(self) -> DriftSpec:
        if self.days > self.of_days:
            raise ValueError("`days` is more than `of_days`")
        return self


class FeatureDriftSpec(Record):
    """Which features are compared with the same weekdays before, and when a distance counts as moved.

    Attributes:
        tables: what is watched, of `watched_features.WATCHED_TABLES`, e.g. `feeds/usage`.
        reference_weeks: same weekdays before the day that are merged into its reference.
        history_days: distances of how many days back the threshold rests on.
        min_history_days: with fewer of them nothing is called moved.
        min_distance: Wasserstein distance on the log scale below which a move does not matter.
        min_psi: stability index below which a move does not matter (for texts and booleans).
        false_discovery_rate: share of false ones accepted among the features called moved.
        min_classifier_gain: by how much a classifier must tell the day from a week before better (ROC AUC) than
            it tells two earlier days apart; otherwise moved features are reported, but are no witness.
    """

    tables: list[TableKey] = []
    reference_weeks: int = Field(4, ge=1, le=12)
    history_days: int = Field(42, ge=7, le=200)
    min_history_days: int = Field(14, ge=2, le=200)
    min_distance: float = Field(0.02, ge=0.0)
    min_psi: float = Field(0.02, ge=0.0)
    false_discovery_rate: Share = 0.05
    min_classifier_gain: float = Field(0.02, ge=0.0, le=0.5)

    @model_validator(mode="after")
    def _history_can_suffice(self) -> FeatureDriftSpec:
        if self.min_history_days > self.history_days:
            raise ValueError("`min_history_days` is more than `history_days`")
        return self


class MonitorSpec(Record):
    """A panel of daily series whose values are checked against forecast ranges.

    Attributes:
        table: where the values are, one row or several per series and day: a daily table, or a snapshot feed.
        day_column: the date column of a snapshot feed, whose days are replayed; empty for daily tables.
        series_by: columns that name a series, e.g. the plan.
        value: the column that is summed per series and day.
        unit: its unit (`feeds.units`); ranges are published in MB.
        gap: what a series without rows on a delivered day had: `zero` traffic, or nothing that is known.
        is_per_subscriber: single subscribers are judged as well, by their plan's forecast and their own level;
            only for one monitor of `etl/plan_usage_daily` by plan.
        features: further witnesses of drift.
        name: of the monitor; its file has the same name.
        description: what is watched.
        owner: team or mail address that answers for it.
        recipients: mail addresses that get its reports.
        forecast: how ranges are forecast.
        ranges: how wide ranges are.
        drift: when values outside their ranges are a shift.
    """

    name: ColumnName
    description: str
    owner: Owner
    recipients: list[MailAddress] = []
    table: TableKey
    day_column: ColumnName | Literal[""] = ""
    series_by: list[ColumnName] = Field(min_length=1)
    value: ColumnName
    unit: str = "MB"
    gap: Literal["zero", "unknown"] = "zero"
    forecast: ForecastSpec = ForecastSpec()
    ranges: RangeSpec = RangeSpec()
    drift: DriftSpec = DriftSpec()
    is_per_subscriber: bool = False
    features: FeatureDriftSpec = FeatureDriftSpec()

    def in_country(self, country: str) -> MonitorSpec:
        """Return the monitor with the holidays of a country, unless it names others (or `none`) itself."""
        if self.forecast.holidays_country or not country:
            return self
        forecast = self.forecast.model_copy(update={"holidays_country": country})
        return self.model_copy(update={"forecast": forecast})
