"""What a use case asks of the learning stages: corpus, split, model, gate.

Belongs here: the typed shape of those requests and the checks that need no other file. Does not belong
here: reading YAML (mlops_assets.config) or doing the work (corpus, leaderboard, gate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

Task = Literal["binary", "multiclass", "regression", "quantile"]
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
TableKey = Annotated[str, Field(pattern=r"^(feeds|etl)/[a-z][a-z0-9_]{0,62}$")]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class TimeSplit(Record):
    """Train, validation and holdout by as-of day, oldest first; the holdout is the newest part.

    Parts are purged: the label window of an earlier part ends before the first as-of day of the next. While
    history is short, train may have fewer as-of days than asked for, but not fewer than
    `train_as_ofs_min`. With `kind: time`, `train_as_ofs`, `validation_as_ofs` and `holdout_as_ofs` are numbers of
    as-of days, `as_of_every_days` apart.
    """

    kind: Literal["time"] = "time"
    as_of_every_days: int = Field(7, ge=1, le=60)
    train_as_ofs: int = Field(2, ge=1, le=60)
    train_as_ofs_min: int = Field(1, ge=1, le=60)
    validation_as_ofs: int = Field(1, ge=1, le=20)
    holdout_as_ofs: int = Field(1, ge=1, le=20)

    @model_validator(mode="after")
    def _min_within_asked(self) -> TimeSplit:
        if self.train_as_ofs_min > self.train_as_ofs:
            raise ValueError("`train_as_ofs_min` is more than `train_as_ofs`")
        return self


class HashSplit(Record):
    """Stratified random split by a hash of the entity key (`kind: hash`), for snapshots that carry no date.

    `validation_share` and `holdout_share` are of all rows. Another `seed` divides otherwise.
    """

    kind: Literal["hash"] = "hash"
    validation_share: Share = 0.15
    holdout_share: Share = 0.2
    seed: int = Field(0, ge=0)


class RowCondition(Record):
    """Rows of a label's table: columns with `one_of` some values, and columns with `at_least` a number."""

    one_of: dict[ColumnName, list[str]] = {}
    at_least: dict[ColumnName, float] = {}

    @model_validator(mode="after")
    def _values_given(self) -> RowCondition:
        _require_values("one_of", self.one_of)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the condition reads."""
        return (*self.one_of, *self.at_least)


class EventLabel(Record):
    """`kind: event`: what happens to the entity within (as_of, as_of + horizon_days], by the rows of `table`.

    Without `value`, 1 if there is a row, else 0 (task binary); with it, the sum or the maximum (`reduce`) of that
    column over the rows, 0 without any (regression, quantile; of a maximum also multiclass: a severity). With
    `days_until_first`, the days from the as-of day to the first row, `horizon_days` without any: a mean restricted to
    the horizon (regression, quantile). `windows_days` asks the same by classes: `within_1`, `within_3`, ... days, or
    `none` (multiclass).

    `where` lets only rows count whose columns have one of the given values. With `given`, only entities with a row
    that fits it have a label at all, and no other row counts: what people answer is learned from those asked. An
    empty `given` leaves out whoever was not heard of in the window: nobody saw what happened.
    """

    kind: Literal["event"] = "event"
    table: TableKey
    horizon_days: int = Field(ge=1, le=400)
    where: dict[ColumnName, list[str]] = {}
    given: RowCondition | None = None
    value: ColumnName | None = None
    reduce: Literal["sum", "max"] = "sum"
    days_until_first: bool = False
    windows_days: list[Annotated[int, Field(ge=1, le=400)]] = []

    @model_validator(mode="after")
    def _is_one_question(self) -> EventLabel:
        _require_values("where", self.where)
        if self.reduce == "max" and self.value is None:
            raise ValueError("`reduce: max` needs a `value`")
        asked = {
            "value": self.value,
            "days_until_first": self.days_until_first,
            "windows_days": self.windows_days,
        }
        if len(given := [f"`{name}`" for name, one in asked.items() if one]) > 1:
            raise ValueError(f"{' and '.join(given)} are {len(given)} labels; a model has one")
        windows = self.windows_days
        if windows and (windows != sorted(set(windows)) or windows[-1] != self.horizon_days):
            raise ValueError(
                f"`windows_days` rise and end with `horizon_days`; found {windows}, horizon {self.horizon_days}"
            )
        return self

    @property
    def is_number(self) -> bool:
        """Whether the label is a number rather than yes or no, or a class."""
        return self.value is not None or self.days_until_first

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks that the label is for."""
        if self.windows_days:
            return ("multiclass",)
        if not self.is_number:
            return ("binary",)
        numeric: tuple[Task, ...] = ("regression", "quantile")
        return ("multiclass", *numeric) if self.reduce == "max" else numeric

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the label reads, beside the entity's key."""
        given = self.given.columns if self.given else ()
        return tuple(dict.fromkeys([*given, *self.where, *([self.value] if self.value else [])]))


