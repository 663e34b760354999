"""What the steps of some days cost, read back from Dagster's event log.

Belongs here: from runs and their events to the domain's records. Does not belong here: measuring (metering) or adding
up (mlops_assets.domain.reporting.utilisation).

A run counts on the day of its partition; a training, whose partition is a segment, on its as-of day, or without one
(`mlops train` without `--as-of`) on the day on which it ran.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
from dagster import DagsterEventType as Event

from mlops_assets.config import names
from mlops_assets.domain.reporting.utilisation import RunUsage, StepUsage

ROW_COUNT = "dagster/row_count"
_STARTS = {Event.STEP_START, Event.STEP_RESTARTED}
_FAILURES = {Event.STEP_FAILURE, Event.STEP_UP_FOR_RETRY}
_PLANS = {Event.ASSET_MATERIALIZATION_PLANNED}
_EVENTS = {Event.ASSET_MATERIALIZATION, *_PLANS, *_STARTS, *_FAILURES}


def read_usage(
    instance: dg.DagsterInstance, first_day: dt.date, last_day: dt.date
) -> tuple[list[StepUsage], list[RunUsage]]:
    """Return every try of every step of the days from `first_day` to `last_day`, both included, and their runs.

    A run that is not over has no length yet and is not among the runs; what its steps made so far is among the steps.
    """
    length = (last_day - first_day).days + 1
    found = _find_runs(instance, [first_day + dt.timedelta(days=ahead) for ahead in range(length)])
    steps = [usage for run_id, (day, _) in found.items() for usage in _read_run(instance, run_id, day)]
    ended = ((day, run.start_time, run.end_time) for day, run in found.values())
    runs = [RunUsage(day=day, seconds=end - start) for day, start, end in ended if start and end]
    return steps, runs


def _find_runs(
    instance: dg.DagsterInstance, days: Iterable[dt.date]
) -> dict[str, tuple[dt.date, dg.RunRecord]]:
    """Return the runs by id, each with the day on which it counts."""
    found: dict[str, tuple[dt.date, dg.RunRecord]] = {}
    for day in days:
        for tag in (names.TAG_PARTITION, names.TAG_AS_OF_DAY):
            dated = instance.get_run_records(dg.RunsFilter(tags={tag: day.isoformat()}))
            found |= {record.dagster_run.run_id: (day, record) for record in dated}
        found |= {record.dagster_run.run_id: (day, record) for record in _undated(instance, day)}
    return found


def _undated(instance: dg.DagsterInstance, day: dt.date) -> Iterator[dg.RunRecord]:
    """Yield the runs of a day, by the clock, that no tag gives to a day of the data."""
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    window = dg.RunsFilter(created_after=midnight, created_before=midnight + dt.timedelta(days=1))
    for record in instance.get_run_records(window):
        tags = record.dagster_run.tags
        if names.TAG_AS_OF_DAY not in tags and not _is_day(tags.get(names.TAG_PARTITION, "")):
            yield record


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read_run(instance: dg.DagsterInstance, run_id: str, day: dt.date) -> Iterator[StepUsage]:
    """Yield what the run made, and the tries that failed, in the order in which they ended."""
    started: dict[str, float] = {}
    # Step -> the first asset that it was to make: a step of several has a name of its own.
    planned: dict[str, str] = {}
    for entry in instance.all_logs(run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event is None:
            continue
        step = str(event.step_key)
        elapsed_s = max(entry.timestamp - started.get(step, entry.timestamp), 0.0)
        if event.event_type in _STARTS:
            started[step] = entry.timestamp
        elif event.event_type in _FAILURES:
            asset = planned.get(step, step)
            yield StepUsage(asset=asset, day=day, seconds=elapsed_s, is_failed=True)
        elif event.asset_key is not None and event.event_type in _PLANS:
            planned.setdefault(step, event.asset_key.to_user_string())
        elif event.asset_key is not None:
            yield _of_materialisation(event, day, elapsed_s)


def _of_materialisation(event: dg.DagsterEvent, day: dt.date, elapsed_s: float) -> StepUsage:
    """Return what the materialisation says of its cost; of an earlier version, only how long its step had run."""
    noted = {
        key: value.value for key, value in event.step_materialization_data.materialization.metadata.items()
    }
    seconds = _number(noted.get(names.SECONDS_METADATA))
    rows = _number(noted.get(ROW_COUNT))
    return StepUsage(
        asset=event.asset_key.to_user_string() if event.asset_key else str(event.step_key),
        day=day,
        seconds=elapsed_s if seconds is None else seconds,
        cpu_seconds=_number(noted.get(names.CPU_SECONDS_METADATA)),
        row_count=None if rows is None else int(rows),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
