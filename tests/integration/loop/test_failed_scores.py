"""A day is done with its scores, and only with them; a day has the scores of the champion of then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.config.run_plan import day_log_partition
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from tests.integration.command_line import CommandLine
from tests.integration.loop.conftest import LAST_RUN_DAY, NEXT_DAY, Loop
from tests.integration.small_operator import GEOGRAPHIES, READY_DAY, slot_in

SCORES = scores_table("churn", "churn_risk")


def hide(bundle: Path) -> Callable[[], object]:
    """Take a registered bundle away; the result brings it back."""
    hidden = bundle.rename(bundle.with_name("hidden"))
    return lambda: hidden.rename(bundle)


def corrupt(bundle: Path) -> Callable[[], object]:
    """Flip a bit of a registered bundle; the result mends it."""
    index = bundle / "bundle.json"
    content = index.read_bytes()
    index.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return lambda: index.write_bytes(content)


def registered_bundle(loop: Loop, geography: str) -> Path:
    """Return the folder in which the registry keeps the champion's files."""
    registry = loop.workspace.platform.registry
    version = registry.version(slot_in(geography).registered_name, "1")
    (bundle,) = (loop.home / "mlflow").rglob(f"{version.run_id}/artifacts/bundle")
    return bundle


@pytest.mark.parametrize("damage", [hide, corrupt])
def test_day_without_its_scores_is_due_until_they_are_there(
    own: Loop, mlops: CommandLine, damage: Callable[[Path], Callable[[], object]]
) -> None:
    mlops.use(own.home, own.configs)
    lake = own.workspace.platform.lake
    words = ("run", "--from", NEXT_DAY, "--to", NEXT_DAY)
    repair = damage(registered_bundle(own, "cl"))
    for _ in range(2):  # it stays due, however often it is asked for
        told = mlops(*words)
        assert (told.status, told.days) == (1, [(str(NEXT_DAY), "failed")]), told
        assert "scores" in told.out
        assert lake.manifest(day_log_partition(NEXT_DAY)) is None
        assert lake.manifest(PartitionId(SCORES, "cl", NEXT_DAY)) is None
        assert lake.manifest(PartitionId("etl/subscriber_features", "cl", NEXT_DAY)) is not None
    repair()
    told = mlops(*words)
    assert (told.status, told.days) == (0, [(str(NEXT_DAY), "built")]), told
    assert lake.manifest(day_log_partition(NEXT_DAY)) is not None
    for geography in GEOGRAPHIES:
        manifest = lake.manifest(PartitionId(SCORES, geography, NEXT_DAY))
        assert manifest is not None
        assert manifest.row_count > 0
    assert mlops(*words).days == [(str(NEXT_DAY), "unchanged")]


def succeed_champion(replay: Replay, geography: str) -> LedgerEntry:
    """Train on the data of the last run day and make the result champion, whatever the gate says."""
    outcome = replay.train("churn", geography, LAST_RUN_DAY)
    assert outcome.succeeded, outcome.text()
    (entry,) = outcome.decisions
    if entry.outcome == "promoted":
        return entry
    by_hand = replace(
        entry, outcome="promoted", decided_by="test", decision_id=stable_hash([entry.decision_id])[:32]
    )
    return replay.workspace.platform.ledger.record(by_hand)


def test_days_are_scored_by_the_champion_of_then(own: Loop, replay: Replay) -> None:
    """A day that is run again after a promotion gets its old champion's scores, a later day the new one's."""
    platform, again = own.workspace.platform, READY_DAY + dt.timedelta(days=1)
    first = platform.ledger.champion(slot_in("cl"))
    second = succeed_champion(replay, "cl")
    assert first is not None
    assert platform.ledger.champion(slot_in("cl")) == second
    assert second.bundle_sha256 != first.bundle_sha256
    platform.lake.remove(PartitionId(SCORES, "cl", again))
    job = own.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    assert job.execute_in_process(partition_key=str(again), instance=replay.instance).success
    (result,) = replay.run(NEXT_DAY, NEXT_DAY, lambda _: None)
    assert result.status == "built"
    used = {}
    for day in (again, NEXT_DAY):
        manifest = platform.lake.manifest(PartitionId(SCORES, "cl", day))
        assert manifest is not None
        used[day] = (manifest.facts["model_version"], manifest.facts["bundle_sha256"])
    assert used == {again: ("1", first.bundle_sha256), NEXT_DAY: ("2", second.bundle_sha256)}
    other = platform.lake.manifest(PartitionId(SCORES, "pe", NEXT_DAY))
    assert other is not None
    assert other.facts["model_version"] == "1"
