"""Ranges of single subscribers: coverage, the incremental state, and people who are not like the others."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.table import ENGINE_TYPES, FeatureTable
from mlops_assets.domain.feeds.units import UNITS
from mlops_assets.domain.quality.spec import RangeSpec
from mlops_assets.domain.quality.subscriber_counts import count_subscribers
from mlops_assets.domain.quality.subscriber_tables import LEVELS, SCORES, subscriber_tables
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number
from tests.unit.domain.quality.subscriber_market import (
    KERNEL,
    TABLES,
    WEEK,
    Market,
    judge,
    publish,
    publish_kernel,
    publish_people,
    read,
)

DAYS, JUDGED_FROM = 33, 23


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(people=800, days=DAYS)


@pytest.fixture(scope="module")
def lived(market: Market, tmp_path_factory: pytest.TempPathFactory) -> FeedWorld:
    """All days of the market, judged."""
    world = FeedWorld(tmp_path_factory.mktemp("market"))
    market.run(world, {1, *range(JUDGED_FROM, DAYS)})
    return world


def outside(world: FeedWorld, number: int) -> dict[int, dict[str, Any]]:
    return {row["subscriber_id"]: row for row in read(world, "anomalies", day_number(number))}


# ---------------------------------------------------------------- on many


def test_coverage_is_close_to_nominal(lived: FeedWorld, market: Market) -> None:
    found = {number: outside(lived, number) for number in range(JUDGED_FROM, DAYS)}
    judged = market.people * len(found)
    share = sum(map(len, found.values())) / judged
    assert 0.03 <= share <= 0.07
    removed = sum(row["is_removed"] for rows in found.values() for row in rows.values())
    assert 0 < removed / judged <= 0.005
    counts = Counter(one for rows in found.values() for one in rows)
    by_level = np.array_split(np.argsort(market.level), 4)
    for people in by_level:
        assert sum(counts[int(i) + 1] for i in people) / len(people) / len(found) <= 0.09


def test_ranges_hold_what_they_say(lived: FeedWorld, market: Market) -> None:
    for number in (JUDGED_FROM, DAYS - 1):
        for one, row in outside(lived, number).items():
            assert row["value_mb"] == pytest.approx(market.values[number][one - 1], abs=1e-2, rel=1e-5)
            assert 0 <= row["low_mb"] < row["high_mb"]
            is_above = row["value_mb"] > row["high_mb"]
            assert is_above or row["value_mb"] < row["low_mb"]
            assert row["reason"] == ("far_" if row["is_removed"] else "") + ("above" if is_above else "below")


def test_state_is_near_the_exact_quantiles(lived: FeedWorld, market: Market) -> None:
    """The state moves day by day; the reference takes median and 16 to 84 % of the last 30 days at once.

    Tolerance: level within a quarter of a spread for half and within half a spread for nine tenths of the
    people; spread up to a third wider (days of silence count), and but for that within a fifth for half.
    """
    mine = np.array(market.plans) == "data_l"
    totals = market.kernel(0)["data_l"][0] / WEEK[1]
    active = (market.values[:, mine] > 0).sum(axis=1).mean()
    forecast = totals / active * WEEK[np.arange(DAYS - 30, DAYS) % 7][:, None]
    offset = 0.05 * totals / active * WEEK.mean()
    ratio = np.log((market.values[-30:, mine] + offset) / (forecast + offset))
    low, middle, high = np.quantile(ratio, [0.16, 0.5, 0.84], axis=0)
    state = {row["subscriber_id"]: row for row in read(lived, "levels", day_number(DAYS - 1))}
    ids = np.flatnonzero(mine) + 1
    level = np.array([state[int(i)]["level"] for i in ids])
    spread = np.array([state[int(i)]["spread"] for i in ids])
    assert {state[int(i)]["history_days"] for i in ids} == {30}
    exact = (high - low) / 2
    error = np.abs(level - middle) / exact
    assert np.quantile(error, 0.5) < 0.25
    assert np.quantile(error, 0.9) < 0.5
    wider = np.log(spread / exact)
    assert 0.0 <= np.median(wider) < math.log(1.33)
    assert np.median(np.abs(wider - np.median(wider))) < 0.2


def test_a_festival_is_outside_but_hardly_removes_anybody(
    market: Market, lived: FeedWorld, tmp_path: Path
) -> None:
    """Everybody uses 2.5 times as much: the day's common shift is taken off before values are removed."""
    import shutil

    shutil.copytree(lived.lake.root, tmp_path / "lake")
    world, number = FeedWorld(tmp_path), DAYS - 1
    values = dict(enumerate((market.values[number] * 2.5).tolist(), start=1))
    publish_people(world, day_number(number), dict(enumerate(market.plans, start=1)), values)
    judge(world, day_number(number))
    rows = outside(world, number)
    assert len(rows) / market.people > 0.15
    assert sum(row["is_removed"] for row in rows.values()) / len(rows) < 0.1
    before = np.array([row["level"] for row in read(lived, "levels", day_number(number))])
    after = np.array([row["level"] for row in read(world, "levels", day_number(number))])
    assert abs(np.median(after) - np.median(before)) < 0.03


