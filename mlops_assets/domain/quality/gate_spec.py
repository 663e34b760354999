"""What the feed gate asks of a delivery: the thresholds in a feed's YAML.

Belongs here: the typed thresholds with their defaults. Does not belong here: judging (feed_gate), or what
must hold without history (the rest of the feed's contract).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

UnitFactor = Annotated[float, Field(gt=3.0, le=1.0e9)]


class GateSpec(Record):
    """When a delivery is held although it satisfies its contract, because its history says it is wrong.

    Attributes:
        is_enabled: false lets everything pass unjudged.
        history_days: how far back healthy deliveries are compared with.
        history_deliveries_min: with fewer of them a delivery passes unjudged, and says so.
        rows_ratio_min: fewest rows, of the median of the same weekday; 0 switches the rule off.
        rows_ratio_max: most rows, likewise; null switches the rule off (feeds of rare events).
        duplicate_share_rise_max: most by which the share of duplicates may rise.
        unit_factors: factors by which volumes, durations and amounts go wrong, besides their inverses. A
            factor below 3 is behaviour; an empty list switches the rule off.
        unit_share_min: least share of rows that a wrong unit must concern to be noticed.
        level_factor_max: most by which a mean may rise or fall while sessions do not; null switches it off.
        may_repeat: two days may have the same content (a catalogue).
        ignored_columns: columns that are not judged.
        emptiable_columns: columns whose values above 0 may all be gone; what is left is judged.
        escalate_after_days: days of data after which a delivery that is still held is escalated.
    """

    is_enabled: bool = True
    history_days: int = Field(28, ge=7, le=90)
    history_deliveries_min: int = Field(3, ge=1, le=28)
    rows_ratio_min: float = Field(0.7, ge=0.0, lt=1.0)
    rows_ratio_max: float | None = Field(2.0, gt=1.0)
    duplicate_share_rise_max: float = Field(0.1, gt=0.0, le=1.0)
    unit_factors: list[UnitFactor] = [8.0, 60.0, 100.0, 1000.0, 1024.0]
    unit_share_min: float = Field(0.1, gt=0.0, le=1.0)
    level_factor_max: float | None = Field(4.0, ge=3.0)
    may_repeat: bool = False
    ignored_columns: list[str] = []
    emptiable_columns: list[str] = []
    escalate_after_days: int = Field(2, ge=0, le=60)

    @model_validator(mode="after")
    def _history_suffices(self) -> GateSpec:
        most = 6 + self.history_days // 7  # the days of feed_gate.past_days
        if self.history_deliveries_min > most:
            raise ValueError(
                f"`history_deliveries_min` is more than the {most} deliveries that `history_days` looks at"
            )
        return self
