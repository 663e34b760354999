"""The daily graph over delivered files: what a good, a bad, a late and a corrected file lead to."""

import datetime as dt
import hashlib
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from mlops_assets.assets.partitions import daily_partitions
from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.run_plan import plan_days
from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.ports import PartitionId
from tests.definitions.conftest import FIRST_DAY

DAYS = [FIRST_DAY + dt.timedelta(days=n) for n in range(4)]


def run_days(replay: Replay, *days: dt.date) -> list[DayResult]:
    """Run days from the first to the last given."""
    return replay.run(days[0], days[-1], lambda _: None)


def landing(replay: Replay, geography: str, name: str) -> Path:
    """Return the path of a delivered file."""
    return replay.workspace.home / "landing" / geography / name


def content(replay: Replay, table: str, geography: str, day: dt.date) -> str:
    """Return the hash of a published data file."""
    path = replay.workspace.platform.lake.path(PartitionId(table, geography, day))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_key(replay: Replay, table: str, geography: str, day: dt.date) -> str:
    """Return the build key of a published partition."""
    manifest = replay.workspace.platform.lake.manifest(PartitionId(table, geography, day))
    assert manifest is not None
    return manifest.build_key


def test_days_are_built_once_and_then_up_to_date(replay: Replay) -> None:
    first = run_days(replay, *DAYS[:2])
    assert [r.status for r in first] == ["built", "built"]
    assert all(r.rows > 0 for r in first)
    before = content(replay, "etl/subscriber_features", "cl", DAYS[1])
    assert [r.status for r in run_days(replay, *DAYS[:2])] == ["unchanged", "unchanged"]
    assert content(replay, "etl/subscriber_features", "cl", DAYS[1]) == before


def test_materialising_again_changes_nothing(replay: Replay) -> None:
    run_days(replay, DAYS[0])
    before = {
        t: content(replay, t, "cl", DAYS[0])
        for t in ("feeds/usage", "etl/usage_30d", "etl/subscriber_features")
    }
    job = replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    assert job.execute_in_process(partition_key=str(DAYS[0]), instance=replay.instance).success
    assert {t: content(replay, t, "cl", DAYS[0]) for t in before} == before


def test_refused_file_stops_its_geography_only(replay: Replay) -> None:
    broken = landing(replay, "cl", f"usage_{DAYS[0]:%Y%m%d}.parquet")
    broken.write_bytes(broken.read_bytes()[:2000])
    (result,) = run_days(replay, DAYS[0])
    assert result.status == "incomplete"
    assert any(broken.name in finding for finding in result.findings)
    lake = replay.workspace.platform.lake
    assert lake.manifest(PartitionId("etl/subscriber_features", "pe", DAYS[0])) is not None
    assert lake.manifest(PartitionId("etl/subscriber_features", "cl", DAYS[0])) is None


def test_blocking_check_stops_what_follows(replay: Replay) -> None:
    """When no geography delivers usage, nothing that needs usage is built, and the day is not done."""
    for geography, name in (("cl", "usage"), ("pe", "consumo")):
        landing(replay, geography, f"{name}_{DAYS[0]:%Y%m%d}.parquet").unlink()
    job = replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    result = job.execute_in_process(
        partition_key=str(DAYS[0]), instance=replay.instance, raise_on_error=False
    )
    assert not result.success
    built = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events() if e.asset_key}
    assert "feeds/topups" in built
    assert not built & {"feeds/usage", "etl/usage_30d", "etl/subscriber_features", "reports/day_log"}
    failed = {c.check_name for c in result.get_asset_check_evaluations() if not c.passed}
    assert names.CHECK_DELIVERY in failed


def test_a_table_against_its_schema_stops_what_follows(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mlops_assets.assets.feed_checks.find_violations",
        lambda contract, *_: ["amount_usd_cents: dtype('int64')"] if contract.name == "topups" else [],
    )
    job = replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    result = job.execute_in_process(
        partition_key=str(DAYS[0]), instance=replay.instance, raise_on_error=False
    )
    assert not result.success
    built = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events() if e.asset_key}
    assert "etl/usage_30d" in built
    assert not built & {"etl/topups_30d", "etl/subscriber_features", "reports/day_log"}
    failed = {c.check_name for c in result.get_asset_check_evaluations() if not c.passed}
    assert names.CHECK_SCHEMA in failed


def test_late_file_completes_its_day_and_the_days_after(replay: Replay) -> None:
    late = landing(replay, "pe", f"recargas_{DAYS[1]:%Y%m%d}.csv")
    held = late.read_bytes()
    late.unlink()
    results = run_days(replay, *DAYS[:3])
    assert [r.status for r in results] == ["built", "incomplete", "built"]
    before = {day: build_key(replay, "etl/topups_30d", "pe", day) for day in (DAYS[0], DAYS[2])}
    late.write_bytes(held)
    again = run_days(replay, *DAYS[:3])
    assert [(r.day, r.status) for r in again if r.status == "built"] == [
        (DAYS[1], "built"),
        (DAYS[2], "built"),
    ]
    assert build_key(replay, "etl/topups_30d", "pe", DAYS[0]) == before[DAYS[0]]
    assert build_key(replay, "etl/topups_30d", "pe", DAYS[2]) != before[DAYS[2]]