def test_counts_carry_no_subscriber(lived: FeedWorld, market: Market) -> None:
    day = day_number(DAYS - 1)
    counts = count_subscribers(GEOGRAPHY, day, lake=lived.lake, engine=lived.engine)
    assert counts is not None
    rows = read(lived, "anomalies", day)
    assert counts.scored == market.people
    assert counts.without_forecast == 0
    assert counts.outside == len(rows)
    assert counts.removed == sum(row["is_removed"] for row in rows)
    assert counts.outside_share == len(rows) / market.people
    first = count_subscribers(GEOGRAPHY, day_number(1), lake=lived.lake, engine=lived.engine)
    assert first is not None
    assert (first.is_calibrated, first.outside_share) == (False, None)
    assert count_subscribers(GEOGRAPHY, day_number(99), lake=lived.lake, engine=lived.engine) is None


# ---------------------------------------------------------------- on few

DAY = day_number(20)
BEFORE = DAY - dt.timedelta(days=1)
MEAN_MB = 100.0


@pytest.fixture
def world(tmp_path: Path) -> FeedWorld:
    """Limits and a kernel of 100 MB per active subscriber; 10 people of each of two plans a day before."""
    world = FeedWorld(tmp_path)
    publish_people(
        world,
        BEFORE,
        {i: "data_s" if i <= 10 else "data_l" for i in range(1, 21)},
        dict.fromkeys(range(1, 21), 1.0),
    )
    publish_kernel(world, BEFORE, {plan: [MEAN_MB * 10] * 30 for plan in ("data_s", "data_l")})
    limits = [{"plan_code": "", "stratum": s, "w": w} for s, w in ((0, 5.0), (1, 3.0), (2, 2.0))]
    publish(
        world,
        TABLES["limits"].name,
        DAY,
        {
            "plan_code": [row["plan_code"] for row in limits],
            "stratum": pa.array([row["stratum"] for row in limits], pa.int64()),
            **{
                name: [sign * factor * row["w"] for row in limits]
                for name, sign, factor in (
                    ("low_score", -1, 1),
                    ("high_score", 1, 1),
                    ("removal_low_score", -1, 2),
                    ("removal_high_score", 1, 2),
                )
            },
        },
    )
    return world


def publish_state(world: FeedWorld, rows: list[dict[str, Any]], day: dt.date = BEFORE) -> None:
    filled = [
        {"plan_code": "data_s", "level": 0.0, "spread": 0.5, "history_days": 30, "last_day": day} | row
        for row in rows
    ]
    types = {"subscriber_id": pa.int64(), "history_days": pa.int32(), "last_day": pa.date32()}
    types |= {"level": pa.float32(), "spread": pa.float32(), "plan_code": pa.string()}
    publish(world, LEVELS, day, {n: pa.array([r[n] for r in filled], kind) for n, kind in types.items()})