def _require_values(key: str, conditions: Mapping[str, Sequence[str]]) -> None:
    if empty := sorted(name for name, values in conditions.items() if not values):
        raise ValueError(f"`{key}` names no value of {', '.join(empty)}")


class ColumnLabel(Record):
    """`kind: column`: a `column` of the corpus table itself; task binary: `positive` is the value that counts as 1."""

    kind: Literal["column"] = "column"
    column: ColumnName
    positive: str | None = None


class CorpusSpec(Record):
    """Rows of the training corpus.

    `table` holds one row per entity and day (or per entity, for snapshots); `filter_equals` keeps rows
    whose column has the value; `min_history_days` is the oldest age, in days since the first delivered
    day, of a usable as-of day; `max_rows_per_as_of` samples entities by hash (0 keeps all).

    Attributes:
        entity_key: column that names the entity; all rows of one entity are in one part of a hash split.
        split: how rows are divided into train, validation and holdout.
    """

    table: TableKey
    entity_key: ColumnName
    filter_equals: dict[ColumnName, str] = {}
    min_history_days: int = Field(14, ge=0, le=3650)
    max_rows_per_as_of: int = Field(0, ge=0)
    split: Annotated[TimeSplit | HashSplit, Field(discriminator="kind")] = TimeSplit()


class RetrainingSpec(Record):
    """When drift retrains the models of a use case.

    Attributes:
        monitors: whose behaviour shifts count (`configs/quality`); none means never.
        cooldown_days: days of data between two attempts for one shift.
        max_attempts: for one shift; afterwards the champion stays until a person or the next shift decides.
    """

    monitors: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]] = []
    cooldown_days: int = Field(7, ge=1, le=90)
    max_attempts: int = Field(4, ge=1, le=20)


class WarmStartSpec(Record):
    """How a champion is continued when drift retrains it, instead of being fitted from nothing.

    Attributes:
        trees: most trees that are added.
        recent_share: of the training rows, the newest, that they are fitted on.
        cold_every: the algorithms are fitted from nothing at every so manieth retraining, beside the continued
            champion; 1 for always. After any decision other than a promotion they are, too.
        max_trees: a champion that would grow larger is not continued.
    """

    trees: int = Field(60, ge=1, le=2_000)
    recent_share: float = Field(0.3, gt=0.0, le=1.0)
    cold_every: int = Field(4, ge=1, le=100)
    max_trees: int = Field(1_000, ge=2, le=20_000)


