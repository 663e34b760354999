"""The model card: what an approver, an auditor or a successor needs to know about one model version.

Belongs here: the typed content of a card. Does not belong here: computing it (assets and learning) or
rendering it (model_card_page).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from mlops_assets.domain.learning.spec import Task
from mlops_assets.domain.model_base import Record

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
RowCount = Annotated[int, Field(ge=0)]


# As in the promotion ledger.
Outcome = Literal["promoted", "rejected", "pending", "expired", "rolled_back"]


class CheckResult(Record):
    """One check of the promotion gate, in words: what was seen and what was required."""

    name: str
    has_passed: bool
    observed: str
    required: str


class DecisionNote(Record):
    """What was decided about this version, by whom and why.

    `champion_since_utc` is set only while the version is the champion.
    """

    outcome: Outcome
    decision_id: str
    decided_by: str
    decided_at_utc: AwareDatetime
    champion_since_utc: AwareDatetime | None = None
    previous_version: str | None = None
    reasons: tuple[str, ...]
    checks: tuple[CheckResult, ...]


class CorpusPart(Record):
    """One part of the split. `positive_count` is None for tasks without classes."""

    name: str
    first_as_of: dt.date | None = None
    last_as_of: dt.date | None = None
    row_count: RowCount
    positive_count: RowCount | None = None

    @property
    def prevalence(self) -> float | None:
        """Share of positive labels, or None."""
        if self.positive_count is None or self.row_count == 0:
            return None
        return self.positive_count / self.row_count


class CorpusNote(Record):
    """What the model learnt from. `excluded_rows` counts rows left out, by reason."""

    table: str
    label: str
    as_of_days: tuple[dt.date, ...] = ()
    parts: tuple[CorpusPart, ...]
    excluded_rows: dict[str, RowCount] = Field(default_factory=dict)


class MetricNote(Record):
    """A metric on the holdout, with its confidence interval, beside the previous champion's."""

    name: str
    unit: str = ""
    value: float
    low: float | None = None
    high: float | None = None
    champion_value: float | None = None
    is_higher_better: bool


class SegmentNote(Record):
    """Gain in the main metric in one segment of the holdout, over the champion before or, without one, the baseline.

    `is_tolerated` is the gate's verdict.
    """

    column: str
    value: str
    row_count: RowCount
    gain: float | None
    is_tolerated: bool


class BusinessNote(Record):
    """The business figure on the holdout, its unit, and the assumptions behind it in words."""

    name: str
    unit: str
    value: float
    champion_value: float | None = None
    is_higher_better: bool = True
    assumptions: str


class ReliabilityBin(Record):
    """Holdout rows of similar predicted probability."""

    mean_predicted: Fraction
    observed_share: Fraction
    row_count: RowCount


class CalibrationNote(Record):
    """How far probabilities can be taken at their word. `error`: expected calibration error, 0 to 1."""

    error: Fraction
    method: str
    bins: tuple[ReliabilityBin, ...] = ()


class FeatureNote(Record):
    """A feature, its unit, how it is computed, and its share of the total importance."""

    name: str
    importance: Fraction
    unit: str
    formula: str


class CandidateNote(Record):
    """One row of the leaderboard, on the validation part; `failure` says why there is no value."""

    algorithm: str
    value: float | None
    standard_error: float | None = None
    fit_seconds: float | None = None
    is_chosen: bool = False
    failure: str = ""


class Stamps(Record):
    """From what exactly the version was made; enough to make it again and compare."""

    bundle_sha256: str
    corpus_sha256: str
    config_sha256: str
    feed_versions_sha256: str
    environment_lock_sha256: str
    git_commit: str
    is_git_dirty: bool
    dagster_run_id: str
    mlflow_run: str


class ModelCard(Record):
    """Everything the card shows. Times are UTC; days are the data's, never the wall clock's."""

    use_case: str
    model: str
    segment: str
    task: Task
    description: str
    owner: str
    version: str
    algorithm: str
    metric: str
    decision: DecisionNote
    corpus: CorpusNote
    metrics: tuple[MetricNote, ...]
    segments: tuple[SegmentNote, ...] = ()
    business: BusinessNote | None = None
    calibration: CalibrationNote | None = None
    features: tuple[FeatureNote, ...]
    leaderboard: tuple[CandidateNote, ...]
    intended_use: str
    limits: tuple[str, ...]
    stamps: Stamps

    @model_validator(mode="after")
    def _holds_its_main_metric(self) -> ModelCard:
        if self.metric not in {metric.name for metric in self.metrics}:
            raise ValueError(f"`metrics` has no value for the main metric {self.metric!r}")
        return self

    @property
    def title(self) -> str:
        """Heading of the card, also its entry in the index page."""
        return f"Model card: {self.use_case} / {self.model} / {self.segment}, version {self.version}"

    @property
    def main_metric(self) -> MetricNote:
        """The metric the gate decided on."""
        return next(metric for metric in self.metrics if metric.name == self.metric)

    @property
    def data_day(self) -> dt.date | None:
        """Newest as-of day in the corpus."""
        return max(self.corpus.as_of_days, default=None)
