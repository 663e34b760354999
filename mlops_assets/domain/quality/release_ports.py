"""The record of people's decisions to use a held delivery all the same.

Belongs here: the record and the Protocol that `resources` implements. Does not belong here: who may release
what (held_deliveries).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FeedRelease:
    """A person's word that a held delivery is right; it binds these bytes only.

    Attributes:
        feed, geography, day: whose delivery.
        raw_sha256: hash of the delivered file.
        released_by: who decided.
        released_at_utc: when, with time zone.
        note: why.
    """

    feed: str
    geography: str
    day: dt.date
    raw_sha256: str
    released_by: str
    released_at_utc: dt.datetime
    note: str


class FeedReleases(Protocol):
    """Append-only record of releases."""

    def record(self, release: FeedRelease) -> FeedRelease:
        """Append a release; the same delivery again returns the release that was recorded first."""
        ...

    def find(self, feed: str, geography: str, day: dt.date, raw_sha256: str) -> FeedRelease | None:
        """Return the release of exactly these bytes, or None."""
        ...

    def history(self) -> list[FeedRelease]:
        """Return all releases, oldest first."""
        ...
