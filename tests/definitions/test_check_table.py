"""docs/checks.md lists the checks that the graph has, and says of each whether it blocks."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.definitions import build_defs

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


class Row(NamedTuple):
    """One line of the table."""

    check: str
    pattern: str
    is_daily: bool
    is_blocking: bool


class Check(NamedTuple):
    """One check of the graph."""

    check: str
    asset: str
    is_blocking: bool


def read_rows(page: str) -> list[Row]:
    """Return the rows of the table; an effect other than `blocks` or `warns` is an error."""
    rows = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `"):
            continue
        check, on, effect, fails_when, then = cells
        assert fails_when, f"{check}: when it fails is not said"
        assert then, f"{check}: what follows is not said"
        assert effect in {"blocks", "warns"}, f"{check}: {effect}"
        pattern, *_ = re.findall(r"`([^`]+)`", on)
        rows.append(Row(check.strip("`"), pattern, "daily" in on, effect == "blocks"))
    return rows


@pytest.fixture(scope="module")
def config() -> ProjectConfig:
    return load_project()


@pytest.fixture(scope="module")
def checks(config: ProjectConfig) -> set[Check]:
    graph = build_defs(config).resolve_asset_graph()
    return {
        Check(key.name, key.asset_key.to_user_string(), bool(graph.get(key).blocking))
        for key in graph.asset_check_keys
    }


def expand(row: Row, assets: set[str], config: ProjectConfig) -> set[Check]:
    """Return the checks that a row says there are."""
    snapshots = {f"feeds/{feed.name}" for feed in config.snapshot_feeds()}
    named = {asset for asset in assets if fnmatch(asset, row.pattern)} - (
        snapshots if row.is_daily else set()
    )
    return {Check(row.check, asset, row.is_blocking) for asset in named}


def test_the_table_is_what_the_graph_has(checks: set[Check], config: ProjectConfig) -> None:
    rows = read_rows(PAGE.read_text())
    graph = build_defs(config).resolve_asset_graph()
    assets = {key.to_user_string() for key in graph.get_all_asset_keys()}
    documented = [expand(row, assets, config) for row in rows]
    assert all(documented), "a row names no asset"
    assert set().union(*documented) == checks
    assert sum(map(len, documented)) == len(checks), "two rows speak of the same check"


def test_each_check_says_what_it_asks(config: ProjectConfig) -> None:
    graph = build_defs(config).resolve_asset_graph()
    silent = [key.to_user_string() for key in graph.asset_check_keys if not graph.get(key).description]
    assert silent == []


def test_a_row_that_is_wrong_is_noticed(checks: set[Check], config: ProjectConfig) -> None:
    line = "| `contract` | `feeds/*` | blocks | rows are bad | nothing |"
    (row,) = read_rows(line)
    assert not expand(row, {asset for _, asset, _ in checks}, config) <= checks
    with pytest.raises(AssertionError, match="stops"):
        read_rows(line.replace("blocks", "stops"))
