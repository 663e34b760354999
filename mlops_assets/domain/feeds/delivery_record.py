"""What a partition's manifest says of its delivery, and the history that manifests make.

Belongs here: the facts that landing stores, and reading them back. Does not belong here: deciding anything
(landing, quality.feed_gate).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.feeds.file_homologation import RowCounts
from mlops_assets.domain.ports import Lake, Manifest, PartitionId
from mlops_assets.domain.published import read_manifest
from mlops_assets.domain.quality.feed_gate import FeedHealth, PastDelivery, past_days
from mlops_assets.domain.quality.feed_profile import PROFILE_VERSION, FeedProfile
from mlops_assets.domain.quality.gate_spec import GateSpec

_COUNTS = ("delivered", "good", "duplicates", "late", "quarantined")


def feed_partition(feed: str, geography: str, day: dt.date | None) -> PartitionId:
    """Return where an accepted delivery is published."""
    return PartitionId(f"feeds/{feed}", geography, day)


def held_partition(feed: str, geography: str, day: dt.date | None) -> PartitionId:
    """Return where a held delivery waits; nothing downstream reads it."""
    return PartitionId(f"held/{feed}", geography, day)


def delivery_facts(
    raw_file: str,
    raw_sha256: str,
    counts: RowCounts,
    profile: FeedProfile | None,
    health: FeedHealth | None,
) -> dict[str, Any]:
    """Return the facts of a delivery for its manifest; profile and health where they were judged."""
    facts: dict[str, Any] = {"raw_file": raw_file, "raw_sha256": raw_sha256}
    facts |= {name: getattr(counts, name) for name in _COUNTS}
    facts["quarantined"] = dict(counts.quarantined)
    if profile is not None and health is not None:
        facts["profile"] = profile.model_dump(mode="json")
        facts["health"] = health.model_dump(mode="json")
    return facts


def read_counts(manifest: Manifest) -> RowCounts:
    """Return what became of the delivered rows."""
    return RowCounts(**{name: manifest.facts[name] for name in _COUNTS})


def read_health(manifest: Manifest) -> FeedHealth | None:
    """Return the verdict on the delivery, or None where it was never judged."""
    found = manifest.facts.get("health")
    return FeedHealth.model_validate(found) if found else None


def read_profile_of(manifest: Manifest) -> FeedProfile | None:
    """Return the delivery's profile, or None if it has none of the present version."""
    found = manifest.facts.get("profile")
    is_current = isinstance(found, dict) and found.get("version") == PROFILE_VERSION
    return FeedProfile.model_validate(found) if is_current else None


def read_history(lake: Lake, feed: str, geography: str, day: dt.date, gate: GateSpec) -> list[PastDelivery]:
    """Return the used deliveries that one of this day is compared with; manifests are read, no data."""
    history = []
    days = past_days(day, gate.history_days)
    asked = [feed_partition(feed, geography, earlier) for earlier in days]
    found = ask_together(lake, lambda one: read_manifest(lake, one), asked)
    for earlier, manifest in zip(days, found, strict=True):
        profile = read_profile_of(manifest) if manifest else None
        if manifest is not None and profile is not None:
            health = read_health(manifest)
            history.append(PastDelivery(earlier, profile, bool(health and health.released_by)))
    return history
