"""Who is told what about feeds.

Belongs here: from a project's configuration to addresses. Does not belong here: what a mail says
(domain.reporting).
"""

from __future__ import annotations

from mlops_assets.config.models import ProjectConfig


def monitor_recipients(config: ProjectConfig) -> list[str]:
    """Return the recipients of all monitors, each once, in order."""
    return sorted({address for spec in config.monitors.values() for address in spec.recipients})


def feed_recipients(config: ProjectConfig, feed: str) -> list[str]:
    """Return who is told that a delivery of a feed is not used.

    These are the recipients of the monitors that the feed is read for, by their table or as a watched one; if they
    have none, those of all monitors.
    """
    from mlops_assets.domain.features.catalogue import feeds_behind

    found = {
        address
        for spec in config.monitors.values()
        if any(feed in feeds_behind(table) for table in (spec.table, *spec.features.tables))
        for address in spec.recipients
    }
    return sorted(found) or monitor_recipients(config)