def test_corrected_file_makes_everything_downstream_stale(replay: Replay) -> None:
    run_days(replay, *DAYS[:3])
    workspace, platform = replay.workspace, replay.workspace.platform
    assert plan_days(workspace.config, platform.landing, platform.lake, platform.ledger, until=DAYS[2]) == []
    other = landing(replay, "cl", f"topups_{DAYS[0]:%Y%m%d}.csv")
    lines = other.read_text().splitlines(keepends=True)
    other.write_text("".join(lines[:-3]))
    due = plan_days(workspace.config, platform.landing, platform.lake, platform.ledger, until=DAYS[2])
    assert [d.day for d in due] == DAYS[:3]
    untouched = build_key(replay, "etl/topups_30d", "pe", DAYS[2])
    assert [r.status for r in run_days(replay, *DAYS[:3])] == ["built"] * 3
    assert build_key(replay, "etl/topups_30d", "pe", DAYS[2]) == untouched


def test_corrected_day_is_stale_downstream_in_dagster(replay: Replay) -> None:
    """Dagster itself sees the staleness: only the corrected feed's partition has a new version."""
    run_days(replay, *DAYS[:2])
    other = landing(replay, "cl", f"topups_{DAYS[0]:%Y%m%d}.csv")
    other.write_text("".join(other.read_text().splitlines(keepends=True)[:-3]))
    definitions = replay.workspace.definitions
    feed = dg.AssetSelection.assets(dg.AssetKey(["feeds", "topups"]))
    job = dg.define_asset_job("only_topups", feed).resolve(asset_graph=definitions.resolve_asset_graph())
    assert job.execute_in_process(
        partition_key=str(DAYS[0]),
        instance=replay.instance,
        resources=replay.workspace.platform.as_resources(),
    ).success
    context = LoadingContextForTest(replay.instance)
    resolver = CachingStaleStatusResolver(replay.instance, definitions.resolve_asset_graph(), context)
    table = dg.AssetKey(["etl", "topups_30d"])
    assert resolver.get_status(table, str(DAYS[0])) == StaleStatus.STALE
    assert resolver.get_status(table, str(DAYS[1])) == StaleStatus.STALE
    assert resolver.get_status(dg.AssetKey(["etl", "usage_30d"]), str(DAYS[0])) == StaleStatus.FRESH


def test_a_feed_that_nothing_needs_may_be_missing_everywhere(replay: Replay) -> None:
    """Customer DNA is carried forward: a day on which nobody delivers it is built all the same."""
    names_of = {
        g: replay.workspace.config.feeds["dna"].for_geography([g]).file_name(DAYS[1]) for g in ("cl", "pe")
    }
    for geography, name in names_of.items():
        landing(replay, geography, name).unlink()
    assert [r.status for r in run_days(replay, *DAYS[:2])] == ["built", "incomplete"]
    lake = replay.workspace.platform.lake
    for geography in names_of:
        assert lake.manifest(PartitionId("feeds/dna", geography, DAYS[1])) is None
        assert lake.manifest(PartitionId("etl/subscriber_features", geography, DAYS[1])) is not None
    again = run_days(replay, *DAYS[:2])
    assert [r.status for r in again] == ["unchanged", "incomplete"]
    assert {(one.feed, one.geography) for one in again[1].refused} == {("dna", "cl"), ("dna", "pe")}


def test_a_failed_day_is_tried_once_by_a_command(replay: Replay) -> None:
    for geography, name in (("cl", "usage"), ("pe", "consumo")):
        landing(replay, geography, f"{name}_{DAYS[0]:%Y%m%d}.parquet").unlink()
    results = run_days(replay, *DAYS[:3])
    assert [(r.day, r.status) for r in results if r.status == "failed"] == [(DAYS[0], "failed")]
    assert [r.day for r in results] == DAYS[:3]


def test_a_day_whose_scores_failed_is_not_done(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ModelIntegrityError("a file of the model differs from its hash")

    with monkeypatch.context() as patched:
        patched.setattr("mlops_assets.assets.scores.score_day", broken)
        (first,) = run_days(replay, DAYS[0])
    assert first.status == "failed"
    (second,) = Replay(replay.workspace, replay.instance).run(DAYS[0], DAYS[0], lambda _: None)
    assert second.status == "built"


def test_days_beyond_the_clock_are_days_like_others(workspace: Workspace) -> None:
    far = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=400)
    covering = workspace.covering(far)
    days = daily_partitions(covering.config.environment.calendar)
    assert days.has_partition_key(far.isoformat())
    assert covering.covering(DAYS[0]) is covering


def test_day_without_files_fails_and_says_so(replay: Replay) -> None:
    (result,) = replay.run(dt.date(2026, 9, 1), dt.date(2026, 9, 1), lambda _: None)
    assert result.status == "failed"
    assert "nothing was delivered" in result.findings[0]


@pytest.mark.parametrize("table", ["feeds/usage", "feeds/subscribers"])
def test_metadata_never_shows_a_subscriber(replay: Replay, table: str) -> None:
    """The numbers of subscribers are masked in previews, and stand nowhere in the event log."""
    import pyarrow.parquet as pq

    run_days(replay, DAYS[0])
    path = replay.workspace.platform.lake.path(PartitionId(table, "cl", DAYS[0]))
    numbers = {str(n) for n in pq.read_table(path, columns=["subscriber_id"])["subscriber_id"].to_pylist()}
    key = dg.AssetKey(table.split("/"))
    event = replay.instance.get_latest_materialization_event(key)
    assert event is not None
    text = str(event)
    assert "***" in text
    assert not [n for n in numbers if n in text]
