"""Values of the snapshots, against plain Python."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from tests.unit.domain.features.feed_world import FeedWorld, day_number, deliver_day, random_people

SUBSCRIBER_TABLES = [name for name in FEATURE_TABLES if "device" not in name]
TODAY, PEOPLE = 9, 40


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> FeedWorld:
    """Ten days, day 6 missing."""
    world = FeedWorld(tmp_path_factory.mktemp("world"))
    for number in (0, 1, 2, 3, 4, 5, 7, 8, 9):
        deliver_day(world, day_number(number), people=PEOPLE)
        world.build_all(day_number(number), SUBSCRIBER_TABLES if number == TODAY else ["etl/purchases_daily"])
    return world


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    return None if not denominator or numerator is None else numerator / denominator


def test_population_is_everyone_who_did_not_leave(world: FeedWorld) -> None:
    day = day_number(TODAY)
    people = {row["subscriber_id"]: row for row in random_people(0, day, PEOPLE)}
    left = {key for key, row in people.items() if row["status"] == "churned"}
    assert left
    assert set(world.rows("etl/subscriber_features", day)) == set(people) - left
    assert set(world.rows("etl/churn_events", day)) == left


def test_attributes_of_the_day(world: FeedWorld) -> None:
    day = day_number(TODAY)
    people = {row["subscriber_id"]: row for row in random_people(0, day, PEOPLE)}
    dna = world.rows("etl/profile", day)
    for key, row in world.rows("etl/subscriber_features", day).items():
        person = people[key]
        assert row["balance_main_acc"] == pytest.approx(person["balance_usd_cents"] / 100, rel=1e-6)
        assert (row["region"], row["device_type"]) == (dna[key]["region"], dna[key]["device_type"])
        if person["status"] == "prospect":
            assert (row["tenure_days"], row["days_since_plan"], row["days_to_expiry"]) == (None, None, None)
            continue
        assert row["tenure_days"] == (day - person["activation_date"]).days
        assert row["days_since_plan"] == (day - person["plan_start_date"]).days
        assert row["days_to_expiry"] == (person["plan_expiry_date"] - day).days
        assert row["plan_family"] == {"data_s": "data"}.get(person["plan_code"])


def test_features_follow_their_formulas(world: FeedWorld) -> None:
    day, days_present, days_present_7d = day_number(TODAY), 9, 6
    windows = {
        name: world.rows(f"etl/{name}_30d", day) for name in ("usage", "topups", "purchases", "offers")
    }
    features = world.rows("etl/subscriber_features", day)
    assert any(key not in windows["topups"] for key in features)
    for key, row in features.items():
        zero: dict[str, Any] = {}
        usage, topups, bought, offers = (windows[n].get(key, zero) for n in windows)
        calls = usage.get("calls_onnet", 0) + usage.get("calls_offnet", 0)
        data = usage.get("data_local_kb", 0) + usage.get("data_roaming_kb", 0)
        apps = sorted(
            usage.get(f"app_{a}_kb", 0) for a in ("facebook", "whatsapp", "youtube", "tiktok", "instagram")
        )
        n_topups, cents = topups.get("n_topups", 0), topups.get("topup_usd_cents", 0)
        expected = {
            "data_local_mb": usage.get("data_local_kb", 0) / 1024,
            "phone_calls_month1": calls,
            "avg_phone_calls": calls / days_present,
            "avg_call_minutes": ratio(usage.get("call_seconds", 0) / 60, calls),
            "onnet_calls_ratio": ratio(usage.get("calls_onnet", 0), calls),
            "sms_onnet": usage.get("sms_onnet", 0),
            "activity_days": usage.get("active_days", 0),
            "activity_ratio": usage.get("active_days", 0) / days_present,
            "last_activity_days": (day - usage["last_day"]).days if usage else None,
            "top3_app_usage_ratio": ratio(sum(apps[2:]), sum(apps)),
            "app_tiktok_ratio": ratio(usage.get("app_tiktok_kb", 0), sum(apps)),
            "activity_days_7d": usage.get("active_days_7d", 0),
            "data_trend_ratio": ratio(usage.get("data_kb_7d", 0) / days_present_7d, data / days_present),
            "topup_trend_ratio": ratio(
                topups.get("topup_usd_cents_7d", 0) / days_present_7d, cents / days_present
            ),
            "avg_topup_amt": ratio(cents / 100, n_topups),
            "avg_freq": 7 * n_topups / days_present,
            "n_boosters": bought.get("n_boosters", 0),
            "n_plans_month1": bought.get("n_plans", 0),
            "n_offers": offers.get("n_offers", 0),
            "offer_acceptance_ratio": ratio(offers.get("n_offers_accepted", 0), offers.get("n_offers", 0)),
            "days_since_topup": (day - topups["last_day"]).days if topups else None,
        }
        for name, value in expected.items():
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-6)), (key, name)


def test_boosters_are_told_from_plans_by_the_catalogue_of_the_day(tmp_path: Path) -> None:
    world, day = FeedWorld(tmp_path), day_number(0)
    plan = {"price_usd_cents": 1, "validity_days": 1, "allowance_kb": 1}
    world.deliver(
        "plans",
        day,
        [{"plan_code": "a", "family": "booster", **plan}, {"plan_code": "b", "family": "data", **plan}],
    )
    bought = [
        {"subscriber_id": 1, "plan_code": code, "price_usd_cents": 100}
        for code in ("a", "a", "b", "unknown", None)
    ]
    world.deliver("plan_purchases", day, bought)
    world.build(FEATURE_TABLES["etl/purchases_daily"], day)
    assert world.rows("etl/purchases_daily", day) == {
        1: {"subscriber_id": 1, "n_plans": 3, "n_boosters": 2, "purchase_usd_cents": 500}
    }


def test_device_features(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    for number in range(9):
        day = day_number(number)
        inventory = {"device_group": "g", "region": "r", "firmware": "f", "installed_date": day_number(-100)}
        world.deliver("devices", day, [{"device_id": name, **inventory} for name in ("a", "b")])
        report = {
            "device_id": "a",
            "traffic_kb": 1024 * number,
            "load_share_max": 0.1 * number,
            "temperature_celsius_max": None if number == 8 else 50.0 + 2 * number,
            "error_count": number,
            "event_severity_max": 2 if number == 3 else 0,
        }
        world.deliver("device_telemetry", day, [report] if number != 5 else [])
        world.build_all(day, ["etl/device_7d", "etl/device_firmware", "etl/device_features"])
    rows = world.rows("etl/device_features", day_number(8))
    days = [2, 3, 4, 6, 7, 8]
    a, b = rows["a"], rows["b"]
    assert a["age_days"] == 108
    assert a["traffic_mb_per_day"] == pytest.approx(sum(days) / 7)
    assert a["errors_per_day"] == pytest.approx(sum(days) / 7)
    assert a["load_share_mean"] == pytest.approx(sum(days) / 60)
    assert a["temperature_celsius_mean"] == pytest.approx(sum(50 + 2 * n for n in days[:-1]) / 5)
    assert (a["hot_days"], a["high_load_days"], a["severe_days"], a["reporting_days"]) == (2, 1, 1, 6)
    assert (a["temperature_celsius_max"], a["days_since_report"]) == (None, 0)
    assert (b["reporting_days"], b["load_share_mean"], b["days_since_report"]) == (0, None, None)
    assert (a["errors_today"], b["errors_today"]) == (8, None)
    assert a["errors_trend_ratio"] == pytest.approx(8 / (sum(days) / 6))
    assert a["traffic_trend_ratio"] == pytest.approx(8 / (sum(days) / 6))
    assert a["load_share_change"] == pytest.approx(0.8 - sum(days) / 60)
    assert (a["temperature_celsius_change"], b["errors_trend_ratio"]) == (None, None)
    assert (a["firmware_age_days"], b["firmware_age_days"]) == (8, 8)


def test_neighbours_are_the_others_of_region_and_group(tmp_path: Path) -> None:
    world, day = FeedWorld(tmp_path), day_number(0)
    places = {
        "a": ("north", "g"),
        "b": ("north", "g"),
        "c": ("north", "h"),
        "d": ("south", "g"),
        "e": ("north", "h"),
    }
    reports = {"a": (10, 0.2, 2), "b": (20, 0.4, 0), "c": (30, 0.6, 1), "d": (40, 0.8, 0)}
    world.deliver(
        "devices",
        day,
        [
            {
                "device_id": key,
                "region": region,
                "device_group": group,
                "firmware": "f",
                "installed_date": day,
            }
            for key, (region, group) in places.items()
        ],
    )
    world.deliver(
        "device_telemetry",
        day,
        [
            {"device_id": key, "error_count": errors, "load_share_max": load, "event_severity_max": severity}
            for key, (errors, load, severity) in reports.items()
        ],
    )
    world.build_all(day, ["etl/device_7d", "etl/device_firmware", "etl/device_features"])
    rows = world.rows("etl/device_features", day)
    found = {key: (row["region_event_share"], row["group_errors_today"]) for key, row in rows.items()}
    assert found["a"] == (pytest.approx(1 / 2), pytest.approx(30))  # b and c; b and d
    assert found["b"] == (pytest.approx(1), pytest.approx(25))
    assert found["d"] == (None, pytest.approx(15)), "alone in its region"
    assert found["e"] == (pytest.approx(2 / 3), pytest.approx(30)), "silent itself, its neighbours are not"
    assert rows["a"]["region_load_share"] == pytest.approx(0.5)


@pytest.mark.parametrize("days_at_once", [1, 3])
def test_firmware_age_is_counted_from_the_last_change(tmp_path: Path, days_at_once: int) -> None:
    """Day by day, or several deliveries after a gap: the same answer."""
    world, versions = FeedWorld(tmp_path), ["f1", "f1", "f2", "f2", "f1", "f1", None, None, None]
    table = FEATURE_TABLES["etl/device_firmware"]
    for number, version in enumerate(versions):
        world.deliver("devices", day_number(number), [{"device_id": "a", "firmware": version}])
        if (number + 1) % days_at_once == 0:
            world.build(table, day_number(number))
            since = number - next(
                back for back in range(number + 1) if back == number or versions[number - back - 1] != version
            )
            row = world.rows(table.name, day_number(number))["a"]
            assert (row["firmware"], row["firmware_since_day"]) == (version, day_number(since))


def test_a_feature_does_not_see_the_future(tmp_path: Path) -> None:
    """The canary: whatever is delivered after a day leaves that day's features as they were."""
    quiet, loud = FeedWorld(tmp_path / "quiet"), FeedWorld(tmp_path / "loud")
    cut = 1
    for number in range(3):
        for one, seed in ((quiet, 0), (loud, 0 if number <= cut else 77)):
            deliver_day(one, day_number(number), seed=seed)
            if one is loud and number > cut:
                loud.deliver("subscribers", day_number(number), canary_people(day_number(number)))
    for one in (quiet, loud):
        for number in range(3):
            one.build_all(day_number(number), SUBSCRIBER_TABLES)
    for number in range(cut + 1):
        for name in SUBSCRIBER_TABLES:
            assert loud.rows(name, day_number(number)) == quiet.rows(name, day_number(number)), name
    later = day_number(cut + 1)
    assert loud.rows("etl/subscriber_features", later) != quiet.rows("etl/subscriber_features", later)
    assert {row["balance_main_acc"] for row in loud.rows("etl/subscriber_features", later).values()} == {
        31337.0
    }


def canary_people(day: dt.date) -> list[dict[str, Any]]:
    return [{**row, "balance_usd_cents": 3133700} for row in random_people(5, day)]
