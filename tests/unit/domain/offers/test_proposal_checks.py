"""Faults that are put into published proposals are counted; sound ones have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE
from mlops_assets.domain.offers.proposal_checks import ProposalFaults, count_faults
from mlops_assets.domain.offers.state_scores import OfferSetting
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import GEOGRAPHY
from tests.unit.domain.offers.loop_world import LAST, USE_CASE, LoopWorld
from tests.unit.domain.offers.test_daily_offers import OFFER_DAY, person, prepare, propose, setting_of

EXPLORING = {"random_share": 0.3, "random_contact_share": 0.5, "epsilon": 0.3}
PARTITION = PartitionId(f"offers/{USE_CASE}/proposals", GEOGRAPHY, OFFER_DAY)
Row = dict[str, Any]


def made(world: LoopWorld, setting: OfferSetting) -> ProposalFaults:
    people = [
        person(n, balance_main_acc=n % 4, region="north" if n % 4 < 2 else "south") for n in range(1, 200)
    ]
    prepare(world, setting, people)
    assert propose(world, setting).status == "built"
    return count_faults(setting.spec.catalogue, PARTITION, lake=world.lake, engine=world.engine)


def spoil(world: LoopWorld, change: Callable[[Row], Mapping[str, Any]]) -> None:
    """Change a row with an offer that is not the first row."""
    table = pq.read_table(world.lake.path(PARTITION))
    rows = table.to_pylist()
    place = next(n for n, row in enumerate(rows) if row["plan_code"] != "no_offer" and n)
    rows[place] = {**rows[place], **change(rows[place])}
    with world.lake.write(PARTITION, stable_hash(str(rows[place]))) as writer:
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), writer.file("data"))
        writer.commit(row_count=len(rows))


def test_what_is_made_has_no_fault(loop: LoopWorld) -> None:
    assert made(loop, setting_of(EXPLORING)) == ProposalFaults(199, 0, 0, 0, ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"subscriber_id": 1}, {"repeated": 1}),
        ({"propensity": 0.0}, {"unsound_chances": 1}),
        ({"propensities": [0.5, 0.5, 0.5, 0.0]}, {"unsound_chances": 1}),
        ({"plan_code": "voice_s"}, {"forbidden": 1}),
        ({"plan_code": "data_m", "discount_share": 0.25}, {"forbidden": 1}),
    ],
)
def test_a_fault_is_counted(loop: LoopWorld, change: Row, expected: Mapping[str, int]) -> None:
    setting = setting_of(EXPLORING)
    made(loop, setting)
    spoil(loop, lambda _: change)
    found = count_faults(setting.spec.catalogue, PARTITION, lake=loop.lake, engine=loop.engine)
    counted = {name: getattr(found, name) for name in ("repeated", "unsound_chances", "forbidden")}
    assert counted == {"repeated": 0, "unsound_chances": 0, "forbidden": 0} | expected


def test_an_offer_within_the_cool_down_is_forbidden(loop: LoopWorld) -> None:
    setting = setting_of(EXPLORING)
    made(loop, setting)
    offered = [
        row["subscriber_id"]
        for row in pq.read_table(loop.lake.path(PARTITION)).to_pylist()
        if row["plan_code"] != "no_offer"
    ]
    loop.live(LAST, [person(n) for n in range(1, 200)], contacts=[{"subscriber_id": offered[0]}])
    found = count_faults(setting.spec.catalogue, PARTITION, lake=loop.lake, engine=loop.engine)
    assert found.forbidden == 1


@pytest.mark.parametrize(("is_log_held", "forbidden"), [(True, 1), (False, 0)])
def test_a_proposal_of_a_day_without_log_counts_as_contact(
    loop: LoopWorld, is_log_held: bool, forbidden: int
) -> None:
    setting = setting_of(EXPLORING)
    made(loop, setting)
    table = pq.read_table(loop.lake.path(PARTITION))
    offers = [row for row in table.to_pylist() if row["plan_code"] != "no_offer"]
    before = PartitionId(PARTITION.table, GEOGRAPHY, LAST)
    with loop.lake.write(before, stable_hash("the day before")) as writer:
        pq.write_table(pa.Table.from_pylist(offers[:1], schema=table.schema), writer.file("data"))
        writer.commit(row_count=1)
    if is_log_held:
        loop.lake.remove(PartitionId(CONTACTS_TABLE, GEOGRAPHY, LAST))
    found = count_faults(setting.spec.catalogue, PARTITION, lake=loop.lake, engine=loop.engine)
    assert found.forbidden == forbidden


def test_an_exceeded_fairness_bound_is_told(loop: LoopWorld) -> None:
    fairness = [{"by": "region", "contact_ratio_max": 1.1, "people_min": 10}]
    # Balance and region go together: people in the north have the least.
    found = made(
        loop, setting_of({"epsilon": 1e-6, "control_share": 0.01, "random_share": 0.0}, fairness=fairness)
    )
    (words,) = found.unfair
    assert words.startswith("region: ")
    assert "% of south" in words
