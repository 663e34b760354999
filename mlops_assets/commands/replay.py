"""Days run one after another in this process: what `mlops run` and the demo do.

Belongs here: the order of runs and what is told of each day. Does not belong here: which days and slots are
due (config.run_plan), the graph (definitions) or arguments (run).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import click

from mlops_assets.commands.job_runs import JobResult, JobRun, JobRunner, Refusal
from mlops_assets.commands.mailbox import deliver_due_mails
from mlops_assets.commands.sensor_ticks import learning_sensors, requests_training, tick
from mlops_assets.config import names
from mlops_assets.config.policy_slots import follow_up_keys
from mlops_assets.config.run_plan import day_log_partition, plan_days
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.feeds.arrival import DueDay
from mlops_assets.domain.feeds.delivery_record import feed_partition
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from resources.own_runs import fail_deserted_runs

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.commands.landing_ahead import LandingAhead
    from mlops_assets.commands.workspace import Workspace

_BY_HAND = "by hand"
# State in the day's log -> state of a refusal.
_STATES = {"absent": "missing", "held": "held"}


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
        ahead: what reads the feeds of coming days, if anything does (`landing_ahead.open_landing_ahead`).
    """

    workspace: Workspace
    instance: dg.DagsterInstance
    ahead: LandingAhead | None = None
    _failed: dict[dt.date, str] = field(default_factory=dict)
    _cursors: dict[str, str] = field(default_factory=dict)  # of sensors

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
        for day in days_between(first, last):
            for result in self._run_until(rebuild_from or first, day):
                results.append(result)
                on_day(result)
        return results

    def _run_until(self, first: dt.date, day: dt.date) -> Iterator[DayResult]:
        due = {one.day: one for one in self.due_days(first, day)}
        for earlier in sorted(set(due) - {day}):
            yield self.run_day(earlier, due[earlier])
        yield self.run_day(day, due.get(day), trains=True)

    def due_days(self, first: dt.date, day: dt.date) -> list[DueDay]:
        """Return what is due from `first` to `day` as of that day, oldest first."""
        platform = self.workspace.platform
        return [
            d
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
        ]

    def run_day(self, day: dt.date, due: DueDay | None, *, trains: bool = False) -> DayResult:
        """Run a day if it is due, with `trains` what sensors ask for on it too, and tell how it stands."""
        started = time.monotonic()
        status: str = "unchanged"
        refused: tuple[Refusal, ...] = ()
        failures: tuple[str, ...] = ()
        if due is not None:
            status, refused, failures = self._build(due)
        elif not self.is_built(day):
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

    def _build(self, due: DueDay) -> tuple[str, tuple[Refusal, ...], tuple[str, ...]]:
        done = self.build(due)
        if not done.succeeded:
            self._failed[due.day] = due.fingerprint
        return day_status(done), done.refused, done.failures

    def build(self, due: DueDay, *, is_history: bool = False) -> JobResult:
        """Run a due day, or only what history has of it; feeds that were read ahead are not read again."""
        keys = self.runner.asset_keys(names.DAILY_JOB)
        keys = tuple(key for key in keys if names.is_history(key)) if is_history else keys
        landed = self.ahead.take(due) if self.ahead is not None else None
        if landed is None:
            return self.runner.execute(daily_run(due, keys if is_history else ()))
        built = self.runner.execute(daily_run(due, tuple(key for key in keys if not names.is_feed(key))))
        return JobResult(
            built.succeeded, (*landed.refused, *built.refused), (*landed.failures, *built.failures)
        )

    def tell_day(self, day: dt.date, done: JobResult, seconds: float) -> DayResult:
        """Send the mails of a day that was run elsewhere, and tell what it brought."""
        return DayResult(
            day=day,
            status=day_status(done),
            seconds=seconds,
            **self._counts(day),
            refused=done.refused,
            failures=done.failures,
            decisions=(),
            undelivered=self._deliver_mails(),
        )

    def _deliver_mails(self) -> tuple[str, ...]:
        """Return what could not be delivered; mails wait in the outbox and fail no day."""
        try:
            return tuple(deliver_due_mails(self.workspace.platform).findings())
        except StorageError as error:
            return (f"mails: {error}",)

    def is_built(self, day: dt.date) -> bool:
        """Return whether the day has been built, now or before."""
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
        """Let the sensors look at the day and run what they request: what people decided, and then trainings."""
        outcomes: list[TrainingOutcome] = []
        asked: list[JobRun] = []
        for _, together in groupby(learning_sensors(self.workspace.definitions), requests_training):
            sensors = list(together)
            while runs := self._find_requests(sensors, day, asked):
                asked += runs
                outcomes += self._run_requests(runs)
        failures = tuple(text for outcome in outcomes if not outcome.succeeded for text in outcome.findings)
        return failures, tuple(entry for outcome in outcomes for entry in outcome.decisions)

    def _find_requests(
        self, sensors: Iterable[dg.SensorDefinition], day: dt.date, asked: Sequence[JobRun]
    ) -> list[JobRun]:
        """Return what sensors ask for, but for what they have asked for already: what has failed stays so for the day.

        Of runs of the same assets only the first: what it decides may settle what the next is asked for.
        """
        found: dict[tuple[object, ...], JobRun] = {}
        for sensor in sensors:
            for request in tick(sensor, self.workspace, self.instance, day, self._cursors):
                run = _job_run(sensor, request)
                if run not in asked:
                    found.setdefault((run.job_name, run.partition_key, run.only), run)
        return list(found.values())

    def _run_requests(self, runs: Sequence[JobRun]) -> list[TrainingOutcome]:
        """Run what sensors ask for on a day; different segments beside each other, one segment's in order."""
        by_segment: dict[str | None, list[JobRun]] = {}
        for run in runs:
            by_segment.setdefault(run.partition_key, []).append(run)
        return self._train(list(by_segment.values()))

    def train(
        self, use_case: str, segment: str, as_of_day: dt.date | None, *, shift: str = ""
    ) -> TrainingOutcome:
        """Train all models of one segment because somebody asks for it.

        Args:
            use_case: its name.
            segment: geography, or `all`.
            as_of_day: last day whose data count; None for the newest day that is built.
            shift: `monitor/day` of the behaviour shift that is answered; champions may be continued for one only.
        """
        tags = {names.TAG_REASON: _BY_HAND}
        if shift:
            tags[names.TAG_SHIFT] = shift
        if as_of_day:
            tags[names.TAG_AS_OF_DAY] = as_of_day.isoformat()
        return self._train([[JobRun(names.training_job(use_case), segment, tags)]])[0]

    def _train(self, chains: Sequence[Sequence[JobRun]]) -> list[TrainingOutcome]:
        """Run each segment's jobs and tell what each decided."""
        found = self.runner.execute_chains(chains)
        return [
            TrainingOutcome(
                use_case=run.job_name.removeprefix(f"{names.TRAINING_JOB}_"),
                segment=str(run.partition_key),
                succeeded=result.succeeded,
                findings=result.failures,
                decisions=result.decisions,
            )
            for chain, results in zip(chains, found, strict=True)
            for run, result in zip(chain, results, strict=True)
        ]

    def watch(self) -> WatchOutcome:
        """Land the snapshots that monitors watch and replay all their days; needs at least one such monitor."""
        tags = {names.TAG_REASON: _BY_HAND}
        done = self.runner.execute(JobRun(names.SNAPSHOT_QUALITY_JOB, None, tags))
        reasons = tuple(one.reason for one in done.refused)
        return WatchOutcome(done.succeeded, (*reasons, *done.failures, *self._deliver_mails()))

    def follow_up(self, entry: LedgerEntry) -> tuple[str, ...]:
        """Move what serves by a decision about a model, renew what shows it; return what failed."""
        tags = {names.TAG_REASON: f"version {entry.version} {entry.outcome} by {entry.decided_by}"}
        keys = follow_up_keys(self.workspace.config, entry.slot)
        job_name = names.follow_up_job(entry.slot.use_case)
        return tuple(
            failure
            for key in keys
            for failure in self.runner.execute(
                JobRun(job_name, entry.slot.segment, tags, (tuple(key),))
            ).failures
        )

    def serve(self, workspace: Workspace) -> Replay:
        """Return what runs days of another configuration of this data root, in the processes that are kept here."""
        replay = Replay(workspace, self.instance)
        replay.runner = self.runner.serve(workspace)
        return replay

    @cached_property
    def runner(self) -> JobRunner:
        """Return what runs the jobs of this workspace."""
        return JobRunner(self.workspace, self.instance)

    def _counts(self, day: dt.date) -> dict[str, int]:
        config, lake = self.workspace.config, self.workspace.platform.lake
        feeds = [
            lake.manifest(feed_partition(f.name, g, day))
            for f in config.daily_feeds()
            for g in config.geographies
        ]
        scores = [
            lake.manifest(PartitionId(scores_table(use_case, model), segment, day))
            for use_case, segments in config.use_cases.items()
            for segment, settings in segments.items()
            for model in settings.models
        ]
        return {
            "rows": sum(m.row_count for m in feeds if m),
            "quarantined_rows": sum(sum(m.facts["quarantined"].values()) for m in feeds if m),
            "scored_rows": sum(m.row_count for m in scores if m),
        }