def people_of(state: int = 9) -> list[dict[str, Any]]:
    return [{"subscriber_id": i} for i in range(1, state + 1)]


def expected_high(level: float, spread: float, score: float, days: int) -> float:
    shrunk = (days * level + 4 * PLAN_LEVEL) / (days + 4)
    own = math.sqrt((days * spread**2 + 8 * PLAN_SPREAD**2) / (days + 8))
    return (MEAN_MB + 5) * math.exp(shrunk + own * score) - 5


PLAN_LEVEL = 0.01  # middle of the bucket that holds the level 0 of everybody
PLAN_SPREAD = math.exp((math.floor(math.log(0.5) / 0.02) + 0.5) * 0.02)


def test_range_is_the_documented_formula(world: FeedWorld) -> None:
    publish_state(
        world, [*people_of(), {"subscriber_id": 10, "level": 1.0, "spread": 0.3, "history_days": 12}]
    )
    publish_people(world, DAY, {10: "data_s"}, {10: 5000.0})
    judge(world, DAY, ["anomalies"])
    (row,) = read(world, "anomalies", DAY)
    assert row["high_mb"] == pytest.approx(expected_high(1.0, 0.3, 2.0, 12), rel=1e-5)
    assert row["low_mb"] == pytest.approx(expected_high(1.0, 0.3, -2.0, 12), rel=1e-5)


def test_a_new_subscriber_has_the_plans_range_in_the_widest_stratum(world: FeedWorld) -> None:
    publish_state(world, people_of())
    inside = expected_high(0.0, PLAN_SPREAD, 5.0, 0)
    publish_people(world, DAY, {98: "data_s", 99: "data_s"}, {98: inside * 0.99, 99: inside * 1.01})
    judge(world, DAY, ["anomalies", "levels"])
    (row,) = read(world, "anomalies", DAY)
    assert row["subscriber_id"] == 99
    assert row["high_mb"] == pytest.approx(inside, rel=1e-4)
    state = {row["subscriber_id"]: row for row in read(world, "levels", DAY)}
    assert state[98]["history_days"] == 1
    assert state[98]["spread"] == pytest.approx(PLAN_SPREAD, rel=1e-5)


def test_who_has_no_limits_of_the_own_stratum_has_those_of_all(world: FeedWorld) -> None:
    """On the third day of a plan nobody has been in the next stratum yet."""
    publish_state(world, people_of())
    publish_scores(world, BEFORE, "data_s", dict.fromkeys(range(-40, 40), 1), stratum=0)
    publish_no_scores(world)
    publish_people(world, DAY, {1: "data_s", 2: "data_s"}, {1: 100.0, 2: 1e5})
    judge(world, DAY, ["limits", "anomalies"])
    (row,) = read(world, "anomalies", DAY)
    assert row["subscriber_id"] == 2
    assert not row["is_removed"]  # 80 scores are too few for that


def test_no_usage_is_a_value_of_zero(world: FeedWorld) -> None:
    """Who is used to much and uses nothing is outside; who is often silent is not."""
    publish_state(
        world,
        [
            *people_of(8),
            {"subscriber_id": 9, "spread": 0.2},
            {"subscriber_id": 10, "level": -2.9, "spread": 1.0},
        ],
    )
    publish_people(world, DAY, {9: "data_s", 10: "data_s"}, {})
    judge(world, DAY, ["anomalies"])
    rows = {row["subscriber_id"]: row for row in read(world, "anomalies", DAY)}
    assert set(rows) == {9}
    assert rows[9]["value_mb"] == 0.0
    assert rows[9]["reason"] in {"below", "far_below"}


