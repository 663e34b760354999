"""Daily totals by plan equal plain Python."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mlops_assets.domain.features.plan_usage import PLAN_USAGE_DAILY
from tests.unit.domain.features.feed_world import FeedWorld, day_number, random_feeds, random_people


def test_totals_equal_plain_python(tmp_path: Path) -> None:
    world, day = FeedWorld(tmp_path), day_number(3)
    people, usage = random_people(1, day, 60), random_feeds(7, 70)["usage"]  # some are not in the CRM
    world.deliver("subscribers", day, people)
    world.deliver("usage", day, usage)
    assert world.build(PLAN_USAGE_DAILY, day).status == "built"
    used = {row["subscriber_id"]: row for row in usage}
    expected: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
    for person in people:
        if person["status"] != "prospect":
            plan, row = expected[person["plan_code"]], used.get(person["subscriber_id"])
            plan["subscribers"] += person["status"] == "active"
            plan["active_subscribers"] += row is not None
            plan["data_kb"] += ((row or {}).get("data_local_kb") or 0) + (
                (row or {}).get("data_roaming_kb") or 0
            )
            plan["sessions"] += (row or {}).get("record_count") or 0
    rows = world.rows("etl/plan_usage_daily", day)
    assert {code: {name: row[name] for name in _COUNTS} for code, row in rows.items()} == expected
    assert sum(row["data_kb"] for row in rows.values()) > 0


_COUNTS = ("data_kb", "sessions", "active_subscribers", "subscribers")


def test_a_plan_that_nobody_uses_has_zeros_and_prospects_have_none(tmp_path: Path) -> None:
    world, day = FeedWorld(tmp_path), day_number(0)
    people = [
        {"subscriber_id": 1, "status": "active", "plan_code": "quiet"},
        {"subscriber_id": 2, "status": "prospect", "plan_code": "wanted"},
    ]
    world.deliver("subscribers", day, people)
    world.deliver("usage", day, [])
    world.build(PLAN_USAGE_DAILY, day)
    assert world.rows("etl/plan_usage_daily", day) == {
        "quiet": {
            "plan_code": "quiet",
            "data_kb": 0,
            "sessions": 0,
            "active_subscribers": 0,
            "subscribers": 1,
        }
    }


def test_without_usage_there_are_no_totals(tmp_path: Path) -> None:
    world, day = FeedWorld(tmp_path), day_number(0)
    world.deliver("subscribers", day, random_people(1, day))
    outcome = world.build(PLAN_USAGE_DAILY, day)
    assert outcome.status == "missing_input"
    assert "feeds/usage" in outcome.detail