@contextmanager
def open_replay(workspace: Workspace) -> Iterator[Replay]:
    """Open a workspace's instance, end what killed commands left unfinished there, and yield what runs days."""
    with workspace.open_instance() as instance:
        end_deserted_runs(instance)
        yield Replay(workspace, instance)


def end_deserted_runs(instance: dg.DagsterInstance) -> None:
    """Fail the runs whose command was killed, and say so; otherwise they would count as under way for ever."""
    for text in fail_deserted_runs(instance):
        click.echo(text, err=True)


def daily_run(due: DueDay, only: tuple[tuple[str, ...], ...] = ()) -> JobRun:
    """Return the run that builds a due day, or only some assets of it."""
    tags = {names.TAG_REASON: due.reason, names.TAG_DELIVERY: due.fingerprint}
    return JobRun(names.DAILY_JOB, due.day.isoformat(), tags, only)


def day_status(done: JobResult) -> str:
    """Return the status of a day that was run."""
    return ("incomplete" if done.refused else "built") if done.succeeded else "failed"


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield the days from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield first + dt.timedelta(days=offset)


def _job_run(sensor: dg.SensorDefinition, request: dg.RunRequest) -> JobRun:
    tags = {**request.tags, "dagster/sensor_name": sensor.name}
    if request.run_key:
        tags["dagster/run_key"] = request.run_key
    only = tuple(tuple(key.path) for key in request.asset_selection or ())
    return JobRun(str(sensor.job_name), str(request.partition_key), tags, only)
