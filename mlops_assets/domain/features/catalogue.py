"""All feature tables, in an order in which each comes after its inputs.

Belongs here: one line per table. Does not belong here: their definitions (one file per family).
"""

from __future__ import annotations

from mlops_assets.domain.features.churn import CHURN_EVENTS
from mlops_assets.domain.features.devices import DEVICE_7D, DEVICE_FEATURES, DEVICE_FIRMWARE
from mlops_assets.domain.features.offers import OFFERS_30D
from mlops_assets.domain.features.plan_usage import PLAN_USAGE_DAILY
from mlops_assets.domain.features.profile import PROFILE
from mlops_assets.domain.features.purchases import PURCHASES_30D, PURCHASES_DAILY
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.features.topups import TOPUPS_30D
from mlops_assets.domain.features.usage import USAGE_30D

FEATURE_TABLES: dict[str, FeatureTable] = {
    table.name: table
    for table in (
        USAGE_30D,
        PLAN_USAGE_DAILY,
        TOPUPS_30D,
        PURCHASES_DAILY,
        PURCHASES_30D,
        OFFERS_30D,
        PROFILE,
        CHURN_EVENTS,
        DEVICE_7D,
        DEVICE_FIRMWARE,
        DEVICE_FEATURES,
        SUBSCRIBER_FEATURES,
    )
}


def feeds_behind(table: str) -> tuple[str, ...]:
    """Return the feeds that a table is made of: itself for `feeds/...`, else those it reads directly, in order."""
    read = [source.table for source in FEATURE_TABLES[table].inputs] if table in FEATURE_TABLES else [table]
    return tuple(dict.fromkeys(one.removeprefix("feeds/") for one in read if one.startswith("feeds/")))


def tables_needing(feed: str) -> tuple[str, ...]:
    """Return the tables that are not built on a day on which a feed is not published, directly or by their inputs."""
    lacking = {f"feeds/{feed}"}
    tables = []
    for name, table in FEATURE_TABLES.items():  # each comes after its inputs
        if any(source.table in lacking and source.is_required for source in table.inputs):
            lacking.add(name)
            tables.append(name)
    return tuple(tables)
