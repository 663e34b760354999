"""Whether the campaign system has reported on a day.

Belongs here: the one question on which it depends whether a day's offers may still change. Does not belong here: what
follows (domain.offers.daily_offers, domain.offers.delivery).
"""

from __future__ import annotations

import datetime as dt

from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE
from mlops_assets.domain.ports import Lake, LandingZone, PartitionId


def has_campaign_reported(
    config: ProjectConfig, landing: LandingZone, lake: Lake, geography: str, day: dt.date
) -> bool:
    """Return whether the campaign log of a day was delivered, whatever has become of the file since."""
    feed = config.feeds.get(CONTACTS_TABLE.removeprefix("feeds/"))
    if feed is not None:
        name = feed.for_geography(config.geography_chain(geography)).file_name(day)
        if landing.find(geography, name) is not None:
            return True
    return lake.manifest(PartitionId(CONTACTS_TABLE, geography, day)) is not None