class SearchDimension(Record):
    """What Optuna may try on the validation part: one of `choices`, or numbers from `low` to `high`.

    `log` searches the range on the log scale, `integer` tries whole numbers only.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    choices: list[str | int | float | bool] | None = None

    @model_validator(mode="after")
    def _range_or_choices(self) -> SearchDimension:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give either `choices` or both `low` and `high`")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        return self


class AlgorithmSpec(Record):
    """One candidate of the leaderboard: fixed hyperparameters and, optionally, a search space.

    Attributes:
        hyperparameters: fixed values; those that the algorithm does not know are refused.
        search: hyperparameters that are searched, by name.
        search_trials: how many settings are tried; 0 for no search.
    """

    hyperparameters: dict[str, Any] = {}
    search: dict[str, SearchDimension] = {}
    search_trials: int = Field(0, ge=0, le=500)


class BusinessSpec(Record):
    """Business figure of a binary model: contact the `contact_share` riskiest entities.

    Value in USD = contacted true positives x (retention_rate x saved_margin_usd) - contacted x contact_cost_usd, per
    1,000 entities. Direction: higher is better.

    Attributes:
        name: of the figure in reports.
        retention_rate: share of contacted leavers who stay.
        saved_margin_usd: margin of one who stays.
        contact_cost_usd: cost of one contact.
    """

    name: str = "expected_retained_margin_usd_per_1000"
    contact_share: Share = 0.05
    retention_rate: Share = 0.3
    saved_margin_usd: float = Field(gt=0.0)
    contact_cost_usd: float = Field(ge=0.0)


class GateSpec(Record):
    """Thresholds of the promotion gate.

    `min_gain`: required gain of the challenger over the champion in the metric's own unit (with 0, any above it:
    equal models do not take turns), the lower bound of whose paired bootstrap interval (level `confidence`) must not
    lie below `-max_regret`. `floor`: absolute worst acceptable metric value. `segment_tolerance`: largest loss allowed
    in any value of `segment_columns` with at least `min_segment_rows` rows. `max_calibration_error`: expected
    calibration error for probabilities. `max_latency_ms_per_1000_rows`: scoring time.

    Attributes:
        max_regret: loss against the champion that the lower bound may still admit.
        bootstrap_rounds: resamples of the paired interval.
        min_holdout_rows: a smaller holdout promotes nobody.
        min_holdout_positives: fewer positives in the holdout promote nobody (binary).
    """

    min_gain: float = Field(0.0, ge=0.0)
    max_regret: float = Field(0.005, ge=0.0)
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    bootstrap_rounds: int = Field(200, ge=50, le=10_000)
    floor: float | None = None
    min_holdout_rows: int = Field(200, ge=1)
    min_holdout_positives: int = Field(20, ge=0)
    segment_columns: list[ColumnName] = []
    segment_tolerance: float = Field(0.05, ge=0.0)
    min_segment_rows: int = Field(200, ge=1)
    max_calibration_error: float | None = Field(None, gt=0.0, le=1.0)
    max_latency_ms_per_1000_rows: float | None = Field(None, gt=0.0)


class AlertSpec(Record):
    """When a binary model's score becomes an alert for people who can look at `capacity_per_day` of them.

    With calibrated probabilities the expected cost is lowest if everything with
    P(event) > false_alarm_usd / (false_alarm_usd + missed_event_usd) is an alert (Elkan 2001).
    `missed_event_usd` is the cost of an event without alert, `false_alarm_usd` of an alert without event.
    """

    missed_event_usd: float = Field(gt=0.0)
    false_alarm_usd: float = Field(gt=0.0)
    capacity_per_day: int = Field(ge=1)

    @property
    def threshold(self) -> float:
        """Probability above which an alert is worth its cost."""
        return self.false_alarm_usd / (self.false_alarm_usd + self.missed_event_usd)


class FleetSpec(Record):
    """One model per group of entities beside the pooled one, which every group falls back on.

    Attributes:
        group_column: a text feature; the pooled model keeps it as a feature, a group's own does not have it.
        min_rows: training rows below which a group shares the pooled model.
        min_minority_rows: fewest training rows outside the commonest class (classification).
        shrinkage_rows: a group of n training rows is predicted n / (n + shrinkage_rows) by its own model and the
            rest by the pooled one; 0 for no shrinkage.
        false_discovery_rate: largest expected share of groups without true gain among those that get a model of
            their own (Benjamini and Hochberg 1995, over all groups of a training).
        most_groups: a column with more values is refused; it names entities rather than groups.
        algorithms: candidates of a group; those of the model if empty.
        gate: for a group's holdout, which is small.
    """

    group_column: ColumnName
    min_rows: int = Field(200, ge=2)
    min_minority_rows: int = Field(10, ge=1)
    shrinkage_rows: float = Field(200.0, ge=0.0)
    false_discovery_rate: float = Field(0.05, gt=0.0, lt=0.5)
    most_groups: int = Field(5000, ge=1, le=100_000)
    algorithms: dict[str, AlgorithmSpec] = {}
    gate: GateSpec = GateSpec(min_holdout_rows=50, min_holdout_positives=5)


class ModelSpec(Record):
    """One model of a use case: label, features, candidates, metric and gate.

    With `warm_start`, drift continues a champion that can be continued, and of candidates within one standard error
    one that can be is preferred. `fleet` fits one model per group beside it; `alerts` says what a prediction is worth
    acting on.

    Attributes:
        task: what is predicted: yes or no, a class, a mean, a quantile.
        label: the question that is learned.
        features: columns of the corpus table.
        algorithms: candidates of the leaderboard, by name.
        metric: by which candidates and champions are compared.
        quantile: which one, for task `quantile`.
        calibrate: whether probabilities are calibrated on the validation part (binary).
        seed: the same seed gives the same model.
        gate: what a challenger has to reach.
        business: a figure in money beside the metric (binary).
    """

    task: Task
    label: Annotated[EventLabel | ColumnLabel, Field(discriminator="kind")]
    features: list[ColumnName] = Field(min_length=1)
    algorithms: dict[str, AlgorithmSpec] = Field(min_length=1)
    metric: str
    quantile: float | None = Field(None, gt=0.0, lt=1.0)
    calibrate: bool = False
    seed: int = Field(0, ge=0)
    warm_start: WarmStartSpec | None = None
    gate: GateSpec = GateSpec()
    business: BusinessSpec | None = None
    fleet: FleetSpec | None = None
    alerts: AlertSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if len(set(self.features)) != len(self.features):
            raise ValueError("a feature is named twice")
        if (self.task == "quantile") != (self.quantile is not None):
            raise ValueError("`quantile` goes with task quantile, and only with it")
        if isinstance(self.label, EventLabel):
            wanted = self.label.tasks
            if self.task not in wanted:
                raise ValueError(
                    f"the label is for task {' or '.join(wanted)}, not {self.task}; see `label.value` and "
                    "`label.days_until_first`"
                )
        if self.business is not None and self.task != "binary":
            raise ValueError("`business` needs task binary")
        if self.alerts is not None and not (self.task == "binary" and self.calibrate):
            raise ValueError(
                "`alerts` compares costs with probabilities: it needs task binary and `calibrate`"
            )
        if self.fleet is not None and self.fleet.group_column not in self.features:
            raise ValueError(f"`fleet.group_column` {self.fleet.group_column} must be one of the features")
        if self.fleet is not None and len(self.features) == 1:
            raise ValueError("a group's own model would have no feature: the group is the only one")
        return self
