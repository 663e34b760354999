"""A broken delivery in the graph: held, left out of everything downstream, built when it is released."""

import datetime as dt
import json
import os
import shlex
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from mlops_assets.cli import cli
from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.config import names
from mlops_assets.config.run_plan import plan_days
from mlops_assets.domain.mail_ports import MailEntry
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.reporting.mail_preview import read_mail_text
from tests.definitions.conftest import FIRST_DAY

DAYS = [FIRST_DAY + dt.timedelta(days=n) for n in range(4)]
LAST = DAYS[-1]
RELEASE = ["release", "usage", "cl", str(LAST), "--by", "operations", "--note", "the meter was changed"]


def break_units(replay: Replay, geography: str, name: str, column: str) -> None:
    """Deliver data volumes 1024 times as large as their labels say, in the last day's file."""
    path = replay.workspace.home / "landing" / geography / f"{name}_{LAST:%Y%m%d}.parquet"
    target = path.with_name(f"{path.name}.part")
    apps = ("APP_FB", "APP_WA", "APP_YT", "APP_TT", "APP_IG")
    changed = ", ".join(f"{name} * 1024 AS {name}" for name in (column, *apps))
    rows = f"SELECT * REPLACE ({changed}) FROM '{path}'"  # noqa: S608
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet)")
    target.replace(path)


def run_days(replay: Replay) -> list[DayResult]:
    return replay.run(DAYS[0], LAST, lambda _: None)


def mlops(replay: Replay, *arguments: str) -> Result:
    """Run `mlops feeds ...` on the workspace."""
    home = {"MLOPS_HOME": str(replay.workspace.home)}
    return CliRunner().invoke(cli, ["feeds", *arguments], env={**os.environ, **home})


def is_built(replay: Replay, table: str, geography: str, day: dt.date = LAST) -> bool:
    return replay.workspace.platform.lake.manifest(PartitionId(table, geography, day)) is not None


def health_check(replay: Replay) -> AssetCheckEvaluation:
    """Return the last verdict on usage that the event log holds."""
    key = dg.AssetCheckKey(dg.AssetKey(["feeds", "usage"]), names.CHECK_HEALTH)
    (record,) = replay.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


@pytest.fixture
def held(replay: Replay) -> Replay:
    """Four days of which the last one's usage is held in Chile."""
    break_units(replay, "cl", "usage", "DATA_LOCAL_VOL")
    *earlier, last = run_days(replay)
    assert [result.status for result in earlier] == ["built"] * 3, [r.findings for r in earlier]
    assert last.status == "incomplete", last.failures
    assert any("usage_" in finding and "held" in finding for finding in last.findings)
    return replay


def test_a_broken_file_is_held_then_released(held: Replay) -> None:
    """One story, because each of its days takes a run: held, shown, not due, released, due, built."""
    _require_left_out(held)
    _require_shown(held)
    *earlier, again = run_days(held)
    assert [result.status for result in earlier] == ["unchanged"] * 3, "it is not judged for ever"
    assert again.status == "incomplete"
    assert "usage of " in again.findings[0]
    assert "still held" in again.findings[0]
    _require_mailed_once(held)
    platform, config = held.workspace.platform, held.workspace.config
    assert mlops(held, *released_as_mailed(held), "--json").exit_code == 0
    first = platform.releases.history()
    assert (mlops(held, *RELEASE).exit_code, platform.releases.history()) == (0, first)
    ledger: Path = held.workspace.home / config.environment.ledger.database
    assert ledger.with_name("feed_releases.db").is_file()
    due = plan_days(
        config, platform.landing, platform.lake, platform.ledger, until=LAST, releases=platform.releases
    )
    assert [d.day for d in due] == [LAST]
    assert "released" in due[0].reason
    assert [(r.day, r.status) for r in run_days(held) if r.status != "unchanged"] == [(LAST, "built")]
    assert is_built(held, "feeds/usage", "cl")
    assert is_built(held, "etl/subscriber_features", "cl")
    assert not is_built(held, "held/usage", "cl")
    assert [result.status for result in run_days(held)] == ["unchanged"] * 4
    listed = mlops(held, "list", "--json")
    assert listed.exit_code == 0
    assert "released" in {one["state"] for one in json.loads(listed.stdout)}
    for report in ("quality/held_feed", "quality/held_feed_escalation"):
        assert len(mails_of(held, report)) == 1, "a released delivery is mailed no more"
    _require_fresh(held)


