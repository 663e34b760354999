"""A walk through Dagster over an operator that has lived two weeks: what a person comes to see is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.integration.ui import dagster_pages
from tests.integration.ui.browser import DESKTOP, open_page, watch
from tests.integration.ui.servers import serve_dagster

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GROUPS = ["shared", "churn", "network_event", "personalized_offer", "operation"]
_DAY = "2026-08-10"


@pytest.fixture(scope="module")
def address(lived: Path, browser: Browser) -> Iterator[str]:
    """Dagster as `make dev` starts it."""
    assert browser.is_connected()
    with serve_dagster(lived) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing went wrong that the person at it would not notice."""
    with open_page(browser, DESKTOP) as page:
        troubles = watch(page)
        yield page
        assert troubles == []


def test_the_lineage_has_a_group_for_each_use_case(page: Page, address: str) -> None:
    dagster_pages.show_lineage(page, address, GROUPS)
    dagster_pages.show_group(page, address, "churn", ["churn_risk", "churn_risk_card", "churn_events"])


def test_a_model_shows_its_leaderboard_and_its_chart(page: Page, address: str) -> None:
    facts = ["Leaderboard of churn_risk", "Grain: one challenger per segment", "customer-value", "CatBoost"]
    dagster_pages.show_asset(page, address, "model/churn/churn_risk", facts)
    headings, *rows = dagster_pages.read_metadata_table(page, "leaderboard")
    assert headings[:3] == ["algorithm", "chosen", "roc_auc"]
    assert {"dummy", "linear", "hist_gradient_boosting"} <= {row[0] for row in rows}
    assert [row[1] for row in rows].count("true") == 1
    picture = dagster_pages.show_picture(page)
    drawn, shown = picture.evaluate("one => [one.naturalWidth, one.clientWidth]")
    assert drawn > 300, "a picture that is not broken"
    assert shown > 300, "and not squeezed"


def test_a_champion_shows_why_it_was_promoted(page: Page, address: str) -> None:
    facts = ["Decision on the newest challenger of churn_risk", "promoted", "reasons"]
    dagster_pages.show_asset(page, address, "champion/churn/churn_risk", facts)
    headings, *rows = dagster_pages.read_metadata_table(page, "checks")
    assert headings[:2] == ["check", "passed"]
    assert {row[1] for row in rows} == {"true"}


def test_a_table_shows_its_columns_with_meaning_and_rows(page: Page, address: str) -> None:
    facts = [
        "Grain: one row per subscriber_id and day",
        "data-science",
        "DuckDB",
        "days_to_expiry",
        "Row count",
    ]
    dagster_pages.show_asset(page, address, "etl/subscriber_features", facts)


def test_checks_say_what_they_hold_and_what_came_out(page: Page, address: str) -> None:
    dagster_pages.show_checks(page, address, "champion/churn/churn_risk", ["gate"])
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()


def test_partitions_are_days_with_their_rows(page: Page, address: str) -> None:
    dagster_pages.show_partition(page, address, "feeds/usage", _DAY)
    headings, *rows = dagster_pages.read_metadata_table(page, "deliveries")
    assert headings[:3] == ["geography", "status", "rows"]
    assert [row[0] for row in rows] == ["cl", "pe"]


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        ("first_champion_churn", "churn_risk cl: has a champion; churn_risk pe: has a champion"),
        ("first_champion_network_event", "trainable from"),
        ("drift_churn", "churn_risk cl:"),
        ("approvals_churn", "no person has decided anything"),
    ],
)
def test_a_sensor_that_asks_for_nothing_says_why(page: Page, address: str, sensor: str, reason: str) -> None:
    assert reason in dagster_pages.show_reason(page, address, sensor)


def test_every_sensor_is_listed(page: Page, address: str) -> None:
    dagster_pages.show_sensors(page, address, ["feed_arrival", "drift_churn", "outbox", "alerts"])
    switches = page.locator(
        "input[type=checkbox][aria-checked], input[role=switch], label input[type=checkbox]"
    )
    assert "Standard sensor" in page.inner_text("body")
    assert switches.count() > 0


def test_runs_lead_to_what_happened_in_them(page: Page, address: str) -> None:
    dagster_pages.show_runs(page, address, "daily_graph")
    dagster_pages.show_run(page, address, "train_and_promote_churn")
    assert "churn_risk" in page.inner_text("body")
