"""Days run one after another in this process: what `mlops run` and the demo do.

Belongs here: the order of runs and what is told of each day. Does not belong here: which days and slots are
due (config.run_plan), the graph (definitions) or arguments (run).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import click

from mlops_assets.commands.mailbox import deliver_due_mails
from mlops_assets.commands.sensor_ticks import learning_sensors, tick
from mlops_assets.config import names
from mlops_assets.config.policy_slots import follow_up_keys
from mlops_assets.config.run_plan import all_slots, day_log_partition, plan_days
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.feeds.arrival import DueDay
from mlops_assets.domain.ports import LedgerEntry, PartitionId

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.commands.workspace import Workspace

# Run logs stay in Dagster's event log; the terminal shows one line a day.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

# State in the day's log -> state of a refusal.
_STATES = {"absent": "missing", "held": "held"}


class CommandInterruptedError(click.ClickException):
    """Somebody stopped the command; nothing half-written is visible, and it goes on where it was stopped."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted; the same command goes on from here")


@dataclass(frozen=True)
class Refusal:
    """A file that was not used, why, and whether it was `missing`, `held` or `refused`."""

    feed: str
    geography: str
    reason: str
    state: str


@dataclass(frozen=True)
class DayResult:
    """What one day brought. `status` is built, unchanged, incomplete (a geography lacks a feed) or failed."""

    day: dt.date
    status: str
    seconds: float = 0.0
    rows: int = 0
    quarantined_rows: int = 0
    scored_rows: int = 0
    refused: tuple[Refusal, ...] = ()
    failures: tuple[str, ...] = ()
    decisions: tuple[LedgerEntry, ...] = ()
    undelivered: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[str, ...]:
        """Return one line per refusal, failure and mail that could not be delivered."""
        refused = (f"{one.geography}: {one.reason}" for one in self.refused)
        return (*refused, *self.failures, *self.undelivered)


@dataclass(frozen=True)
class TrainingOutcome:
    """What one training run decided, or why it failed."""

    use_case: str
    segment: str
    succeeded: bool
    findings: tuple[str, ...] = ()
    decisions: tuple[LedgerEntry, ...] = ()

    def text(self) -> str:
        """Return one line per decision or finding."""
        decided = [
            f"{e.slot.registered_name} version {e.version} {e.outcome}: {'; '.join(e.reasons)}"
            for e in self.decisions
        ]
        head = f"{self.use_case} {self.segment}: {'done' if self.succeeded else 'failed'}"
        return "\n".join([head, *(f"  {line}" for line in (*decided, *self.findings))])


@dataclass(frozen=True)
class WatchOutcome:
    """Whether all watched snapshots were replayed, and one line for each refusal, failure and undelivered mail."""

    succeeded: bool
    findings: tuple[str, ...] = ()


