"""Which geographies deliver a feed, and whose overrides apply there.

Belongs here: the one answer that assets and plans share. Does not belong here: reading what was delivered.
"""

from __future__ import annotations

from mlops_assets.config.loader import EVERYWHERE
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.feeds.contract import FeedContract, Geography

# A snapshot belongs to no geography: it is read in UTC and in the reporting currency.
ANYWHERE = Geography(code=EVERYWHERE, name="everywhere", timezone="UTC", currency="USD", usd_per_unit=1.0)


def feed_geographies(config: ProjectConfig, contract: FeedContract) -> dict[str, tuple[Geography, list[str]]]:
    """Return by code the geographies of a feed and the chain along which its override is looked for."""
    if contract.cadence == "snapshot":
        return {EVERYWHERE: (ANYWHERE, [EVERYWHERE])}
    return {code: (geography, config.geography_chain(code)) for code, geography in config.geographies.items()}
