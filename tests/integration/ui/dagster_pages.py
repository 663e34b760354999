"""Dagster's pages as a person walks through them; each step waits for what that person looks for.

Belongs here: where a page is, what is pressed, what must be in sight. Does not belong here: what else a test asks of
it, or where pictures are kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.integration.ui.browser import settle

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_LOCATION = "/locations/mlops-assets"


def show_lineage(page: Page, address: str, groups: list[str]) -> None:
    """Show the graph, folded to its groups."""
    page.goto(f"{address}/asset-groups")
    for group in groups:
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    settle(page)


def show_group(page: Page, address: str, group: str, assets: list[str]) -> None:
    """Show the graph of one group."""
    page.goto(f"{address}{_LOCATION}/asset-groups/{group}/lineage")
    for asset in assets:
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    settle(page)


def show_asset(page: Page, address: str, asset: str, facts: list[str]) -> None:
    """Show the overview of an asset: description, owner, kinds, newest metadata."""
    page.goto(f"{address}/assets/{asset}")
    for fact in facts:
        expect(page.get_by_text(fact).first).to_be_visible()
    settle(page)


def read_metadata_table(page: Page, name: str) -> list[list[str]]:
    """Return the cells of a table among an asset's metadata, its headings first."""
    rows = page.locator("tr").filter(has=page.get_by_text(name, exact=True)).filter(has=page.locator("table"))
    table = rows.last.locator("table").first
    expect(table).to_be_visible()
    lines = [line.locator("th, td").all_text_contents() for line in table.locator("tr").all()]
    return [[cell.strip() for cell in line] for line in lines]


def show_picture(page: Page) -> Locator:
    """Open the chart of an asset and return the picture that is then in sight."""
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_role("dialog").locator("img, .markdown img").first
    expect(picture).to_be_visible()
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    return picture


def show_checks(page: Page, address: str, asset: str, checks: list[str]) -> None:
    """Show the checks of an asset and what came out of them."""
    page.goto(f"{address}/assets/{asset}?view=checks")
    for check in checks:
        expect(page.get_by_text(check, exact=True).first).to_be_visible()
    expect(page.get_by_text("Evaluation result")).to_be_visible()
    settle(page)


def show_partition(page: Page, address: str, asset: str, partition: str) -> None:
    """Show the partitions of an asset, one of them opened."""
    page.goto(f"{address}/assets/{asset}?view=partitions&partition={partition}")
    expect(page.get_by_text(re.compile(r"Materialized \([1-9]\d*\)"))).to_be_visible()
    expect(page.get_by_text("dagster/row_count")).to_be_visible()
    settle(page)


def show_sensors(page: Page, address: str, sensors: list[str]) -> None:
    """Show all sensors."""
    page.goto(f"{address}/automation")
    for sensor in sensors:
        expect(page.get_by_text(sensor, exact=True).first).to_be_visible()
    settle(page)


def show_reason(page: Page, address: str, sensor: str) -> str:
    """Show why a sensor asked for nothing at its newest tick, and return what is to be read there."""
    page.goto(f"{address}{_LOCATION}/sensors/{sensor}")
    result = page.locator("td").get_by_text("0 runs requested")
    expect(result.first).to_be_visible(timeout=90_000)  # milliseconds: each sensor ticks twice a minute
    settle(page)
    result.last.click()  # a row says so twice; its last cell opens the tick
    reason = page.get_by_role("dialog").get_by_text("Skip reason")
    expect(reason).to_be_visible()
    return page.get_by_role("dialog").inner_text()


def show_runs(page: Page, address: str, job: str) -> None:
    """Show all runs."""
    page.goto(f"{address}/runs")
    expect(page.get_by_text(job, exact=True).first).to_be_visible()
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    settle(page)


def show_run(page: Page, address: str, job: str) -> None:
    """Show the newest run of a job that succeeded, by pressing what leads to it."""
    page.goto(f"{address}/runs?q%5B0%5D=job%3A{job}&q%5B1%5D=status%3ASUCCESS")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    settle(page)
    page.locator("a[href^='/runs/']:visible").get_by_text(re.compile("^[0-9a-f]{8}$")).first.click()
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    settle(page)
