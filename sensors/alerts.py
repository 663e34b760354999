"""Sensor: a run or a check has failed, queue the mail that says so.

Belongs here: reading failed runs and evaluated checks from Dagster's event log, each once. Does not belong here:
what is an alert and what its mail says (domain.reporting.alert_mail), or sending it (the outbox and its sensor).

The cursor says how far the log was read. It is stored after the mails were queued: a tick that is killed between the
two is read again, and the outbox knows its mails by report, partition and recipient.

PostgreSQL numbers a record when it is inserted and shows it when it is committed, so a lower number may appear after a
higher one. The cursor therefore stays behind what is younger than SETTLED_AFTER and names what it has read beyond.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.config import names
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.reporting.alert_mail import (
    EvaluatedCheck,
    FailedRun,
    FailedStep,
    make_alert_messages,
)

RECORDS_PER_TICK = 500
# Without a cursor (the first tick, or the first with recipients) older failures are history, not news.
FIRST_LOOK_BACK = dt.timedelta(days=1)
# No event takes as long from its number to its commit.
SETTLED_AFTER = dt.timedelta(minutes=1)


@dataclasses.dataclass(frozen=True)
class _Position:
    """How far the log was read, for each kind of record.

    Attributes:
        runs, checks: storage ids up to which everything was read; None before the first tick.
        runs_beyond, checks_beyond: ids above these that were read, too.
    """

    runs: int | None = None
    checks: int | None = None
    runs_beyond: tuple[int, ...] = ()
    checks_beyond: tuple[int, ...] = ()


def build_alerts_sensor(recipients: Sequence[str]) -> dg.SensorDefinition:
    """Return the sensor that queues a mail for every failed run and every failed check of severity ERROR."""

    @dg.sensor(
        name=names.ALERTS_SENSOR,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Queues a mail for each failed run and each failed check of severity ERROR. To whom: "
        "`alerts.recipients` of the environment.",
    )
    def alerts(context: dg.SensorEvaluationContext, outbox: dg.ResourceParam[Outbox]) -> dg.SkipReason:
        if not recipients:
            context.update_cursor("")  # whoever is named later is told of what fails then
            return dg.SkipReason("nobody is told: `alerts.recipients` of the environment is empty")
        now_utc = dt.datetime.now(dt.UTC)
        position, runs, checks = _read_new(context.instance, _parse_cursor(context.cursor), now_utc)
        messages = list(make_alert_messages(runs, checks, recipients))
        for message in messages:
            outbox.enqueue(message, now_utc)
        context.update_cursor(json.dumps(dataclasses.asdict(position)))
        return dg.SkipReason("; ".join(message.subject for message in messages) or "nothing has failed")

    return alerts


def _parse_cursor(cursor: str | None) -> _Position:
    """Return the stored position; a cursor that somebody has edited counts as none."""
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return _Position()
    values = found if isinstance(found, dict) else {}
    runs, checks = (one if isinstance(one := values.get(name), int) else None for name in ("runs", "checks"))
    return _Position(runs, checks, _ids(values.get("runs_beyond")), _ids(values.get("checks_beyond")))


def _ids(value: object) -> tuple[int, ...]:
    return tuple(one for one in value if isinstance(one, int)) if isinstance(value, list) else ()


def _read_new(
    instance: dg.DagsterInstance, position: _Position, now_utc: dt.datetime
) -> tuple[_Position, list[FailedRun], list[EvaluatedCheck]]:
    """Return what is new since a position, oldest first, and the position after it."""
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    of_runs, of_checks = dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION
    failures = _read_kind(instance, of_runs, position.runs, position.runs_beyond, newest, now_utc)
    evaluations = _read_kind(instance, of_checks, position.checks, position.checks_beyond, newest, now_utc)
    after = _Position(failures.settled, evaluations.settled, failures.beyond, evaluations.beyond)
    runs = [_failed_run(instance, record) for record in failures.records]
    return after, runs, [_evaluated_check(instance, record) for record in evaluations.records]


@dataclasses.dataclass(frozen=True)
class _Read:
    """New records of one kind, and how far they were read."""

    records: list[dg.EventLogRecord]
    settled: int
    beyond: tuple[int, ...]


def _read_kind(
    instance: dg.DagsterInstance,
    kind: dg.DagsterEventType,
    settled: int | None,
    beyond: tuple[int, ...],
    newest: int,
    now_utc: dt.datetime,
) -> _Read:
    found = _records(instance, kind, settled, now_utc - FIRST_LOOK_BACK, RECORDS_PER_TICK + len(beyond))
    if settled is None:
        settled = found[0].storage_id - 1 if found else newest
    limit = now_utc - SETTLED_AFTER
    old = [record.storage_id for record in found if _moment(record) < limit]
    settled = old[-1] if old else settled
    return _Read(
        records=[record for record in found if record.storage_id not in beyond],
        settled=settled,
        beyond=tuple(record.storage_id for record in found if record.storage_id > settled),
    )


def _records(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, after: int | None, since: dt.datetime, limit: int
) -> Sequence[dg.EventLogRecord]:
    # The instance itself has no call for check evaluations that is not deprecated; its storage has.
    wanted = dg.EventRecordsFilter(
        kind, after_cursor=after, after_timestamp=since.timestamp() if after is None else None
    )
    return instance.event_log_storage.get_event_records(wanted, limit=limit, ascending=True)


def _partition(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    return run.tags.get(names.TAG_PARTITION, "") if run else ""


def _moment(record: dg.EventLogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.event_log_entry.timestamp, dt.UTC)


def _failed_run(instance: dg.DagsterInstance, record: dg.EventLogRecord) -> FailedRun:
    entry = record.event_log_entry
    return FailedRun(
        run_id=entry.run_id,
        job=entry.job_name or "",
        partition=_partition(instance, entry.run_id),
        failed_at_utc=_moment(record),
        error=(entry.dagster_event.message if entry.dagster_event else None) or "",
        steps=tuple(_failed_steps(instance, entry.run_id)),
    )


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> Iterator[FailedStep]:
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    for event in (record.event_log_entry.dagster_event for record in found):
        if event is not None:
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            lines = cause.message.strip().splitlines() if cause else []
            yield FailedStep(event.step_key or "", lines[0] if lines else "failed")


def _evaluated_check(instance: dg.DagsterInstance, record: dg.EventLogRecord) -> EvaluatedCheck:
    entry = record.event_log_entry
    found = entry.get_dagster_event().asset_check_evaluation_data
    return EvaluatedCheck(
        asset=found.asset_key.to_user_string(),
        check=found.check_name,
        partition=found.partition or ("" if found.passed else _partition(instance, entry.run_id)),
        run_id=entry.run_id,
        evaluated_at_utc=_moment(record),
        is_passed=found.passed,
        severity=found.severity.value,
        is_blocking=bool(found.blocking),
        facts={} if found.passed else _facts(found.description, found.metadata),
    )


def _facts(description: str | None, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return what a check says in words; its JSON only if it has no words."""
    words = {"description": description} if description else {}
    for label, value in metadata.items():
        if isinstance(value, dg.MarkdownMetadataValue | dg.TextMetadataValue):
            words[label] = str(value.value)
    return words or {
        label: json.dumps(value.data, default=str)
        for label, value in metadata.items()
        if isinstance(value, dg.JsonMetadataValue)
    }
