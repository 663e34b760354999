"""The typed content of the report on a fleet of models.

Belongs here: figures of groups, trainings, live days and gains, and what follows from them by counting. Does not belong
here: gathering them (learning.fleet_review) or how it looks (fleet_report_page).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Literal

from mlops_assets.domain.model_base import Record

Served = Literal["own", "pooled", "nobody"]


class GroupLine(Record):
    """A group: who serves it, how good that is, and how it does lately.

    Attributes:
        group: value of the group column.
        devices: scored on the newest day; None if that is not known.
        served: by a model of its own, by the pooled one, by nobody.
        version: of who serves; empty for nobody.
        algorithm: of its own model.
        outcome, detail: of the newest training, in a word and in words.
        age_days: since the last day of data of the decision that made the champion.
        metric: of who serves, on the group's newest holdout; `pooled_metric` of the pooled model there.
        trend: gain of the own candidate's metric over the training before, each on its own holdout.
        gain, gain_low, gain_high: of the newest candidate over the pooled model, positive is better.
        events, alerts: of the recent matched days.
        precision: of its alerts; recall: share of its events above the threshold.
        drift: the verdict on its recall.
        cpu_seconds: of its newest training.
    """

    group: str
    devices: int | None = None
    served: Served
    version: str = ""
    algorithm: str = ""
    outcome: str
    detail: str = ""
    age_days: int | None = None
    metric: float | None = None
    pooled_metric: float | None = None
    trend: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    events: int | None = None
    alerts: int | None = None
    precision: float | None = None
    recall: float | None = None
    drift: str = ""
    cpu_seconds: float = 0.0


class GainLine(Record):
    """What the fleet gained over something simpler: figure with its interval (None where there is none)."""

    against: str
    gain: float
    low: float | None
    high: float | None
    groups: int
    rows: int
    note: str


class TrainingLine(Record):
    """A training: what it was for and what it cost."""

    day: dt.date
    groups: int
    devices: int | None
    train_rows: int
    cpu_seconds: float


class LiveLine(Record):
    """A matched day: sums over all devices."""

    day: dt.date
    observed: int
    events: int
    expected_events: float
    alerts: int
    precision: float | None
    capacity_precision: float | None
    recall: float | None
    alert_recall: float | None


class FaultLine(Record):
    """What failed: a whole group, or one algorithm of it."""

    group: str
    what: str
    error: str


class FleetReport(Record):
    """A segment's fleet.

    Attributes:
        use_case, model, segment: slot of the pooled model.
        data_day: newest day of data in the report; None for data without days.
        group_column: what groups are.
        metric: of the holdout.
        caveat: about the data, empty if there is none.
        pooled_version: who serves groups without a model of their own; empty if nobody does.
        scored_day: of the newest scores.
        missing: feeds without which days could not be matched.
    """

    use_case: str
    model: str
    segment: str
    data_day: dt.date | None
    group_column: str
    metric: str
    caveat: str = ""
    pooled_version: str = ""
    scored_day: dt.date | None = None
    groups: tuple[GroupLine, ...]
    gains: tuple[GainLine, ...] = ()
    trainings: tuple[TrainingLine, ...] = ()
    live: tuple[LiveLine, ...] = ()
    live_total: LiveLine | None = None
    faults: tuple[FaultLine, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Heading."""
        day = f", {self.data_day.isoformat()}" if self.data_day else ""
        return f"Fleet of {self.use_case}/{self.model}, {self.segment}{day}"

    def count(self, served: Served) -> int:
        """Return how many groups are served in a way."""
        return sum(one.served == served for one in self.groups)

    def devices(self, served: Served) -> int:
        """Return how many scored devices are served in a way."""
        return sum(one.devices or 0 for one in self.groups if one.served == served)

    @property
    def without_own(self) -> list[tuple[str, int]]:
        """Reasons why groups have no model of their own, the commonest first."""
        found = Counter(one.outcome for one in self.groups if one.served != "own")
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))

    @property
    def fallen(self) -> list[str]:
        """Groups whose recall has fallen beyond chance."""
        return [one.group for one in self.groups if one.drift == "fallen"]

    @property
    def growth(self) -> tuple[float, float] | None:
        """Factors by which devices and CPU seconds grew from the smallest training to the largest; None if none did."""
        known = [(one.devices, one.cpu_seconds) for one in self.trainings if one.devices and one.cpu_seconds]
        if not known or min(known)[0] == max(known)[0]:
            return None
        (few, cheap), (many, dear) = min(known), max(known)
        return many / few, dear / cheap