@dataclass
class Replay:
    """Runs due days of a workspace in order, and first trainings between them.

    Args:
        workspace: configuration, resources and definitions.
        instance: Dagster instance that records the runs.
    """

    workspace: Workspace
    instance: dg.DagsterInstance
    _jobs: dict[str, dg.JobDefinition] = field(default_factory=dict)
    _failed: dict[dt.date, str] = field(default_factory=dict)

    def run(
        self,
        first: dt.date,
        last: dt.date,
        on_day: Callable[[DayResult], None],
        *,
        rebuild_from: dt.date | None = None,
    ) -> list[DayResult]:
        """Run every due day between `first` and `last`, both included.

        Days are seen as they were: before each, earlier days (from `rebuild_from` on, by default `first`) whose
        files were delivered again are rebuilt. Days that are up to date are skipped.
        """
        results = []
        for day in _days(first, last):
            for result in self._run_until(rebuild_from or first, day):
                results.append(result)
                on_day(result)
        return results

    def _run_until(self, first: dt.date, day: dt.date) -> Iterator[DayResult]:
        platform = self.workspace.platform
        due = {
            d.day: d
            for d in plan_days(
                self.workspace.config,
                platform.landing,
                platform.lake,
                platform.ledger,
                until=day,
                releases=platform.releases,
            )
            # What failed is tried again by the next command, not before each of the days to come.
            if d.day >= first and self._failed.get(d.day) != d.fingerprint
        }
        for earlier in sorted(set(due) - {day}):
            yield self._run_day(earlier, due[earlier])
        yield self._run_day(day, due.get(day), trains=True)

    def _run_day(self, day: dt.date, due: DueDay | None, *, trains: bool = False) -> DayResult:
        started = time.monotonic()
        status: str = "unchanged"
        refused: tuple[Refusal, ...] = ()
        failures: tuple[str, ...] = ()
        if due is not None:
            tags = {names.TAG_REASON: due.reason, names.TAG_DELIVERY: due.fingerprint}
            succeeded, refused, failures = self._execute(names.DAILY_JOB, day.isoformat(), tags)
            status = ("incomplete" if refused else "built") if succeeded else "failed"
            if not succeeded:
                self._failed[day] = due.fingerprint
        elif not self._is_built(day):
            status, failures = "failed", (f"nothing was delivered for {day}",)
        elif refused := tuple(self._absent(day)):
            status = "incomplete"
        not_trained, decisions = self._train_due(day) if trains else ((), ())
        return DayResult(
            day=day,
            status="failed" if not_trained else status,
            seconds=time.monotonic() - started,
            **self._counts(day),
            refused=refused,
            failures=(*failures, *not_trained),
            decisions=decisions,
            undelivered=self._deliver_mails(),
        )

    def _deliver_mails(self) -> tuple[str, ...]:
        """Return what could not be delivered; mails wait in the outbox and fail no day."""
        try:
            return tuple(deliver_due_mails(self.workspace.platform).findings())
        except StorageError as error:
            return (f"mails: {error}",)

    def _is_built(self, day: dt.date) -> bool:
        return self.workspace.platform.lake.manifest(day_log_partition(day)) is not None

    def _absent(self, day: dt.date) -> Iterator[Refusal]:
        """Yield what a day was built without."""
        manifest = self.workspace.platform.lake.manifest(day_log_partition(day))
        for row in manifest.facts["feeds"] if manifest else ():
            if state := _STATES.get(row["state"]):
                hint = " (`mlops feeds list`)" if state == "held" else ""
                reason = f"{row['feed']} of {day} is still {state}{hint}"
                yield Refusal(row["feed"], row["geography"], reason, state)

    def _train_due(self, day: dt.date) -> tuple[tuple[str, ...], tuple[LedgerEntry, ...]]:
        """Let the sensors look at the day and run what they request."""
        outcomes = [
            self._run_request(sensor, request)
            for sensor in learning_sensors(self.workspace.definitions)
            for request in tick(sensor, self.workspace, self.instance, day)
        ]
        failures = tuple(text for outcome in outcomes if not outcome.succeeded for text in outcome.findings)
        return failures, tuple(entry for outcome in outcomes for entry in outcome.decisions)

    def _run_request(self, sensor: dg.SensorDefinition, request: dg.RunRequest) -> TrainingOutcome:
        job_name, segment = str(sensor.job_name), str(request.partition_key)
        only = [list(key.path) for key in request.asset_selection or ()]
        tags = {**request.tags, "dagster/sensor_name": sensor.name}
        if request.run_key:
            tags["dagster/run_key"] = request.run_key
        if job_name.startswith(names.TRAINING_JOB):
            return self._train(job_name.removeprefix(f"{names.TRAINING_JOB}_"), segment, tags, only)
        succeeded, _, failures = self._execute(job_name, segment, tags, only=only)
        return TrainingOutcome(job_name, segment, succeeded, failures)

    def train(
        self, use_case: str, segment: str, as_of_day: dt.date | None, reason: str = "by hand", shift: str = ""
    ) -> TrainingOutcome:
        """Train all models of one segment.

        Args:
            use_case: its name.
            segment: geography, or `all`.
            as_of_day: last day whose data count; None for the newest day that is built.
            reason: for people.
            shift: `monitor/day` of the behaviour shift that is answered; champions may be continued for one only.
        """
        tags = {names.TAG_REASON: reason}
        if shift:
            tags[names.TAG_SHIFT] = shift
        if as_of_day:
            tags[names.TAG_AS_OF_DAY] = as_of_day.isoformat()
        return self._train(use_case, segment, tags)

    def _train(
        self, use_case: str, segment: str, tags: dict[str, str], only: Sequence[list[str]] = ()
    ) -> TrainingOutcome:
        ledger = self.workspace.platform.ledger
        slots = [
            slot
            for slot in all_slots(self.workspace.config)
            if (slot.use_case, slot.segment) == (use_case, segment)
        ]
        before = {slot: len(ledger.history(slot)) for slot in slots}
        succeeded, _, failures = self._execute(names.training_job(use_case), segment, tags, only)
        decisions = tuple(entry for slot in slots for entry in ledger.history(slot)[before[slot] :])
        return TrainingOutcome(use_case, segment, succeeded, failures, decisions)

    def watch(self) -> WatchOutcome:
        """Land the snapshots that monitors watch and replay all their days; needs at least one such monitor."""
        tags = {names.TAG_REASON: "by hand"}
        succeeded, refused, failures = self._execute(names.SNAPSHOT_QUALITY_JOB, None, tags)
        reasons = tuple(one.reason for one in refused)
        return WatchOutcome(succeeded, (*reasons, *failures, *self._deliver_mails()))

    def follow_up(self, entry: LedgerEntry) -> tuple[str, ...]:
        """Move what serves by a decision about a model, renew what shows it; return what failed."""
        tags = {names.TAG_REASON: f"version {entry.version} {entry.outcome} by {entry.decided_by}"}
        keys = follow_up_keys(self.workspace.config, entry.slot)
        job_name = names.follow_up_job(entry.slot.use_case)
        return tuple(
            failure
            for key in keys
            for failure in self._execute(job_name, entry.slot.segment, tags, only=[key])[2]
        )

    def _execute(
        self,
        job_name: str,
        partition_key: str | None,
        tags: dict[str, str],
        only: Sequence[list[str]] = (),
    ) -> tuple[bool, tuple[Refusal, ...], tuple[str, ...]]:
        import dagster as dg

        if job_name not in self._jobs:
            self._jobs[job_name] = self.workspace.definitions.resolve_job_def(job_name)
        result = self._jobs[job_name].execute_in_process(
            partition_key=partition_key,
            instance=self.instance,
            raise_on_error=False,
            tags=tags,
            run_config=QUIET,
            asset_selection=[dg.AssetKey(key) for key in only] or None,
        )
        if _is_interrupted(result):
            raise CommandInterruptedError
        return result.success, tuple(_refused(result)), tuple(_failures(result))

    def _counts(self, day: dt.date) -> dict[str, int]:
        config, lake = self.workspace.config, self.workspace.platform.lake
        feeds = [
            lake.manifest(PartitionId(f"feeds/{f.name}", g, day))
            for f in config.daily_feeds()
            for g in config.geographies
        ]
        scores = [
            lake.manifest(PartitionId(names.scores_table(use_case, model), segment, day))
            for use_case, segments in config.use_cases.items()
            for segment, settings in segments.items()
            for model in settings.models
        ]
        return {
            "rows": sum(m.row_count for m in feeds if m),
            "quarantined_rows": sum(sum(m.facts["quarantined"].values()) for m in feeds if m),
            "scored_rows": sum(m.row_count for m in scores if m),
        }


def _days(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    for offset in range((last - first).days + 1):
        yield first + dt.timedelta(days=offset)


def _refused(result: dg.ExecuteInProcessResult) -> Iterator[Refusal]:
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.check_name == names.CHECK_DELIVERY:
            by_geography = cast("dict[str, list[str]]", check.metadata[names.REFUSED_METADATA].value)
            states = cast("dict[str, str]", check.metadata[names.STATES_METADATA].value)
            feed = check.asset_key.path[-1]
            for geography, reasons in by_geography.items():
                yield from (Refusal(feed, geography, reason, states[geography]) for reason in reasons)


def _is_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Return whether SIGINT or SIGTERM ended the run; Dagster takes it for a failure and would go on with the next."""
    from dagster._core.events import RunFailureReason

    ended = result.filter_events(lambda event: event.is_job_failure)
    return any(
        event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION for event in ended
    )


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.filter_events(lambda e: e.is_step_failure):
        error = event.step_failure_data.error
        cause = error.cause if error and error.cause else error
        yield f"{event.step_key}: {cause.message.strip().splitlines()[0] if cause else 'failed'}"