def test_a_plan_is_changed_and_changed_back(world: FeedWorld) -> None:
    """Another plan has its own state; the old one waits for 45 days."""
    publish_state(world, [*people_of(), {"subscriber_id": 10, "level": 1.5, "spread": 0.3}])
    publish_people(world, DAY, {10: "data_l"}, {10: 50.0})
    judge(world, DAY, ["levels"])
    mine = {r["plan_code"]: r for r in read(world, "levels", DAY) if r["subscriber_id"] == 10}
    assert mine["data_l"]["history_days"] == 1
    assert mine["data_s"]["level"] == pytest.approx(1.5)
    assert mine["data_s"]["last_day"] == BEFORE
    later = DAY + dt.timedelta(days=1)
    publish_people(world, later, {10: "data_s"}, {10: 400.0})
    judge(world, later, ["levels"])
    mine = {r["plan_code"]: r for r in read(world, "levels", later) if r["subscriber_id"] == 10}
    assert mine["data_s"]["history_days"] == 30
    assert mine["data_s"]["last_day"] == later
    assert mine["data_l"]["last_day"] == DAY


def test_a_state_is_forgotten_after_45_days(world: FeedWorld) -> None:
    rows = [{"subscriber_id": i, "last_day": DAY - dt.timedelta(days=back)} for i, back in ((1, 44), (2, 45))]
    publish_state(world, rows)
    publish_people(world, DAY, {3: "data_s"}, {3: 1.0})
    judge(world, DAY, ["levels"])
    assert {row["subscriber_id"] for row in read(world, "levels", DAY)} == {1, 3}


@pytest.mark.parametrize("mid", [None, math.nan, 0.0])
def test_a_plan_without_forecast_is_not_judged(world: FeedWorld, mid: float | None) -> None:
    """No kernel row, a mid that is no number, a plan that is forecast silent."""
    mids = {"data_s": [MEAN_MB * 10] * 30}
    if mid is not None:
        mids["data_l"] = [mid] * 30
    publish_kernel(world, BEFORE, mids)
    publish_state(world, [*people_of(), {"subscriber_id": 50, "plan_code": "data_l"}])
    publish_people(world, DAY, {1: "data_s", 50: "data_l", 51: "gone"}, {1: 90.0, 50: 1e6, 51: 1e6})
    judge(world, DAY, ["scores", "anomalies", "levels"])
    assert read(world, "anomalies", DAY) == []
    unjudged = {
        r["plan_code"]: r["subscribers"] for r in read(world, "scores", DAY) if r["kind"] == "no_kernel"
    }
    assert unjudged == {"data_l": 1, "gone": 1}
    state = {row["subscriber_id"]: row for row in read(world, "levels", DAY)}
    assert state[50]["last_day"] == BEFORE
    assert 51 not in state


def test_a_gigantic_value_is_removed_and_hardly_moves_the_state(world: FeedWorld) -> None:
    publish_state(world, people_of(10))
    publish_people(
        world, DAY, dict.fromkeys(range(1, 11), "data_s"), dict.fromkeys(range(1, 10), 100.0) | {10: 1e12}
    )
    judge(world, DAY, ["scores", "anomalies", "levels"])
    (row,) = read(world, "anomalies", DAY)
    assert (row["subscriber_id"], row["reason"], row["is_removed"]) == (10, "far_above", True)
    state = {row["subscriber_id"]: row for row in read(world, "levels", DAY)}
    assert state[10]["level"] <= 0.07 * 2 * 0.51
    assert state[10]["spread"] <= 0.5 * 1.2
    assert max(row["bucket"] for row in read(world, "scores", DAY) if row["kind"] == "published") <= 800


def test_prospects_are_nobody(world: FeedWorld) -> None:
    publish_state(world, people_of())
    publish_people(world, DAY, {77: "none"}, {77: 1e6})
    judge(world, DAY, ["scores", "anomalies", "levels"])
    assert read(world, "anomalies", DAY) == []
    assert read(world, "scores", DAY) == []
    assert {row["subscriber_id"] for row in read(world, "levels", DAY)} == set(range(1, 10))


