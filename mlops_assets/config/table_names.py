"""Which lake tables and columns configuration may name, and the error for a name that is none of them.

Belongs here: looking names up. Does not belong here: which names are looked up (cross_checks, monitor_checks).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.features.leakage import feed_columns
from mlops_assets.domain.features.table import ColumnDoc


def unknown(what: str, given: str, known: Iterable[str], where: str) -> ConfigError:
    """Return the error for a name that is not among `known`, with the nearest one as suggestion."""
    names = sorted(known)
    close = get_close_matches(given, names, n=1)
    return ConfigError(
        f"unknown {what} {given!r}",
        where=where,
        expected=f"one of {', '.join(names)}",
        remedy=f"did you mean {close[0]!r}?" if close else f"add the {what} or correct the name",
    )


def table_columns(config: ProjectConfig, table: str) -> dict[str, ColumnDoc] | None:
    """Return the documented columns of a lake table, or None if there is no such table."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    if table in FEATURE_TABLES:
        return dict(FEATURE_TABLES[table].columns)
    feed = config.feeds.get(table.removeprefix("feeds/")) if table.startswith("feeds/") else None
    if feed is None:
        return None
    dropped = {c.name for c in feed.columns if feed.grain and c.merge is None and c.name not in feed.grain}
    return {name: column for name, column in feed_columns(feed).items() if name not in dropped}


def known_tables(config: ProjectConfig) -> list[str]:
    """Return every lake table that a corpus or label may name."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    return [*FEATURE_TABLES, *(f"feeds/{name}" for name in config.feeds)]


def is_snapshot(config: ProjectConfig, table: str) -> bool:
    """Whether a table is a snapshot feed."""
    feed = config.feeds.get(table.removeprefix("feeds/")) if table.startswith("feeds/") else None
    return feed is not None and feed.cadence == "snapshot"
