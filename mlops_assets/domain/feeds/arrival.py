"""Which days have something new to build, from what lies in the landing zone.

Belongs here: recognising deliveries by name and deciding which days to run, in order. Does not belong here:
launching runs (sensors, `mlops run`), or judging a delivery (landing). Time is the data's: a day counts as
complete when all its files are there or a later day has begun to arrive, whatever the clock says.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import LandedFile
from mlops_assets.domain.quality.release_ports import FeedRelease

DAY_GROUP = r"(?P<day>\d{8})"
# Windows reach this far: a corrected file changes the tables of its day and of the days after it.
LONGEST_WINDOW_DAYS = 30


class Deliveries(Protocol):
    """The part of a landing zone that arrival needs."""

    def list(self, geography: str) -> list[LandedFile]: ...  # noqa: D102


@dataclass(frozen=True)
class DayDelivery:
    """What has been delivered for one day: `geography/feed` to the identity of its file and its releases."""

    day: dt.date
    files: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Identity of everything delivered for the day."""
        return stable_hash(dict(self.files))[:16]


@dataclass(frozen=True)
class DueDay:
    """A day to run, why, and the identity of what it depends on; `files` is that of its files and its window's."""

    day: dt.date
    fingerprint: str
    reason: str
    files: str


def read_deliveries(
    landing: Deliveries,
    contracts: Sequence[FeedContract],
    chains: Mapping[str, list[str]],
    releases: Iterable[FeedRelease] = (),
) -> dict[dt.date, DayDelivery]:
    """List what has been delivered, by day in the file name.

    Args:
        landing: the landing zone.
        contracts: daily feeds.
        chains: geography code to itself and the geographies it is like.
        releases: held deliveries that a person has released; each makes its day another one.
    """
    released: dict[tuple[str, str, dt.date], str] = {}
    for release in releases:
        at = (release.geography, release.feed, release.day)
        released[at] = f"{released.get(at, '')}-{release.raw_sha256[:16]}"
    by_day: dict[dt.date, dict[str, str]] = {}
    for code, chain in chains.items():
        files = landing.list(code)
        for contract in contracts:
            pattern = _day_pattern(contract.for_geography(chain))
            for file in files:
                if (match := pattern.fullmatch(file.path.name)) and (day := _day(match["day"])):
                    by_day.setdefault(day, {})[f"{code}/{contract.name}"] = (
                        f"{file.size_bytes}-{file.modified_ns}{released.get((code, contract.name, day), '')}"
                    )
    return {day: DayDelivery(day, files) for day, files in sorted(by_day.items())}


def _day_pattern(contract: FeedContract) -> re.Pattern[str]:
    before, after = contract.file_pattern.split("{day}")
    return re.compile(re.escape(before) + DAY_GROUP + re.escape(after))


def _day(digits: str) -> dt.date | None:
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


@dataclass(frozen=True)
class DayIdentities:
    """What the tables of a day depend on, as short hashes.

    Attributes:
        versions: identity of code and configuration; a change makes every day due.
        carried_feeds: feeds whose whole history counts, not only the window's.
        champions: by day, the identity of the models that serve on it; a promotion makes the days due that it
            serves and that were built before.
        geographies: by code, the identity of its configuration; it counts from the first day that the geography
            has delivered, so that a new one does not make the days before it due again.
    """

    versions: str
    carried_feeds: frozenset[str] = frozenset()
    champions: Mapping[dt.date, str] = field(default_factory=dict)
    geographies: Mapping[str, str] = field(default_factory=dict)


def window_fingerprint(
    deliveries: Mapping[dt.date, DayDelivery], day: dt.date, identities: DayIdentities
) -> str:
    """Return the identity of all that a day depends on: the files of its window, carried feeds, models, code."""
    carried = _chain_carried(deliveries, identities.carried_feeds)
    files = _list_files(deliveries, day, carried)
    return _fingerprint(day, files, identities, _first_days(deliveries))


def _first_days(deliveries: Mapping[dt.date, DayDelivery]) -> dict[str, dt.date]:
    """Return the first day for which each geography has delivered anything."""
    first: dict[str, dt.date] = {}
    for day, delivery in sorted(deliveries.items()):
        for name in delivery.files:
            first.setdefault(name.rsplit("/", 1)[0], day)
    return first


