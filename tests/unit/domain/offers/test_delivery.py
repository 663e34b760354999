"""The delivered file: the operator's codes and money, replaced, kept and withdrawn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.domain.offers.daily_offers import OfferPorts, propose_day
from mlops_assets.domain.offers.delivery import DeliveryError, DeliveryOutcome, deliver_day
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from mlops_assets.domain.offers.policies import build_constant_policy
from mlops_assets.domain.offers.serving_policy import LoadedPolicy
from resources.agents_store import LocalAgentsStore
from tests.unit.domain.features.feed_world import GEOGRAPHY
from tests.unit.domain.offers.loop_world import LAST, USE_CASE, LoopWorld, make_setting
from tests.unit.domain.offers.test_daily_offers import ALL_POLICY, CHOICES, OFFER_DAY, person

DELIVERY = DeliveryId(USE_CASE, GEOGRAPHY, OFFER_DAY)
CHILE = Geography(
    code="cl",
    name="Chile",
    timezone="America/Santiago",
    currency="CLP",
    usd_per_unit=0.001,
    plan_codes={"CL-DAT-M": "data_m", "CL-BOO-1": "booster_1gb"},
)


@pytest.fixture
def store(tmp_path: Path) -> LocalAgentsStore:
    return LocalAgentsStore(tmp_path / "offers")


def propose(world: LoopWorld, people: int = 2) -> None:
    setting = make_setting({"exploration": ALL_POLICY})
    if not world.ledger.entries:
        world.crown_all(setting)
        world.crown(setting.slot)
    world.live(
        LAST,
        [person(n, status="active" if n % 5 else "prospect", tenure_days=1) for n in range(1, people + 1)],
    )
    policy = build_constant_policy("best_single", CHOICES, setting.layout.columns, [0.0, 0.1, 0.5, 0.2])
    ports = OfferPorts(world.lake, world.engine, world.registry, world.ledger)
    propose_day(setting, LAST, ports, lambda _: LoadedPolicy(policy))


def deliver(world: LoopWorld, store: LocalAgentsStore, **more: Any) -> DeliveryOutcome:
    given = {"geography": CHILE, **more}
    return deliver_day(DELIVERY, lake=world.lake, engine=world.engine, store=store, **given)


def lines_of(store: LocalAgentsStore) -> list[dict[str, str]]:
    path = store.find(DELIVERY)
    assert path is not None
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_file_speaks_the_operators_language(loop: LoopWorld, store: LocalAgentsStore) -> None:
    propose(loop, people=10)
    outcome = deliver(loop, store)
    assert (outcome.status, outcome.detail) == ("delivered", f"personalized_offer_{OFFER_DAY:%Y%m%d}.csv")
    lines = lines_of(store)
    assert [line["SUBSCRIBER"] for line in lines] == [str(n) for n in range(1, 11)]
    assert list(lines[0]) == ["SUBSCRIBER", "PLAN_ID", "DISCOUNT", "PROPENSITY", "MODEL"]
    assert (lines[0]["PLAN_ID"], float(lines[0]["DISCOUNT"])) == ("CL-DAT-M", 500.0), "50 cents are 500 pesos"
    assert float(lines[0]["PROPENSITY"]) == pytest.approx(1.0, abs=1e-5)
    assert (lines[4]["PLAN_ID"], float(lines[4]["DISCOUNT"])) == ("NONE", 0.0)
    assert outcome.manifest is not None
    assert outcome.manifest.row_count == 10


def test_delivering_again_changes_nothing(loop: LoopWorld, store: LocalAgentsStore) -> None:
    propose(loop)
    first = deliver(loop, store)
    path = store.find(DELIVERY)
    assert path is not None
    before = path.stat().st_mtime_ns
    again = deliver(loop, store)
    assert (again.status, again.manifest) == ("reused", first.manifest)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_file_is_delivered_again(loop: LoopWorld, store: LocalAgentsStore, damage: str) -> None:
    propose(loop)
    deliver(loop, store)
    path = store.find(DELIVERY)
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(content[:-3]) if damage == "changed" else path.unlink()
    assert deliver(loop, store).status == "delivered"
    assert path.read_bytes() == content


def test_new_proposals_take_the_place_of_old_ones_before_the_day(
    loop: LoopWorld, store: LocalAgentsStore
) -> None:
    propose(loop, people=2)
    deliver(loop, store)
    propose(loop, people=3)
    assert deliver(loop, store).status == "delivered"
    assert len(lines_of(store)) == 3
    propose(loop, people=4)
    assert deliver(loop, store, is_used=True).status == "kept"
    assert len(lines_of(store)) == 3


def test_withdrawn_proposals_are_taken_from_the_store(loop: LoopWorld, store: LocalAgentsStore) -> None:
    assert deliver(loop, store).status == "nothing"
    propose(loop)
    noted = deliver(loop, store)
    loop.withdraw("offers/personalized_offer/proposals", OFFER_DAY)
    assert deliver(loop, store).status == "withdrawn"
    assert store.find(DELIVERY) is None
    assert loop.lake.manifest(noted.partition) is None


def test_a_plan_without_local_code_is_refused_and_the_old_file_stays(
    loop: LoopWorld, store: LocalAgentsStore
) -> None:
    propose(loop, people=2)
    deliver(loop, store)
    propose(loop, people=3)
    nameless = CHILE.model_copy(update={"plan_codes": {"CL-BOO-1": "booster_1gb"}})
    with pytest.raises(DeliveryError, match="3 offers are of plans without a local code"):
        deliver(loop, store, geography=nameless)
    assert len(lines_of(store)) == 2


@pytest.mark.parametrize("code", ["CL,DAT", 'CL"DAT', "CL\nDAT", "NONE"])
def test_a_local_code_that_a_line_cannot_hold_is_refused(
    loop: LoopWorld, store: LocalAgentsStore, code: str
) -> None:
    propose(loop)
    odd = CHILE.model_copy(update={"plan_codes": {**CHILE.plan_codes, code: "data_m"}})
    with pytest.raises(DeliveryError, match="cannot stand in a line"):
        deliver(loop, store, geography=odd)
    assert store.find(DELIVERY) is None


def test_names_cannot_leave_the_folder(store: LocalAgentsStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="name"):
        store.deliver(DeliveryId("offers", "..", OFFER_DAY), tmp_path)
