"""Sliding gives what merging gives, and both give what plain Python gives."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.features.window import SlidingWindow, WindowSum
from tests.unit.domain.features.feed_world import FeedWorld, day_number, deliver_day

_COLUMNS = {"subscriber_id": "integer", "amount_usd_cents": "integer"}


def small_window(*, is_one_row_per_key: bool) -> FeatureTable:
    """Return a window of 9 days with a second length of 2 days, which is also how far it can jump."""
    recipe = SlidingWindow(
        source=TableInput("feeds/amounts", _COLUMNS, days=9),
        key="subscriber_id",
        sums={
            "amount": WindowSum("amount", "usd_cent", lambda rows: rows.amount_usd_cents),
            "recent": WindowSum("amount", "usd_cent", lambda rows: rows.amount_usd_cents, days=2),
            "large": WindowSum("large amounts", "count", lambda rows: rows.amount_usd_cents > 5),
        },
        is_one_row_per_key=is_one_row_per_key,
    )
    columns = recipe.documentation(SUBSCRIBER_KEY, of="amounts")
    name = f"etl/amounts_{'one' if is_one_row_per_key else 'many'}"
    return FeatureTable(name, "test", "team:test", "state", ("subscriber_id",), columns, recipe, "1")


ONE, MANY = small_window(is_one_row_per_key=True), small_window(is_one_row_per_key=False)
Delivery = list[tuple[int, int | None]]


def expected_state(deliveries: Mapping[int, Delivery], today: int) -> dict[int, dict[str, Any]]:
    """Compute the window in plain Python."""
    state: dict[int, dict[str, Any]] = {}
    for number in range(today - 8, today + 1):
        for subscriber, amount in deliveries.get(number, []):
            row = state.setdefault(subscriber, {"amount": 0, "recent": 0, "large": 0, "days": set()})
            row["amount"] += amount or 0
            row["recent"] += (amount or 0) if number > today - 2 else 0
            row["large"] += int((amount or 0) > 5)
            row["days"].add(number)
    for subscriber, row in state.items():
        days = row.pop("days")
        row |= {"subscriber_id": subscriber, "active_days": len(days), "last_day": day_number(max(days))}
    return state


def deliver(world: FeedWorld, number: int, rows: Delivery) -> None:
    named = [{"subscriber_id": subscriber, "amount_usd_cents": amount} for subscriber, amount in rows]
    world.deliver("amounts", day_number(number), named, _COLUMNS)


one_row = st.dictionaries(st.integers(1, 4), st.one_of(st.none(), st.integers(0, 9)), max_size=4).map(
    lambda rows: sorted(rows.items())
)
many_rows = st.lists(st.tuples(st.integers(1, 4), st.one_of(st.none(), st.integers(0, 9))), max_size=6)


@pytest.mark.parametrize(("table", "rows"), [(ONE, one_row), (MANY, many_rows)], ids=["one", "many"])
def test_sliding_equals_merging_and_python(table: FeatureTable, rows: st.SearchStrategy[Delivery]) -> None:
    """Missing days, corrected days and the first days of a feed are all in the histories tried."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        history=st.lists(st.one_of(st.none(), rows), min_size=13, max_size=13),
        corrected=st.tuples(st.integers(0, 12), rows),
    )
    def check(history: Sequence[Delivery | None], corrected: tuple[int, Delivery]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check_history(
                FeedWorld(Path(folder) / "slid"), FeedWorld(Path(folder) / "merged"), history, corrected
            )

    def check_history(
        slid: FeedWorld,
        merged: FeedWorld,
        history: Sequence[Delivery | None],
        corrected: tuple[int, Delivery],
    ) -> None:
        deliveries = {number: rows for number, rows in enumerate(history) if rows is not None}
        for number, delivered in deliveries.items():
            deliver(slid, number, delivered)
            slid.build(table, day_number(number))
            assert slid.rows(table.name, day_number(number)) == expected_state(
                deliveries_until(deliveries, number), number
            )
        deliveries[corrected[0]] = corrected[1]
        deliver(slid, *corrected)
        for number in sorted(deliveries):
            deliver(merged, number, deliveries[number])
        for number in sorted(deliveries):
            one = slid.build(table, day_number(number))
            assert one.manifest is not None
            assert slid.rows(table.name, day_number(number)) == expected_state(deliveries, number)
        last = max(deliveries)
        other = merged.build(table, day_number(last))
        assert other.manifest is not None
        assert other.manifest.facts["method"] == "merge"
        assert merged.rows(table.name, day_number(last)) == slid.rows(table.name, day_number(last))
        assert one.manifest.build_key == other.manifest.build_key

    check()


def deliveries_until(deliveries: Mapping[int, Delivery], number: int) -> dict[int, Delivery]:
    return {day: rows for day, rows in deliveries.items() if day <= number}


def test_method_follows_the_chain(tmp_path: Path) -> None:
    """A current state slides to the next day and jumps over a missing one; otherwise days are merged."""
    world, delivered = FeedWorld(tmp_path), (0, 1, 2, 4, 7, 11)
    for number in delivered:
        deliver(world, number, [(1, number)])
    methods = {}
    for number in delivered:
        outcome = world.build(ONE, day_number(number))
        assert outcome.manifest is not None
        methods[number] = outcome.manifest.facts["method"]
        if number == 4:
            assert outcome.manifest.facts["window_days_present"] == 4
            assert outcome.manifest.facts["window_days_present_2d"] == 1
        assert world.rows(ONE.name, day_number(number))[1] == {
            "subscriber_id": 1,
            "amount": sum(n for n in delivered if number - 9 < n <= number),
            "recent": sum(n for n in delivered if number - 2 < n <= number),
            "large": sum(n > 5 for n in delivered if number - 9 < n <= number),
            "active_days": sum(number - 9 < n <= number for n in delivered),
            "last_day": day_number(number),
        }
    assert methods == {0: "merge", 1: "slide", 2: "slide", 4: "jump", 7: "merge", 11: "merge"}
    deliver(world, 1, [(1, 100)])
    outcome = world.build(ONE, day_number(2))
    assert outcome.status == "built"
    assert outcome.manifest is not None
    assert outcome.manifest.facts["method"] == "jump"  # from day 0, before the correction
    assert world.rows(ONE.name, day_number(2))[1]["amount"] == 102


def test_another_version_does_not_slide_on_the_old_state(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    for number in (0, 1):
        deliver(world, number, [(1, 1)])
    world.build(ONE, day_number(0))
    outcome = world.build(dataclasses.replace(ONE, version="changed"), day_number(1))
    assert outcome.manifest is not None
    assert outcome.manifest.facts["method"] == "merge"


SOURCES = {
    "etl/usage_30d": "feeds/usage",
    "etl/topups_30d": "feeds/topups",
    "etl/purchases_30d": "etl/purchases_daily",
    "etl/offers_30d": "feeds/offers_sent",
}


def test_real_windows_equal_python(tmp_path: Path) -> None:
    """34 days, one of them missing; the oldest leave the windows, which slide, then jump over a day."""
    import pyarrow.parquet as pq

    from mlops_assets.domain.ports import PartitionId

    world, delivered = FeedWorld(tmp_path), [n for n in range(34) if n != 20]
    for number in delivered:
        deliver_day(world, day_number(number))
        world.build_all(
            day_number(number), ["etl/purchases_daily", *(SOURCES if number in {30, 31, 33} else ())]
        )
    for name, source in SOURCES.items():
        dailies = {
            day_number(n): pq.read_table(
                world.lake.path(PartitionId(source, "cl", day_number(n)))
            ).to_pylist()
            for n in delivered
        }
        for number, method, days_present in ((31, "slide", 29), (33, "jump", 29)):
            known = {day: rows for day, rows in dailies.items() if day <= day_number(number)}
            expected = python_window(FEATURE_TABLES[name], known, day_number(number))
            assert world.rows(name, day_number(number)) == expected
            manifest = world.lake.manifest(PartitionId(name, "cl", day_number(number)))
            assert manifest is not None
            assert manifest.facts["method"] == method
            assert manifest.facts["window_days_present"] == days_present


def python_window(
    table: FeatureTable, dailies: Mapping[dt.date, list[dict[str, Any]]], today: dt.date
) -> dict[int, dict[str, Any]]:
    """Sum with the meaning that each column's name states."""
    recipe = table.recipe
    assert isinstance(recipe, SlidingWindow)
    state: dict[int, dict[str, Any]] = {}
    days_seen: dict[int, set[dt.date]] = defaultdict(set)
    for day, rows in dailies.items():
        age = (today - day).days
        for row in rows if age < 30 else []:
            key = row["subscriber_id"]
            sums = state.setdefault(key, {"subscriber_id": key, **dict.fromkeys(recipe.sums, 0)})
            days_seen[key].add(day)
            for name in recipe.sums:
                if age < 7 or not name.endswith("_7d"):
                    sums[name] += python_term(name.removesuffix("_7d"), row)
    for key, sums in state.items():
        sums |= {"active_days": len(days_seen[key]), "last_day": max(days_seen[key])}
    return state


def python_term(name: str, row: Mapping[str, Any]) -> int:
    """Return what one row adds to a sum."""
    special = {
        "n_topups": lambda: 1,
        "n_offers": lambda: 1,
        "active_days": lambda: 1,
        "n_app_topups": lambda: int(row["channel"] == "app"),
        "topup_usd_cents": lambda: row["amount_usd_cents"],
        "n_offers_accepted": lambda: int(bool(row["is_accepted"])),
        "data_kb": lambda: (row["data_local_kb"] or 0) + (row["data_roaming_kb"] or 0),
        "calls": lambda: (row["calls_onnet"] or 0) + (row["calls_offnet"] or 0),
    }
    return int(special[name]() if name in special else row[name] or 0)


def test_a_jump_forgets_what_has_already_left_a_shorter_window(tmp_path: Path) -> None:
    """Who came and went within the jump is in no earlier state that his days could be taken from."""
    world = FeedWorld(tmp_path)
    deliver(world, 0, [(1, 3)])
    assert world.build(ONE, day_number(0)).status == "built"
    for number, rows in {1: [(2, 5)], 2: [], 3: [(1, 4)]}.items():
        deliver(world, number, rows)
    outcome = world.build(ONE, day_number(3))
    assert outcome.manifest is not None
    assert {key: row["recent"] for key, row in world.rows(ONE.name, day_number(3)).items()} == {1: 4, 2: 0}
