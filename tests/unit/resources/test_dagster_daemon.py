"""The first event that a daemon looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    EventLogConsumerDaemon,
    _fetch_persisted_cursors,
)

from resources.dagster_daemon import mark_first_event

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def _fail_a_run(instance: dg.DagsterInstance) -> str:
    @dg.job
    def nothing() -> None:
        pass

    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "its process is gone")
    return run.run_id


def _seen(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the runs that the first look of a daemon finds ended."""
    found: list[str] = []

    def look(_context: object, records: list[dg.RunRecord], _logger: object) -> Iterator[None]:
        found.extend(record.dagster_run.run_id for record in records)
        yield

    monkeypatch.setattr(EventLogConsumerDaemon, "handle_updated_runs_fns", [look])

    class Context:
        pass

    context = Context()
    context.instance = instance  # type: ignore[attr-defined]
    list(EventLogConsumerDaemon().run_iteration(context))  # type: ignore[arg-type]
    return found


def test_a_run_that_fails_before_the_first_look_is_seen(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_first_event(instance)
    run_id = _fail_a_run(instance)
    assert _seen(instance, monkeypatch) == [run_id]


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
def test_without_the_mark_it_would_not_be(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_a_run(instance)
    assert _seen(instance, monkeypatch) == []  # as soon as this fails, Dagster has mended it


def test_a_mark_that_is_there_stays(instance: dg.DagsterInstance) -> None:
    mark_first_event(instance)
    before = _fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, EventLogConsumerDaemon()._logger)
    _fail_a_run(instance)
    mark_first_event(instance)
    after = _fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, EventLogConsumerDaemon()._logger)
    assert before == after
    assert None not in after.values()