def _chain_carried(
    deliveries: Mapping[dt.date, DayDelivery], carried_feeds: frozenset[str]
) -> dict[dt.date, str]:
    """Return for each day the identity of all carried files up to it; each builds on the one before."""
    chain, last = {}, ""
    for day, delivery in sorted(deliveries.items()):
        files = {
            name: file for name, file in delivery.files.items() if name.rsplit("/", 1)[1] in carried_feeds
        }
        last = chain[day] = stable_hash([last, str(day), files]) if files else last
    return chain


def _list_files(
    deliveries: Mapping[dt.date, DayDelivery], day: dt.date, carried: Mapping[dt.date, str]
) -> tuple[dict[str, str], str]:
    """Return the identities of the files of a day's window, by day, and that of the carried ones before it."""
    first = day - dt.timedelta(days=LONGEST_WINDOW_DAYS)
    window = {str(d): delivery.fingerprint for d, delivery in deliveries.items() if first < d <= day}
    older = carried[before] if (before := max((d for d in carried if d <= first), default=None)) else ""
    return window, older


def _fingerprint(
    day: dt.date,
    files: tuple[dict[str, str], str],
    identities: DayIdentities,
    first_days: Mapping[str, dt.date],
) -> str:
    present = {
        code: identity
        for code, identity in identities.geographies.items()
        if code in first_days and first_days[code] <= day
    }
    champions = identities.champions.get(day, "")
    return stable_hash([*files, identities.versions, present, champions])[:16]


def plan_due_days(
    deliveries: Mapping[dt.date, DayDelivery],
    expected: Iterable[str],
    built: Mapping[dt.date, str],
    identities: DayIdentities,
    *,
    is_last_day_complete: bool = False,
) -> list[DueDay]:
    """Return the days whose inputs differ from what was built, oldest first.

    Args:
        deliveries: by day.
        expected: `geography/feed` names that a complete day has.
        built: day to the window fingerprint that was last built.
        identities: what else days depend on.
        is_last_day_complete: do not wait for the newest day's missing files.
    """
    wanted = frozenset(expected)
    newest = max(deliveries, default=None)
    due: list[DueDay] = []
    carried = _chain_carried(deliveries, identities.carried_feeds)
    first_days = _first_days(deliveries)
    for day, delivery in sorted(deliveries.items()):
        missing = sorted(wanted - set(delivery.files))
        if missing and day == newest and not is_last_day_complete:
            continue
        files = _list_files(deliveries, day, carried)
        fingerprint = _fingerprint(day, files, identities, first_days)
        if built.get(day) != fingerprint:
            reason = _reason(missing, was_built=day in built)
            due.append(DueDay(day, fingerprint, reason, stable_hash(files)[:16]))
    return due


def _reason(missing: Sequence[str], *, was_built: bool) -> str:
    change = "a file of the day or its window was delivered again or released, or what it depends on changed"
    change = change if was_built else "new day"
    return f"{change}; still missing: {', '.join(missing)}" if missing else change


# ---------------------------------------------------------------- asking for runs

MOST_ATTEMPTS = 4
_FIRST_PAUSE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class DayRun:
    """A run that was asked for: for which day and identity, and how it ended (`ended_at_utc` None: it has not)."""

    fingerprint: str
    is_success: bool
    ended_at_utc: dt.datetime | None


@dataclass(frozen=True)
class RunDecision:
    """Whether to ask for a run of a due day now; `run_key` is empty if not, and `reason` says why."""

    run_key: str
    reason: str


def decide_run(due: DueDay, runs: Sequence[DayRun], now_utc: dt.datetime) -> RunDecision:
    """Decide whether a due day is run now: once, and after a failure again, later and later, four times in all.

    A run key dedupes for ever, so it numbers the day's runs: the same files can become due again when a change
    is taken back.

    Args:
        due: the day and the identity of what it depends on.
        runs: all runs of the day so far, in any order.
        now_utc: the time of the decision.
    """
    if any(run.ended_at_utc is None for run in runs):
        return RunDecision("", f"{due.day} is running")
    failed = [run for run in runs if run.fingerprint == due.fingerprint and not run.is_success]
    if len(failed) >= MOST_ATTEMPTS:
        return RunDecision("", f"{due.day} failed {len(failed)} times; mend the cause and run it by hand")
    ended = max((run.ended_at_utc for run in failed if run.ended_at_utc), default=None)
    retry_at = ended + _FIRST_PAUSE * 4 ** (len(failed) - 1) if ended else None
    if retry_at and now_utc < retry_at:
        return RunDecision("", f"{due.day} failed; it is tried again at {retry_at:%H:%M} UTC")
    return RunDecision(f"{due.day}/{due.fingerprint}/{len(runs)}", due.reason)
