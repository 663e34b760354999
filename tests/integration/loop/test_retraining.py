"""Behaviour moves in one geography, and its model alone is made anew: by a replay and by sensors alike."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlops_assets.commands.job_runs import QUIET
from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.mail_ports import MailEntry
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from mlops_assets.sandbox.events import ScriptedEvent
from tests.integration.loop.conftest import Loop
from tests.integration.small_operator import (
    FIRST_DAY,
    GEOGRAPHIES,
    RESTLESS,
    build_once,
    copy_configs,
    copy_home,
    day_number,
    deliver,
    shorten_churn,
    slot_in,
)

pytestmark = pytest.mark.slow

SUBSCRIBERS = 500
MOVED, UNMOVED = GEOGRAPHIES
# Ranges exist from day 20 on, and evidence of drift needs ranges that are a week old.
SHIFT_DAY = day_number(26)
FIRST_TOLD, LAST_TOLD = day_number(27), day_number(30)
DECIDING = (
    names.FEED_ARRIVAL_SENSOR,
    names.APPROVALS_SENSOR,
    names.FIRST_CHAMPION_SENSOR,
    names.DRIFT_SENSOR,
)
DRIFT = "quality/plan_usage/drift"


def shorten_monitor(configs: Path) -> None:
    """Let two days in a row decide on ranges of two weeks; another attempt is possible after two days."""
    path = configs / "quality" / "plan_usage.yaml"
    monitor: dict[str, Any] = yaml.safe_load(path.read_text())
    monitor["forecast"] = {"window_days": 28, "min_history_days": 14, "horizon_days": 14}
    monitor["drift"] = {"days": 2, "of_days": 2}
    monitor["is_per_subscriber"] = False
    monitor["features"] = {
        "tables": ["feeds/usage"],
        "reference_weeks": 2,
        "history_days": 21,
        "min_history_days": 7,
    }
    path.write_text(yaml.safe_dump(monitor, sort_keys=False))
    path = configs / "use_cases" / "churn.yaml"
    use_case: dict[str, Any] = yaml.safe_load(path.read_text())
    use_case["retraining"] = {"monitors": ["plan_usage"], "cooldown_days": 2, "max_attempts": 3}
    path.write_text(yaml.safe_dump(use_case, sort_keys=False))


def run_days(loop: Loop, first: dt.date, last: dt.date) -> list[Any]:
    """Replay days as `mlops run` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(loop.home / "dagster_home"))
        patch.setattr("mlops_assets.domain.learning.bundle._kept", {})
        with loop.workspace.open_instance() as instance:
            return Replay(loop.workspace, instance).run(first, last, lambda _: None)


def _build(folder: Path) -> None:
    configs = copy_configs(folder / "configs")
    shorten_churn(configs)
    shorten_monitor(configs)
    shift = ScriptedEvent(
        kind="behaviour_shift",
        geography=MOVED,
        first_day=SHIFT_DAY,
        parameters={"data_factor": 3.0, "share": 1.0},
    )
    days = (LAST_TOLD - FIRST_DAY).days + 1
    deliver(folder / "home", configs, subscribers=SUBSCRIBERS, days=days, behaviour=RESTLESS, events=[shift])
    results = run_days(Loop(folder / "home", configs), FIRST_DAY, FIRST_TOLD - dt.timedelta(days=1))
    assert {result.status for result in results} == {"built"}


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """An operator on the evening of the day on which behaviour moved; nobody has noticed."""
    folder = build_once(tmp_path_factory, "before_shift", _build)
    return Loop(folder / "home", folder / "configs")


