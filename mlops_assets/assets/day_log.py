"""The log of a day: what was delivered, built and left out.

Belongs here: the last asset of the daily graph; it notes that the day is done. Does not belong here: the
decision which days are due, which reads these notes (config.run_plan).
"""

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.presentation import record_table
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import day_identities, day_log_partition, deliveries
from mlops_assets.domain.feeds.arrival import window_fingerprint
from mlops_assets.domain.feeds.delivery_record import feed_partition, held_partition
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, LandingZone, PromotionLedger
from mlops_assets.domain.quality.release_ports import FeedReleases


def build_day_log_asset(
    config: ProjectConfig, days: dg.PartitionsDefinition, upstream: Sequence[dg.AssetKey]
) -> dg.AssetsDefinition:
    """Return the asset that closes a day once all its tables are built and all its scores are made."""

    @dg.asset(
        key=names.table_key("reports/day_log"),
        description=(
            "What each geography delivered on the day and what became of it.\n\nGrain: one row per geography and feed. "
            "Freshness: with the day's run. On failure: the day counts as not built and is run again."
        ),
        group_name=names.OPERATION_GROUP,
        owners=["team:data-platform"],
        partitions_def=days,
        deps=upstream,
    )
    @retry_if_worthwhile
    def day_log(
        context: dg.AssetExecutionContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
        releases: dg.ResourceParam[FeedReleases],
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        # The tag was set before the files were read: what arrives during the run makes the day due again.
        delivery = context.run.tags.get(names.TAG_DELIVERY)
        delivery = delivery or _delivery(config, landing, ledger, releases, day)
        rows = _feed_rows(config, lake, day)
        with lake.write(day_log_partition(day), stable_hash([delivery, rows])) as writer:
            writer.commit(row_count=0, facts={"delivery": delivery, "feeds": rows})
        return dg.MaterializeResult(metadata={"feeds": record_table(rows)})

    return day_log


def _delivery(
    config: ProjectConfig,
    landing: LandingZone,
    ledger: PromotionLedger,
    releases: FeedReleases,
    day: dt.date,
) -> str:
    found = {d: delivery for d, delivery in deliveries(config, landing, releases).items() if d <= day}
    return window_fingerprint(found, day, day_identities(config, ledger, [day]))


def _feed_rows(config: ProjectConfig, lake: Lake, day: dt.date) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for geography in sorted(config.geographies):
        for feed in config.daily_feeds():
            manifest = lake.manifest(feed_partition(feed.name, geography, day))
            held = lake.manifest(held_partition(feed.name, geography, day))
            rows.append(
                {
                    "geography": geography,
                    "feed": feed.name,
                    "state": "held" if held else "published" if manifest else "absent",
                    "rows": manifest.row_count if manifest else 0,
                    "quarantined": sum(manifest.facts["quarantined"].values()) if manifest else 0,
                }
            )
    return rows
