"""What a week brought, whatever the order in which an engine reads its rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.offer_weeks import plan_week, read_week
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import GEOGRAPHY
from tests.unit.domain.offers.loop_world import LAST, USE_CASE, LoopWorld

PEOPLE = np.arange(1, 201, dtype=np.int64)
START = LAST - dt.timedelta(days=7)


def propose(world: LoopWorld, chances: dict[dt.date, list[float | None]]) -> None:
    for day, of_people in chances.items():
        rows = pa.table(
            {
                "subscriber_id": PEOPLE,
                "plan_code": ["no_offer"] * len(PEOPLE),
                "no_offer_propensity": pa.array(of_people, pa.float64()),
            }
        )
        partition = PartitionId(proposals_table(USE_CASE), GEOGRAPHY, day)
        with world.lake.write(partition, stable_hash([str(day)])) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows)


def quiet_week(world: LoopWorld) -> dict[dt.date, list[float | None]]:
    """Let a week pass in which nobody is contacted; return chances of that for each day."""
    random, days = np.random.default_rng(3), [START + dt.timedelta(days=ahead) for ahead in range(1, 8)]
    for day in days:
        world.live(day)
    return {day: (1 - 0.3 * random.random(len(PEOPLE))).tolist() for day in days}


def test_chances_of_a_week_do_not_hang_on_the_order_of_days(loop: LoopWorld) -> None:
    propose(loop, quiet_week(loop))
    plan = plan_week(GEOGRAPHY, START, proposals_table(USE_CASE), lake=loop.lake)
    proposals = plan.views["proposals"]
    backwards = replace(proposals, partitions=proposals.partitions[::-1])
    turned = replace(plan, views={**plan.views, "proposals": backwards})
    found, again = (read_week(one, PEOPLE, lake=loop.lake, engine=loop.engine) for one in (plan, turned))
    assert (found.own_days == 7).all()
    assert ((found.own_no_contact > 0.05) & (found.own_no_contact < 0.95)).all()
    np.testing.assert_array_equal(found.own_no_contact, again.own_no_contact)


def test_a_day_without_a_chance_leaves_the_week_without_one(loop: LoopWorld) -> None:
    chances = quiet_week(loop)
    newest = max(chances)
    chances[newest][0], chances[newest][1] = None, 0.0
    propose(loop, chances)
    plan = plan_week(GEOGRAPHY, START, proposals_table(USE_CASE), lake=loop.lake)
    found = read_week(plan, PEOPLE, lake=loop.lake, engine=loop.engine)
    assert np.isnan(found.own_no_contact[:2]).all()
    assert np.isfinite(found.own_no_contact[2:]).all()
