"""The retraining report: champion and challenger side by side, what the model now looks at, what moved.

Belongs here: the typed content and what follows from its own fields. Does not belong here: measuring it
(domain.learning.retraining_review) or how it looks (retraining_report_page).

It holds aggregates only: names of features, plans and models, never a subscriber.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.model_card import DecisionNote

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Measured(Record):
    """A figure with its 95 % interval; the ends are None where the rows do not give one."""

    value: float
    low: float | None = None
    high: float | None = None


class MetricComparison(Record):
    """One metric of both models on the same rows; `champion` is None for a first champion."""

    name: str
    unit: str = ""
    is_higher_better: bool
    challenger: Measured
    champion: Measured | None = None

    @property
    def gain(self) -> float | None:
        """What the challenger is better by; negative if it is worse."""
        if self.champion is None:
            return None
        difference = self.challenger.value - self.champion.value
        return difference if self.is_higher_better else -difference


class FeatureMove(Record):
    """Share of the importance of one feature in both models; None where a model does not have it."""

    name: str
    meaning: str = ""
    before: Share | None = None
    after: Share | None = None
    is_important_before: bool = False
    is_important_after: bool = False


class MovedData(Record):
    """A watched feature whose distribution moved: on how many days, and its largest distance.

    `distance` is Wasserstein's on the log scale, the stability index for texts; `threshold` is the 99.5th
    percentile of its own past.
    """

    table: str
    feature: str
    days: int = Field(ge=1)
    distance: float
    threshold: float


class ShiftNote(Record):
    """What made the retraining due: a behaviour shift, or a fall of what offers bring."""

    monitor: str
    detected_day: dt.date
    reasons: tuple[str, ...] = ()
    what: str = "behaviour shift"


class RetrainingReport(Record):
    """Everything about one decision on a newly trained model.

    Attributes:
        use_case, model, segment: the slot.
        reason: why it was trained.
        data_day: newest day whose data were used.
        decision: outcome, checks and reasons.
        version, algorithm: of the challenger.
        champion_version, champion_algorithm: of the champion that it was compared with; None without one.
        metric: name of the metric that the gate decides by.
        metrics: all of the task, the deciding one first.
        gain, gain_low, gain_high: of the deciding metric, by paired bootstrap.
        business_name, business_unit: of the business figure, empty without one.
        business, champion_business: its values.
        holdout_rows, holdout_first_day, holdout_last_day: what both were measured on.
        features: every feature of either model, the most important of the challenger first.
        moved: what the data did in the meantime.
        shift: None unless drift was the reason.
    """

    use_case: str
    model: str
    segment: str
    reason: str
    data_day: dt.date | None
    decision: DecisionNote
    version: str
    algorithm: str
    champion_version: str | None = None
    champion_algorithm: str | None = None
    metric: str
    metrics: tuple[MetricComparison, ...]
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    business_name: str = ""
    business_unit: str = ""
    business: float | None = None
    champion_business: float | None = None
    holdout_rows: int = Field(ge=0)
    holdout_first_day: dt.date | None = None
    holdout_last_day: dt.date | None = None
    features: tuple[FeatureMove, ...] = ()
    moved: tuple[MovedData, ...] = ()
    shift: ShiftNote | None = None

    @property
    def title(self) -> str:
        """Heading, subject of the mail, entry in the index."""
        return (
            f"Retraining of {self.use_case} {self.model}, {self.segment}: version {self.version} "
            f"{self.decision.outcome}"
        )

    @property
    def new_features(self) -> list[FeatureMove]:
        """Features that became important, the most important first."""
        return [one for one in self.features if one.is_important_after and not one.is_important_before]

    @property
    def lost_features(self) -> list[FeatureMove]:
        """Features that are no longer important, the formerly most important first."""
        lost = [one for one in self.features if one.is_important_before and not one.is_important_after]
        return sorted(lost, key=lambda one: -(one.before or 0.0))
