"""Failed runs that are to be tried again and that nobody has looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from resources.dagster_daemon import find_forgotten_runs, make_daemons

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        overrides={"run_retries": {"enabled": True, "max_retries": 1}, "telemetry": {"enabled": False}}
    ) as found:
        yield found


@dg.job
def nothing() -> None:
    pass


def _fail_a_run(instance: dg.DagsterInstance, **tags: str) -> str:
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.report_run_failed(run, "its process is gone")
    return run.run_id


def _forgotten(instance: dg.DagsterInstance) -> list[str]:
    return [record.dagster_run.run_id for record in find_forgotten_runs(instance)]


def test_a_failed_run_is_forgotten_until_it_is_tried_again(instance: dg.DagsterInstance) -> None:
    run_id = _fail_a_run(instance)
    assert _forgotten(instance) == [run_id]
    instance.add_run_tags(run_id, {AUTO_RETRY_RUN_ID_TAG: "another run"})
    assert _forgotten(instance) == []


def test_what_is_not_to_be_tried_again_is_not_forgotten(instance: dg.DagsterInstance) -> None:
    _fail_a_run(instance, **{"dagster/max_retries": "0"})
    given_up = _fail_a_run(instance)
    instance.add_run_tags(given_up, {WILL_RETRY_TAG: "false"})
    instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags={WILL_RETRY_TAG: "true"})
    assert _forgotten(instance) == []


def test_old_failures_are_history(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime as dt

    _fail_a_run(instance)
    monkeypatch.setattr("resources.dagster_daemon._FORGOTTEN_WITHIN", dt.timedelta(seconds=-1))
    assert _forgotten(instance) == []


def test_the_daemon_has_dagsters_parts_and_looks_for_them_after_each_round(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._daemon.controller import create_daemons_from_instance

    daemons = list(make_daemons(instance))
    usual = [one.daemon_type() for one in create_daemons_from_instance(instance)]
    assert [one.daemon_type() for one in daemons] == usual
    (consumer,) = [one for one in daemons if isinstance(one, EventLogConsumerDaemon)]
    run_id, seen = _fail_a_run(instance), list[str]()

    def retry(run: dg.DagsterRun, _context: object) -> None:
        seen.append(run.run_id)

    monkeypatch.setattr("dagster._daemon.auto_run_reexecution.auto_run_reexecution.retry_run", retry)
    monkeypatch.setattr(
        "warnings.warn", lambda *_, **__: None
    )  # Dagster's call of a method that is deprecated

    class Context:
        pass

    context = Context()
    context.instance = instance  # type: ignore[attr-defined]
    list(consumer.run_iteration(context))  # type: ignore[arg-type]
    assert seen == [run_id], "its first look ignores what was there before"