def test_a_missing_day_moves_nothing_and_the_next_goes_on(world: FeedWorld) -> None:
    publish_state(world, people_of())
    outcomes = judge(world, DAY, ["scores", "anomalies", "levels"])
    assert {outcome.status for outcome in outcomes.values()} == {"missing_input"}
    later = DAY + dt.timedelta(days=2)
    publish_people(world, later, {1: "data_s"}, {1: 100.0})
    judge(world, later, ["levels"])
    state = {row["subscriber_id"]: row for row in read(world, "levels", later)}
    assert state[1]["last_day"] == later
    assert state[2]["last_day"] == BEFORE


def test_without_a_kernel_there_is_nothing_to_judge_by(world: FeedWorld) -> None:
    publish_people(world, DAY, {1: "data_s"}, {1: 1.0})
    world.withdraw(KERNEL, BEFORE)
    publish_kernel(world, DAY, {"data_s": [1.0] * 30})  # of the day itself: it has seen the day
    publish_kernel(world, DAY - dt.timedelta(days=31), {"data_s": [1.0] * 30})  # does not reach the day
    outcome = judge(world, DAY, ["levels"])["levels"]
    assert outcome.status == "missing_input"
    assert KERNEL in outcome.detail


def test_a_day_is_built_again_only_if_something_changed(world: FeedWorld) -> None:
    publish_state(world, people_of())
    publish_people(world, DAY, {1: "data_s"}, {1: 1.0})
    assert judge(world, DAY, ["anomalies"])["anomalies"].status == "built"
    assert judge(world, DAY, ["anomalies"])["anomalies"].status == "reused"
    publish_state(world, people_of(8))
    assert judge(world, DAY, ["anomalies"])["anomalies"].status == "built"
    manifest = judge(world, DAY, ["anomalies"])["anomalies"].manifest
    assert manifest is not None
    assert f"{LEVELS}[cl {BEFORE}]" in manifest.inputs


