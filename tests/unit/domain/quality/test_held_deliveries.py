"""Held deliveries: held once, released once, for these bytes only; what was published before stays."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil

import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import FeedRefusedError, StorageError
from mlops_assets.domain.feeds.arrival import read_deliveries
from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.held_deliveries import (
    find_escalations,
    find_held,
    newest_data_day,
    read_delivery_state,
    release_delivery,
)
from mlops_assets.domain.quality.release_ports import FeedRelease
from tests.unit.domain.quality.gate_world import NEXT_DAY, GateWorld

FEED = PartitionId("feeds/usage", "cl", NEXT_DAY)
HELD = PartitionId("held/usage", "cl", NEXT_DAY)
AT = dt.datetime(2026, 9, 1, 8, tzinfo=dt.UTC)


def hold(world: GateWorld) -> FeedOutcome:
    world.multiply_volumes(NEXT_DAY, 1024)
    outcome = world.land("usage", NEXT_DAY)
    assert outcome.status == "held"
    return outcome


def release(world: GateWorld, **changes: object) -> FeedRelease:
    wanted = FeedRelease("usage", "cl", NEXT_DAY, "", "operations", AT, "the meter was changed")
    return release_delivery(
        world.contract("usage"),
        dataclasses.replace(wanted, **changes),  # type: ignore[arg-type]
        lake=world.lake,
        landing=world.landing,
        releases=world.releases,
    )


def content(world: GateWorld, partition: PartitionId) -> dict[str, bytes]:
    folder = world.lake.folder(partition)
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.is_dir() else {}


def test_held_delivery_is_kept_aside_with_all_that_is_known(next_day: GateWorld) -> None:
    outcome = hold(next_day)
    held = next_day.lake.manifest(HELD)
    assert held is not None
    assert next_day.lake.manifest(FEED) is None, "nothing downstream sees it"
    assert held.facts["raw_sha256"] == outcome.raw_sha256
    assert held.facts["profile"]["row_count"] == held.row_count
    assert held.facts["health"]["status"] == "broken"
    assert pq.read_table(next_day.lake.path(HELD)).num_rows == held.row_count
    assert all("mlops feeds release usage cl" in finding for finding in outcome.findings)
    assert not [name for name in content(next_day, FEED) if not name.startswith("manifest")], "no leftovers"


def test_holding_again_costs_and_changes_nothing(next_day: GateWorld) -> None:
    first = hold(next_day)
    before = content(next_day, HELD)

    class NoEngine:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the engine was asked for {name}")

    again = dataclasses.replace(next_day, engine=NoEngine()).land("usage", NEXT_DAY)  # type: ignore[arg-type]
    assert again == first
    assert content(next_day, HELD) == before


def test_release_publishes_what_was_held(next_day: GateWorld) -> None:
    held = hold(next_day)
    assert release(next_day).raw_sha256 == held.raw_sha256
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "landed"
    assert outcome.health is not None
    assert (outcome.health.status, outcome.health.released_by) == ("healthy", "operations")
    assert outcome.health.findings, "why it had been held is not forgotten"
    assert next_day.lake.manifest(HELD) is None
    assert next_day.land("usage", NEXT_DAY).status == "reused"
    state = read_delivery_state(next_day.lake, "usage", "cl", NEXT_DAY)
    assert (state.state, state.is_anomaly) == ("released", False)


def test_a_release_binds_these_bytes_only(next_day: GateWorld) -> None:
    hold(next_day)
    release(next_day)
    next_day.multiply_volumes(NEXT_DAY, 1 / 8)
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "held"
    assert next_day.lake.manifest(FEED) is None


def test_releasing_twice_records_once(next_day: GateWorld) -> None:
    hold(next_day)
    first = release(next_day)
    assert release(next_day, released_by="someone-else") == first
    next_day.land("usage", NEXT_DAY)
    assert release(next_day) == first, "also after it was used"
    assert next_day.releases.history() == [first]


def test_unknown_changed_and_withdrawn_deliveries_cannot_be_released(next_day: GateWorld) -> None:
    with pytest.raises(FeedRefusedError, match=r"no delivery is held.*mlops feeds list --held"):
        release(next_day)
    hold(next_day)
    with pytest.raises(FeedRefusedError, match="names the file with sha256 bbbb"):
        release(next_day, raw_sha256="b" * 64)
    next_day.multiply_volumes(NEXT_DAY, 8)
    with pytest.raises(FeedRefusedError, match=r"changed since it was held.*judged anew"):
        release(next_day)
    next_day.file("usage", NEXT_DAY).unlink()
    with pytest.raises(FeedRefusedError, match="gone"):
        release(next_day)
    assert next_day.releases.history() == []


@pytest.mark.parametrize(
    "changes", [{"note": " "}, {"released_by": ""}, {"released_at_utc": AT.replace(tzinfo=None)}]
)
def test_a_release_says_who_when_and_why(next_day: GateWorld, changes: dict[str, object]) -> None:
    hold(next_day)
    with pytest.raises(StorageError, match="cannot be recorded without"):
        release(next_day, **changes)
    assert next_day.releases.history() == []


def test_a_good_delivery_takes_the_place_of_a_held_one(next_day: GateWorld) -> None:
    good = next_day.file("usage", NEXT_DAY).read_bytes()
    hold(next_day)
    next_day.file("usage", NEXT_DAY).write_bytes(good)
    outcome = next_day.land("usage", NEXT_DAY)
    assert (outcome.status, next_day.lake.manifest(HELD)) == ("landed", None)


def test_a_broken_correction_leaves_what_was_published(next_day: GateWorld) -> None:
    good = next_day.land("usage", NEXT_DAY)
    before = content(next_day, FEED)
    original = next_day.file("usage", NEXT_DAY).read_bytes()
    outcome = hold(next_day)
    assert outcome.manifest == good.manifest
    assert content(next_day, FEED) == before
    next_day.file("usage", NEXT_DAY).write_bytes(original)
    assert next_day.land("usage", NEXT_DAY).status == "reused"
    assert next_day.lake.manifest(HELD) is None, "the held correction was withdrawn"


def test_a_killed_release_is_finished_by_the_next_run(next_day: GateWorld) -> None:
    hold(next_day)
    shutil.copytree(next_day.lake.folder(HELD), next_day.folder / "aside")
    release(next_day)
    next_day.land("usage", NEXT_DAY)
    shutil.copytree(next_day.folder / "aside", next_day.lake.folder(HELD), dirs_exist_ok=True)
    assert next_day.land("usage", NEXT_DAY).status == "reused"
    assert next_day.lake.manifest(HELD) is None


def test_a_held_delivery_is_judged_anew_when_its_history_changes(next_day: GateWorld) -> None:
    hold(next_day)
    for back in range(1, 29):
        next_day.lake.remove(PartitionId("feeds/usage", "cl", NEXT_DAY - dt.timedelta(days=back)))
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "landed"
    assert outcome.health is not None
    assert outcome.health.status == "unknown"


def test_age_and_escalation_count_days_of_data(next_day: GateWorld) -> None:
    hold(next_day)
    contracts = {"usage": next_day.contract("usage")}
    (state,) = find_held(next_day.lake, ["usage"], ["cl"])
    assert (state.age_days, state.is_anomaly) == (0, True)
    assert find_escalations([state], contracts) == []
    later = NEXT_DAY + dt.timedelta(days=3)
    with next_day.lake.write(PartitionId("feeds/topups", "cl", later), "0" * 16) as writer:
        writer.commit(row_count=0)
    assert newest_data_day(next_day.lake, ["usage", "topups"], ["cl"]) == later
    held = find_held(next_day.lake, ["usage", "topups"], ["cl"])
    (escalation,) = find_escalations(held, contracts)
    assert escalation.delivery.age_days == 3
    assert f"usage of cl for {NEXT_DAY} has been held for 3 days (at most 2)" in escalation.text
    patient = contracts["usage"].gate.model_copy(update={"escalate_after_days": 3})
    assert find_escalations(held, {"usage": contracts["usage"].model_copy(update={"gate": patient})}) == []


def test_states_of_deliveries(next_day: GateWorld) -> None:
    states = [
        read_delivery_state(next_day.lake, "usage", "cl", NEXT_DAY - dt.timedelta(days=back))
        for back in (0, 1, 22)
    ]
    assert [(s.state, s.is_anomaly) for s in states] == [
        ("absent", None),
        ("healthy", False),
        ("unjudged", None),
    ]


def test_a_release_makes_its_day_another_one(next_day: GateWorld) -> None:
    held = hold(next_day)
    contracts, chains = [next_day.contract("usage")], {"cl": ["cl"]}
    before = read_deliveries(next_day.landing, contracts, chains)
    one = FeedRelease("usage", "cl", NEXT_DAY, held.raw_sha256, "operations", AT, "x")
    elsewhere = dataclasses.replace(one, geography="pe")
    after = read_deliveries(next_day.landing, contracts, chains, [one, elsewhere])
    assert [d for d in before if before[d].fingerprint != after[d].fingerprint] == [NEXT_DAY]
    assert read_deliveries(next_day.landing, contracts, chains, [elsewhere]) == before
