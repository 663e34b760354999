"""The sensor of alerts over an event log: failed runs and failed checks are mailed once, whatever is restarted."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest

from sensors import alerts
from sensors.alerts import build_alerts_sensor
from tests.fakes.mail import FakeOutbox

TOLD = ["on-call@operator.example"]
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
DAYS = dg.StaticPartitionsDefinition(["2026-09-01", "2026-09-02"])


def check(name: str, severity: dg.AssetCheckSeverity, *, passed: bool = False) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=severity,
        metadata={"findings": dg.MetadataValue.md("- cl: broken")},
    )


@dg.asset(
    key=["feeds", "usage"],
    partitions_def=DAYS,
    check_specs=[dg.AssetCheckSpec(name, asset=["feeds", "usage"]) for name in ("hard", "soft", "fine")],
)
def usage() -> dg.MaterializeResult:
    """An asset that succeeds although one of its checks fails hard."""
    results = [check("hard", ERROR), check("soft", WARN), check("fine", ERROR, passed=True)]
    return dg.MaterializeResult(check_results=results)


@dg.asset(key=["etl", "broken"], partitions_def=DAYS)
def broken() -> None:
    """An asset that fails."""
    raise ValueError("the disk of 56912345678 is full")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, day: str = "2026-09-01") -> str:
    result = dg.materialize([asset], partition_key=day, instance=instance, raise_on_error=False)
    return result.run_id


def tick(
    instance: dg.DagsterInstance, outbox: FakeOutbox, cursor: str | None, recipients: Sequence[str] = TOLD
) -> tuple[str, str]:
    """Evaluate a sensor that was built anew, as after a restart; return what it says and its cursor."""
    resources = {"outbox": outbox}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = build_alerts_sensor(recipients)(context)
        assert isinstance(result, dg.SkipReason)
        return result.skip_message or "", context.cursor or ""


def mailed(outbox: FakeOutbox) -> list[str]:
    return [f"{entry.key.report} {entry.key.partition}" for entry in outbox.entries()]


def test_a_failed_check_is_mailed_although_its_run_succeeded(instance: dg.DagsterInstance) -> None:
    outbox, run_id = FakeOutbox(), run(instance, usage)
    said, cursor = tick(instance, outbox, None)
    assert said == "Failed check: hard of feeds/usage, 2026-09-01"
    assert mailed(outbox) == [f"alerts/failed_check feeds/usage/hard/2026-09-01/{run_id[:8]}"]
    assert "cl: broken" in outbox.messages[0].text
    assert tick(instance, outbox, cursor) == ("nothing has failed", cursor)
    assert len(outbox.messages) == 1


def test_a_failed_run_is_mailed_with_its_cause(instance: dg.DagsterInstance) -> None:
    outbox, run_id = FakeOutbox(), run(instance, broken)
    said, _ = tick(instance, outbox, None)
    assert said.endswith(", 2026-09-01")
    assert mailed(outbox) == [f"alerts/failed_run {run_id}"]
    text = outbox.messages[0].text
    assert "etl__broken" in text
    assert "is full" in text
    assert "56912345678" not in text + outbox.messages[0].html


def test_a_tick_that_was_killed_before_its_cursor_was_stored_mails_nothing_twice(
    instance: dg.DagsterInstance,
) -> None:
    outbox = FakeOutbox()
    run(instance, usage)
    run(instance, broken)
    _, cursor = tick(instance, outbox, None)
    tick(instance, outbox, None)
    assert len(outbox.entries()) == 2
    run(instance, usage, "2026-09-02")
    tick(instance, outbox, cursor)
    tick(instance, outbox, cursor)
    assert len(outbox.entries()) == 3
    assert not any(entry.is_changed_since_sent for entry in outbox.entries())


def test_the_same_failure_of_another_run_is_news(instance: dg.DagsterInstance) -> None:
    outbox = FakeOutbox()
    run(instance, broken)
    _, cursor = tick(instance, outbox, None)
    run(instance, broken)
    tick(instance, outbox, cursor)
    assert len(outbox.entries()) == 2


def test_more_than_one_tick_can_read_is_read_by_the_next(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "RECORDS_PER_TICK", 2)
    outbox = FakeOutbox()
    for day in DAYS.get_partition_keys():
        run(instance, usage, day)
        run(instance, broken, day)
    cursor = ""
    for _ in range(4):
        _, cursor = tick(instance, outbox, cursor)
    assert len(outbox.entries()) == 4


@pytest.mark.parametrize("settles", [True, False])
def test_a_record_that_appears_after_a_later_one_is_mailed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, settles: bool
) -> None:
    """PostgreSQL shows a record when its transaction commits, whatever its number."""
    outbox = FakeOutbox()
    _, cursor = tick(instance, outbox, None)
    late, early = run(instance, broken), run(instance, broken, "2026-09-02")
    read = alerts._records

    def without_late(*arguments: Any) -> list[dg.EventLogRecord]:
        return [record for record in read(*arguments) if record.event_log_entry.run_id != late]

    if settles:  # too long ago to be waited for: what a minute does
        monkeypatch.setattr(alerts, "SETTLED_AFTER", -alerts.SETTLED_AFTER)
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "_records", without_late)
        _, cursor = tick(instance, outbox, cursor)
        assert mailed(outbox) == [f"alerts/failed_run {early}"]
    _, cursor = tick(instance, outbox, cursor)
    assert mailed(outbox)[1:] == ([] if settles else [f"alerts/failed_run {late}"])
    assert tick(instance, outbox, cursor) == ("nothing has failed", cursor)


def test_nobody_is_told_by_default_and_later_only_what_fails_then(instance: dg.DagsterInstance) -> None:
    outbox = FakeOutbox()
    run(instance, broken)
    said, cursor = tick(instance, outbox, '{"runs": 1, "checks": 1}', [])
    assert said == "nobody is told: `alerts.recipients` of the environment is empty"
    assert (cursor, outbox.messages) == ("", [])


def test_old_failures_are_history_when_the_sensor_starts(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cursor only the last day is news, and nothing of the past is read later either."""
    outbox = FakeOutbox()
    run(instance, broken)
    monkeypatch.setattr(
        alerts, "FIRST_LOOK_BACK", -alerts.FIRST_LOOK_BACK
    )  # all that has happened is too old
    _, cursor = tick(instance, outbox, None)
    assert outbox.messages == []
    run(instance, usage)
    tick(instance, outbox, cursor)
    assert [message.report for message in outbox.messages] == ["alerts/failed_check"]


@pytest.mark.parametrize("cursor", ["nonsense", "[]", '{"runs": "x"}', '{"runs": 1.5, "checks": null}'])
def test_a_cursor_that_cannot_be_read_counts_as_none(instance: dg.DagsterInstance, cursor: str) -> None:
    outbox = FakeOutbox()
    run(instance, broken)
    tick(instance, outbox, cursor)
    assert len(outbox.entries()) == 1