def test_the_first_day_of_all_judges_nobody(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    publish_people(world, BEFORE, {1: "data_s"}, {1: 1.0})
    publish_kernel(world, BEFORE, {"data_s": [100.0] * 30})
    publish_people(world, DAY, {1: "data_s", 2: "data_s"}, {1: 1.0, 2: 1e9})
    outcomes = judge(world, DAY)
    assert {outcome.status for outcome in outcomes.values()} == {"built"}
    assert read(world, "limits", DAY) == []
    assert read(world, "anomalies", DAY) == []
    assert len(read(world, "levels", DAY)) == 2


# ---------------------------------------------------------------- calibration


def publish_scores(
    world: FeedWorld, day: dt.date, plan: str, buckets: dict[int, int], stratum: int = 2
) -> None:
    rows = [(kind, bucket, n) for kind in ("published", "removal") for bucket, n in buckets.items()]
    publish(
        world,
        SCORES,
        day,
        {
            "plan_code": pa.array([plan] * len(rows), pa.string()),
            "stratum": pa.array([stratum] * len(rows), pa.int64()),
            "kind": pa.array([row[0] for row in rows], pa.string()),
            "bucket": pa.array([row[1] for row in rows], pa.int64()),
            "subscribers": pa.array([row[2] for row in rows], pa.int64()),
        },
    )


def test_limits_are_conformal_quantiles_of_the_days_before(tmp_path: Path) -> None:
    world, chance = FeedWorld(tmp_path), np.random.default_rng(3)
    scores = []
    for back in range(1, 17):
        of_day = np.floor(chance.normal(0.2, 1.0, 97) / 0.05).astype(int)
        publish_scores(world, DAY - dt.timedelta(days=back), "data_s", Counter(of_day.tolist()))
        scores.append(of_day)
    publish_scores(world, DAY, "data_s", {500: 10_000})  # the day itself does not count
    world.build(TABLES["limits"], DAY)
    found = {(row["plan_code"], row["stratum"]): row for row in read(world, "limits", DAY)}
    rows = {"data_s": found["data_s", 2], "": found["", 2]}
    known = np.sort(np.concatenate(scores[:14]))
    rank = math.ceil((len(known) + 1) * 0.975)
    assert rows["data_s"]["high_score"] == pytest.approx((known[rank - 1] + 1) * 0.05)
    assert rows["data_s"]["low_score"] == pytest.approx(known[len(known) - rank] * 0.05)
    assert rows["data_s"]["scores"] == len(known)
    assert rows["data_s"]["removal_high_score"] > rows["data_s"]["high_score"]
    assert rows[""] == rows["data_s"] | {"plan_code": ""}
    assert found["", -1] == rows[""] | {"stratum": -1}


def publish_no_scores(world: FeedWorld) -> None:
    """Publish six days on which nobody was scored; a calibration needs seven."""
    for back in range(1, 7):
        publish_scores(world, BEFORE - dt.timedelta(days=back), "data_s", {})


@pytest.mark.parametrize(("days", "has_limits"), [(6, False), (7, True)])
def test_a_calibration_needs_a_week(tmp_path: Path, days: int, has_limits: bool) -> None:
    world = FeedWorld(tmp_path)
    for back in range(1, days + 1):
        publish_scores(world, DAY - dt.timedelta(days=back), "data_s", dict.fromkeys(range(100), 1))
    world.build(TABLES["limits"], DAY)
    assert bool(read(world, "limits", DAY)) == has_limits


@pytest.mark.parametrize(("scores", "has_limits"), [(38, False), (39, True)])
def test_too_few_scores_give_no_limit(tmp_path: Path, scores: int, has_limits: bool) -> None:
    world = FeedWorld(tmp_path)
    publish_scores(world, BEFORE, "data_s", dict.fromkeys(range(scores), 1))
    publish_no_scores(world)
    publish_scores(world, BEFORE - dt.timedelta(days=1), "data_l", dict.fromkeys(range(2000), 1))
    world.build(TABLES["limits"], DAY)
    rows = {row["plan_code"]: row for row in read(world, "limits", DAY) if row["stratum"] == 2}
    assert (rows["data_s"]["high_score"] is not None) == has_limits
    assert rows["data_s"]["removal_high_score"] is None
    assert rows["data_l"]["removal_high_score"] is not None
    assert rows[""]["high_score"] is not None


def test_shares_belong_to_the_version() -> None:
    usual, other = (subscriber_tables(KERNEL, spec) for spec in (RangeSpec(), RangeSpec(published_alpha=0.1)))
    changed = [one.name for one, two in zip(usual, other, strict=True) if one.version != two.version]
    assert changed == [TABLES["limits"].name]


# ---------------------------------------------------------------- house rules


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_are_documented_and_portable(table: FeatureTable) -> None:
    assert "one row" in table.description
    assert [name for name, column in table.columns.items() if column.role == "key"] == list(table.keys)
    assert all(column.unit is None or column.unit in UNITS for column in table.columns.values())
    (expression,) = table.recipe.expressions(table).values()
    for name, column in table.columns.items():
        kind, found = ENGINE_TYPES[column.type], str(expression[name].type()).removeprefix("!")
        assert found == kind or (kind == "int64" and found.startswith("int")), name
    for dialect in ("bigquery", "pyspark"):
        assert all(sql.startswith(("SELECT", "WITH")) for sql in compile_statements(table, dialect).values())


def test_tables_load_no_heavy_library() -> None:
    code = (
        "import sys; import mlops_assets.domain.quality.subscriber_tables; "
        "print([m for m in ('ibis', 'pyarrow', 'pandas', 'duckdb', 'dagster') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