def _require_left_out(held: Replay) -> None:
    """The geography's day is missing downstream, and nothing else is."""
    assert is_built(held, "held/usage", "cl")
    assert not is_built(held, "feeds/usage", "cl")
    assert not is_built(held, "etl/subscriber_features", "cl")
    assert is_built(held, "etl/subscriber_features", "pe")
    assert is_built(held, "feeds/topups", "cl")
    evaluation = health_check(held)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "another unit" in str(evaluation.metadata["held"].value)


def mails_of(replay: Replay, report: str) -> list[MailEntry]:
    return [e for e in replay.workspace.platform.outbox.entries() if e.key.report == report]


def released_as_mailed(held: Replay) -> list[str]:
    """Return the arguments of `mlops feeds` that the mail tells a person to type."""
    (mail,) = mails_of(held, "quality/held_feed")
    text = read_mail_text(held.workspace.platform.outbox.content(mail.number))
    (command,) = [line.strip() for line in text.splitlines() if "mlops feeds release" in line]
    return shlex.split(command)[2:]


def _require_mailed_once(held: Replay) -> None:
    """A run of the same day with the same file mails nothing more, unless it has waited for too long by then."""
    (mail,) = mails_of(held, "quality/held_feed")
    assert mail.key.partition.startswith(f"usage/cl/{LAST}/")
    assert [mail.key.recipient] == held.workspace.config.monitors["plan_usage"].recipients
    content = held.workspace.platform.outbox.content(mail.number).decode()
    assert mails_of(held, "quality/held_feed_escalation") == []
    later = PartitionId("feeds/topups", "cl", LAST + dt.timedelta(days=3))
    lake = held.workspace.platform.lake
    with lake.write(later, "0" * 16) as writer:
        writer.commit(row_count=0)
    job = held.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    assert job.execute_in_process(partition_key=str(LAST), instance=held.instance).success
    lake.remove(later)
    (escalated,) = mails_of(held, "quality/held_feed_escalation")
    assert escalated.key.partition == mail.key.partition
    found = mails_of(held, "quality/held_feed")
    assert [(e.number, e.state, e.is_changed_since_sent) for e in found] == [(mail.number, "sent", False)]
    assert held.workspace.platform.outbox.content(mail.number).decode() == content


def _require_fresh(replay: Replay) -> None:
    """The check of freshness was made, for the day of the run."""
    key = dg.AssetCheckKey(dg.AssetKey(["feeds", "usage"]), names.CHECK_FRESHNESS)
    (record,) = replay.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    found = record.event.dagster_event.asset_check_evaluation_data
    assert (found.passed, found.partition) == (True, str(LAST))
    assert f"newest published day is {LAST}, 0 days behind {LAST}" in str(found.metadata["geographies"].value)


def _require_shown(held: Replay) -> None:
    """`mlops feeds` says what is held and why."""
    listed = mlops(held, "list", "--json", "--days", "4")
    assert listed.exit_code == 3
    records = json.loads(listed.stdout)
    anomalies = {(r["feed"], r["geography"]): r["anomaly"] for r in records if r["day"] == str(LAST)}
    assert (anomalies["usage", "cl"], anomalies["usage", "pe"]) == (True, False)
    assert {r["anomaly"] for r in records if r["day"] == str(DAYS[0])} == {None}
    held_only = mlops(held, "list", "--held")
    assert (held_only.exit_code, len(held_only.stdout.splitlines())) == (3, 1)
    shown = mlops(held, "show", "usage", "cl", str(LAST))
    assert shown.exit_code == 3
    expected = ("unit_factor", "compared with", "data_local_kb", "rows")
    assert [word for word in expected if word not in shown.output] == []


def test_nothing_is_built_when_all_are_held(replay: Replay) -> None:
    break_units(replay, "cl", "usage", "DATA_LOCAL_VOL")
    break_units(replay, "pe", "consumo", "DATOS_LOCAL")
    *_, last = run_days(replay)
    assert last.status == "failed"
    assert is_built(replay, "feeds/topups", "cl")
    for table in ("feeds/usage", "etl/usage_30d", "etl/subscriber_features"):
        assert not is_built(replay, table, "cl")
    evaluation = health_check(replay)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)


def test_commands_refuse_what_is_not_there(replay: Replay) -> None:
    nothing = mlops(replay, "list")
    assert (nothing.exit_code, nothing.output.strip()) == (0, "nothing has been delivered and run")
    assert "no delivery is held" in str(mlops(replay, *RELEASE).exception)
    unknown = mlops(replay, "show", "usge", "cl", str(LAST))
    assert unknown.exit_code == 2
    assert "one of" in unknown.output
    assert mlops(replay, "release", "usage", "cl", str(LAST), "--note", "x").exit_code == 2