@pytest.fixture(scope="session")
def replayed(before: Loop, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """The same operator four days later, by a replay; only to be read."""

    def build(folder: Path) -> None:
        loop = Loop(copy_home(before.home, folder / "home"), before.configs)
        results = run_days(loop, FIRST_TOLD, LAST_TOLD)
        assert [(r.status, r.findings) for r in results] == [("built", ())] * 4

    folder = build_once(tmp_path_factory, "after_shift", build)
    return Loop(folder / "home", before.configs)


@pytest.fixture
def own(before: Loop, tmp_path: Path) -> Loop:
    """A copy of the operator before anybody noticed, that a test may lead on."""
    return Loop(copy_home(before.home, tmp_path / "home"), before.configs)


def history(loop: Loop, geography: str) -> list[LedgerEntry]:
    return loop.workspace.platform.ledger.history(slot_in(geography))


def verdicts(loop: Loop, geography: str) -> list[str]:
    """Return the kind of each verdict of the last days."""
    lake, found = loop.workspace.platform.lake, []
    for number in range((LAST_TOLD - FIRST_TOLD).days + 1):
        day = FIRST_TOLD + dt.timedelta(days=number)
        manifest = lake.manifest(PartitionId(DRIFT, geography, day))
        assert manifest is not None
        found.append(manifest.facts["verdict"]["kind"])
    return found


def report_page(loop: Loop, entry: LedgerEntry) -> str:
    path = f"retraining/{entry.slot.registered_name}/version-{entry.version}.html"
    return loop.workspace.platform.reports.read(path).decode()


def retraining_mails(loop: Loop) -> list[MailEntry]:
    entries = loop.workspace.platform.outbox.entries()
    return [entry for entry in entries if entry.key.report.startswith("retraining/")]


def without_ids(text: str) -> str:
    """Return a text without hashes, ids and times of the clock."""
    return re.sub(r"[0-9a-f]{12,}|\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}[:.+\d]*", "*", text)


def without_chance(facts: Any) -> Any:
    """Return facts without hashes and measured times."""
    if isinstance(facts, dict):
        kept = {
            name: one for name, one in facts.items() if not name.endswith("sha256") and "latency" not in name
        }
        return {name: without_chance(one) for name, one in kept.items()}
    return [without_chance(one) for one in facts] if isinstance(facts, list | tuple) else facts


def decided(loop: Loop, geography: str) -> list[tuple[Any, ...]]:
    """Return what was decided, without ids and times."""
    return [
        (e.outcome, e.version, e.previous_version, e.decided_by, e.as_of_day, e.reasons, without_chance(e.evidence))
        for e in history(loop, geography)
    ]  # fmt: skip


def test_only_the_geography_whose_behaviour_moved_is_retrained(before: Loop, replayed: Loop) -> None:
    assert history(replayed, UNMOVED) == history(before, UNMOVED)
    assert history(replayed, MOVED)[:-1] == history(before, MOVED)
    assert "behaviour_shift" in verdicts(replayed, MOVED)
    assert "behaviour_shift" not in verdicts(replayed, UNMOVED)


def test_decision_rests_on_rows_from_after_the_shift(replayed: Loop) -> None:
    first, last = history(replayed, MOVED)
    assert last.outcome == "promoted", last.reasons
    assert last.previous_version == first.version
    figures = last.evidence["figures"]
    assert dt.date.fromisoformat(figures["holdout_first_day"]) >= SHIFT_DAY
    assert figures["holdout_rows"] > 100
    assert figures["gain"] > 0
    assert all(check["is_passed"] for check in last.evidence["checks"])


def test_training_run_carries_reason_and_shift(replayed: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(replayed.home / "dagster_home"))
    entry = history(replayed, MOVED)[-1]
    with replayed.workspace.open_instance() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name=names.training_job("churn")))
    detected = FIRST_TOLD + dt.timedelta(days=verdicts(replayed, MOVED).index("behaviour_shift"))
    assert run.tags["dagster/partition"] == MOVED
    assert run.tags[names.TAG_SHIFT] == f"plan_usage/{detected}"
    assert run.tags[names.TAG_AS_OF_DAY] == str(entry.as_of_day)
    assert run.tags[names.TAG_REASON].startswith("behaviour shift since ")


def test_report_names_the_shift_the_moved_data_and_both_models(replayed: Loop) -> None:
    entry = history(replayed, MOVED)[-1]
    page = report_page(replayed, entry)
    for text in (
        "Behaviour shift since",
        "plan_usage recognised a behaviour shift on",
        "data_mb",
        entry.reasons[0],
    ):
        assert text in page, text
    assert "No watched feature moved" not in page


def test_one_mail_per_decision(replayed: Loop) -> None:
    decisions = [e for geography in GEOGRAPHIES for e in history(replayed, geography)]
    recipients = replayed.workspace.config.use_cases["churn"][MOVED].recipients
    wanted = [(f"{e.slot.segment}/{e.decision_id[:16]}", who) for e in decisions for who in recipients]
    mails = retraining_mails(replayed)
    assert sorted((mail.key.partition, mail.key.recipient) for mail in mails) == sorted(wanted)
    newest = mails[-1]
    assert newest.state == "sent"
    assert newest.subject == f"Retraining of churn churn_risk, {MOVED}: version 2 promoted"


def test_deployment_follows_the_promotion(replayed: Loop) -> None:
    platform = replayed.workspace.platform
    for geography in GEOGRAPHIES:
        pointer, champion = platform.deployments.pointer(slot_in(geography)), history(replayed, geography)[-1]
        assert pointer is not None
        assert pointer.serving is not None
        assert (pointer.state, pointer.serving.decision_id) == ("active", champion.decision_id)


def test_days_after_the_decision_are_scored_by_the_new_champion(replayed: Loop) -> None:
    entry = history(replayed, MOVED)[-1]
    lake = replayed.workspace.platform.lake
    table = scores_table("churn", "churn_risk")
    champions = {}
    for number in range((LAST_TOLD - FIRST_TOLD).days + 1):
        day = FIRST_TOLD + dt.timedelta(days=number)
        manifest = lake.manifest(PartitionId(table, MOVED, day))
        assert manifest is not None
        champions[day] = manifest.facts["bundle_sha256"] == entry.bundle_sha256
    assert entry.as_of_day is not None
    assert champions == {day: day > entry.as_of_day for day in champions}
    assert any(champions.values())


