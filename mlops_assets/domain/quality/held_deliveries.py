"""Deliveries that the feed gate holds: their state, their age, their release.

Belongs here: what is known of deliveries from the lake, the check before a release, escalation. Does not
belong here: the verdict (feed_gate), or recording a release (release_ports).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlops_assets.domain.errors import FeedRefusedError
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.delivery_record import (
    feed_partition,
    held_partition,
    read_health,
    read_profile_of,
)
from mlops_assets.domain.hashing import file_sha256
from mlops_assets.domain.ports import Lake, LandingZone, Manifest
from mlops_assets.domain.published import read_manifest
from mlops_assets.domain.quality.feed_gate import FeedHealth
from mlops_assets.domain.quality.feed_profile import FeedProfile
from mlops_assets.domain.quality.release_ports import FeedRelease, FeedReleases

State = Literal["healthy", "unjudged", "released", "held", "absent"]


@dataclass(frozen=True)
class DeliveryState:
    """What became of one feed's delivery of a geography and day.

    Attributes:
        state: `unjudged` was used without verdict (little history, gate off); `absent` was not delivered, was
            refused, or has not been run.
        health: the verdict, where there is one.
        profile: of the delivery, where there is one.
        raw_sha256: hash of the delivered file; empty if absent.
        age_days: days of data since the day; None unless held.
    """

    feed: str
    geography: str
    day: dt.date
    state: State
    health: FeedHealth | None = None
    profile: FeedProfile | None = None
    raw_sha256: str = ""
    age_days: int | None = None

    @property
    def is_anomaly(self) -> bool | None:
        """Return the operator's word: True anomaly, False none, None not judged."""
        return {"healthy": False, "released": False, "held": True}.get(self.state)


@dataclass(frozen=True)
class Escalation:
    """A delivery that has been held for longer than its feed allows."""

    delivery: DeliveryState
    allowed_days: int

    @property
    def text(self) -> str:
        """One line for a summary or a mail."""
        held = self.delivery
        reasons = "; ".join(f.text for f in held.health.findings) if held.health else "no verdict is stored"
        return (
            f"{held.feed} of {held.geography} for {held.day} has been held for {held.age_days} days "
            f"(at most {self.allowed_days}): {reasons}"
        )


def read_delivery_state(
    lake: Lake, feed: str, geography: str, day: dt.date, newest_day: dt.date | None = None
) -> DeliveryState:
    """Return what became of a delivery, from manifests alone.

    Args:
        lake: where deliveries are published or held.
        feed: name of the feed.
        geography: code of the geography.
        day: day of the delivery.
        newest_day: newest day with data; the age of a held delivery is counted to it.
    """
    held = read_manifest(lake, held_partition(feed, geography, day))
    if held is not None:
        age_days = (max(newest_day, day) - day).days if newest_day else 0
        return _state(held, feed, geography, day, "held", age_days)
    manifest = read_manifest(lake, feed_partition(feed, geography, day))
    if manifest is None:
        return DeliveryState(feed, geography, day, "absent")
    health = read_health(manifest)
    if health is not None and health.released_by:
        return _state(manifest, feed, geography, day, "released")
    is_judged = health is not None and health.status == "healthy"
    return _state(manifest, feed, geography, day, "healthy" if is_judged else "unjudged")


def _state(
    manifest: Manifest,
    feed: str,
    geography: str,
    day: dt.date,
    state: State,
    age_days: int | None = None,
) -> DeliveryState:
    return DeliveryState(
        feed,
        geography,
        day,
        state,
        read_health(manifest),
        read_profile_of(manifest),
        str(manifest.facts["raw_sha256"]),
        age_days,
    )


def newest_data_day(lake: Lake, feeds: Iterable[str], geographies: Sequence[str]) -> dt.date | None:
    """Return the newest day of which anything was published or is held."""
    tables = [f"{stage}/{feed}" for feed in feeds for stage in ("feeds", "held")]
    days = (lake.days(table, code)[-1:] for table in tables for code in geographies)
    return max((day for found in days for day in found), default=None)


def find_held(lake: Lake, feeds: Iterable[str], geographies: Sequence[str]) -> list[DeliveryState]:
    """Return all held deliveries, the oldest first."""
    feeds = list(feeds)
    newest = newest_data_day(lake, feeds, geographies)
    held = [
        read_delivery_state(lake, feed, code, day, newest)
        for feed in feeds
        for code in geographies
        for day in lake.days(f"held/{feed}", code)
    ]
    return sorted(held, key=lambda state: (state.day, state.feed, state.geography))


def find_escalations(
    held: Iterable[DeliveryState], contracts: Mapping[str, FeedContract]
) -> list[Escalation]:
    """Return the deliveries that are held for longer than their feed's `gate.escalate_after_days`.

    Args:
        held: as `find_held` returns them.
        contracts: feed name to contract.
    """
    allowed_days = {name: contract.gate.escalate_after_days for name, contract in contracts.items()}
    return [
        Escalation(one, allowed_days[one.feed])
        for one in held
        if one.state == "held" and (one.age_days or 0) > allowed_days[one.feed]
    ]


def release_delivery(
    contract: FeedContract,
    wanted: FeedRelease,
    *,
    lake: Lake,
    landing: LandingZone,
    releases: FeedReleases,
) -> FeedRelease:
    """Record a person's word that a held delivery is right; the next run of its day uses it.

    Args:
        contract: contract of the geography (`for_geography` applied).
        wanted: who releases what, and why. With an empty `raw_sha256`, the release binds what lies there.
        lake: where the delivery is held.
        landing: where its file lies; it must still be the file that was judged.
        releases: where the release is recorded, once for the same bytes.

    Returns:
        The release as recorded: an earlier one, if there is one of these bytes.

    Raises:
        FeedRefusedError: nothing is held there, or the file is another one by now. Nothing is recorded.
        StorageError: who or why is missing, or the release cannot be stored.
    """
    file = landing.find(wanted.geography, contract.file_name(wanted.day))
    delivered = file_sha256(file.path) if file is not None else ""
    key = (wanted.feed, wanted.geography, wanted.day)
    held = read_manifest(lake, held_partition(*key))
    if held is None:
        already = releases.find(*key, delivered) if delivered else None
        if already is not None:
            return already
    _require_judged(held, delivered, wanted)
    return releases.record(replace(wanted, raw_sha256=delivered))


def _require_judged(held: Manifest | None, delivered: str, wanted: FeedRelease) -> None:
    """Refuse a release of anything but the bytes that were judged and are held."""
    where = f"{wanted.feed} of {wanted.geography} for {wanted.day}"
    if held is None:
        raise FeedRefusedError(
            "no delivery is held",
            where=where,
            expected="a feed, geography and day of `mlops feeds list --held`",
            remedy="a refused or missing file cannot be released; have it delivered, then run its day",
        )
    judged = str(held.facts["raw_sha256"])
    if delivered != judged:
        raise FeedRefusedError(
            "the delivery has changed since it was held" if delivered else "the delivered file is gone",
            where=where,
            expected=f"the file with sha256 {judged[:16]}, which was judged",
            remedy="run its day: the file that is there now is judged anew",
        )
    if wanted.raw_sha256 not in ("", judged):
        raise FeedRefusedError(
            f"the release names the file with sha256 {wanted.raw_sha256[:16]}",
            where=where,
            expected=f"{judged[:16]}, the file that is held",
            remedy="look at `mlops feeds show` again before you release",
        )