def test_the_same_days_again_decide_and_mail_nothing_more(replayed: Loop, tmp_path: Path) -> None:
    loop = Loop(copy_home(replayed.home, tmp_path / "home"), replayed.configs)
    mails, entries = retraining_mails(loop), history(loop, MOVED)
    results = run_days(loop, FIRST_TOLD, LAST_TOLD)
    assert [result.status for result in results] == ["unchanged"] * 4
    with dg.DagsterInstance.ephemeral() as instance:
        job = loop.workspace.definitions.resolve_job_def(names.training_job("churn"))
        key = dg.AssetKey(names.retraining_report_key("churn", "churn_risk"))
        assert job.execute_in_process(
            partition_key=MOVED, instance=instance, asset_selection=[key], run_config=QUIET
        ).success
    assert history(loop, MOVED) == entries
    assert [mail.key for mail in retraining_mails(loop)] == [mail.key for mail in mails]
    assert {mail.state for mail in retraining_mails(loop)} == {"sent"}


# ------------------------------------------------------------ the daemon's path


@dataclass
class Daemon:
    """Evaluates the sensors like Dagster's daemon and executes what they request, here and at once.

    Like the daemon, it keeps cursors, and never starts a run key twice, whatever became of its run.
    """

    loop: Loop
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)

    def run_until_quiet(self) -> None:
        """Tick until no sensor requests anything new."""
        for _ in range(20):
            if sum(self._tick(sensor) for sensor in self._sensors()) == 0:
                return
        raise AssertionError("the sensors never come to rest")

    def _sensors(self) -> list[dg.SensorDefinition]:
        found = self.loop.workspace.definitions.get_repository_def().sensor_defs
        return sorted((s for s in found if s.name.startswith(DECIDING)), key=lambda sensor: sensor.name)

    def _tick(self, sensor: dg.SensorDefinition) -> int:
        workspace = self.loop.workspace
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            definitions=workspace.definitions,
            resources=workspace.platform.as_resources(),
            sensor_name=sensor.name,
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[sensor.name] = data.cursor
        return sum(self._start(sensor, request) for request in data.run_requests or ())

    def _start(self, sensor: dg.SensorDefinition, request: dg.RunRequest) -> bool:
        key = {"dagster/run_key": str(request.run_key)}
        if self.instance.get_runs_count(dg.RunsFilter(tags=key)):
            return False
        job = self.loop.workspace.definitions.resolve_job_def(str(sensor.job_name))
        result = job.execute_in_process(
            partition_key=request.partition_key,
            instance=self.instance,
            tags={**request.tags, **key},
            run_config=QUIET,
            asset_selection=list(request.asset_selection or ()) or None,
        )
        assert result.success
        return True


@pytest.fixture
def daemon(own: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Sensors over the test's own copy, with a history of their own."""
    monkeypatch.setenv("DAGSTER_HOME", str(own.home / "dagster_home"))
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    with own.workspace.open_instance() as instance:
        yield Daemon(own, instance)


def files_by_day(loop: Loop) -> dict[dt.date, list[Path]]:
    """Return the delivered files of the last days."""
    found: dict[dt.date, list[Path]] = {}
    for path in sorted((loop.home / "landing").rglob("*_2026????.*")):
        day = dt.datetime.strptime(path.stem[-8:], "%Y%m%d").replace(tzinfo=dt.UTC).date()
        if day >= FIRST_TOLD:
            found.setdefault(day, []).append(path)
    return found


def assert_alike(own: Loop, replayed: Loop) -> None:
    """Compare decisions, verdicts, report, mails and what serves."""
    for geography in GEOGRAPHIES:
        assert decided(own, geography) == decided(replayed, geography)
        assert verdicts(own, geography) == verdicts(replayed, geography)
    entry, twin = history(own, MOVED)[-1], history(replayed, MOVED)[-1]
    assert without_ids(report_page(own, entry)) == without_ids(report_page(replayed, twin))
    assert [mail.subject for mail in retraining_mails(own)] == [
        mail.subject for mail in retraining_mails(replayed)
    ]
    pointer = own.workspace.platform.deployments.pointer(slot_in(MOVED))
    assert pointer is not None
    assert pointer.serving is not None
    assert pointer.serving.decision_id == entry.decision_id


@pytest.mark.parametrize("arrival", ["day by day", "all at once"])
def test_sensors_decide_like_the_replay(replayed: Loop, own: Loop, daemon: Daemon, arrival: str) -> None:
    """Whether each day is met as it comes, or the daemon was down for days and finds them all."""
    if arrival == "day by day":
        waiting = files_by_day(own)
        for path in (path for paths in waiting.values() for path in paths):
            path.rename(path.with_name(f".{path.name}"))
        for paths in waiting.values():
            for path in paths:
                path.with_name(f".{path.name}").rename(path)
            daemon.run_until_quiet()
    else:
        daemon.run_until_quiet()
    assert_alike(own, replayed)
