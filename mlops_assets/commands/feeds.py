"""`mlops feeds`: the health of deliveries, and the release of those that the feed gate holds.

Belongs here: arguments, output and exit status. Does not belong here: verdicts and releases
(mlops_assets.domain.quality).

Exit status of `list` and `show`: 0 nothing is held, 3 something is. Of `release`: 0 released (now or before),
1 refused, with the reason.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from typing import Any

import click

from mlops_assets.commands.completion import complete_feed, complete_geography
from mlops_assets.commands.known_names import require_known
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.run import DAY
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.quality.held_deliveries import (
    DeliveryState,
    find_escalations,
    find_held,
    newest_data_day,
    read_delivery_state,
    release_delivery,
)
from mlops_assets.domain.quality.release_ports import FeedRelease

HELD_STATUS = 3


@click.group("feeds")
def feeds_commands() -> None:
    """See whether deliveries are healthy, and release those that are held."""


@feeds_commands.command("list")
@click.option("--feed", shell_complete=complete_feed, help="Only this feed; default: all daily feeds.")
@click.option("--geography", shell_complete=complete_geography, help="Only this geography; default: all.")
@click.option(
    "--days", default=7, show_default=True, type=click.IntRange(1, 400), help="So many newest days."
)
@click.option(
    "--held", "is_held_only", is_flag=True, help="Only what is held, of all days, the oldest first."
)
@with_json
def list_command(
    feed: str | None, geography: str | None, days: int, *, is_held_only: bool, out: Output
) -> None:
    """List feed, geography and day with their anomaly: True held, False healthy, None not judged.

    Exit status: 0 nothing is held, 3 something is, 1 an error.

    Example: mlops feeds list --held
    """
    workspace = open_workspace()
    config = workspace.config
    feeds = _chosen(feed, [contract.name for contract in config.daily_feeds()], "--feed")
    geographies = _chosen(geography, sorted(config.geographies), "--geography")
    held = find_held(workspace.platform.lake, feeds, geographies)
    states = held if is_held_only else _recent(workspace, feeds, geographies, days)
    nothing = "nothing is held" if is_held_only else "nothing has been delivered and run"
    out.tell([state_record(state) for state in states], "\n".join(map(state_line, states)) or nothing)
    for escalation in find_escalations(held, config.feeds):
        click.echo(f"escalated: {escalation.text}", err=True)
    sys.exit(HELD_STATUS if held else 0)


def _recent(
    workspace: Workspace, feeds: Sequence[str], geographies: Sequence[str], days: int
) -> list[DeliveryState]:
    lake = workspace.platform.lake
    newest = newest_data_day(lake, feeds, geographies)
    if newest is None:
        return []
    return [
        read_delivery_state(lake, feed, code, newest - dt.timedelta(days=back), newest)
        for back in range(days - 1, -1, -1)
        for feed in feeds
        for code in geographies
    ]


@feeds_commands.command("show")
@click.argument("feed", shell_complete=complete_feed)
@click.argument("geography", shell_complete=complete_geography)
@click.argument("day", type=DAY)
@with_json
def show(feed: str, geography: str, day: dt.datetime, *, out: Output) -> None:
    """Show the verdict on one delivery, its reasons and its figures.

    Exit status: 0 it is not held, 3 it is, 1 an error.

    Example: mlops feeds show usage cl 2026-09-07
    """
    workspace = open_workspace()
    contract, code = _contract(workspace, feed, geography), geography
    lake = workspace.platform.lake
    newest = newest_data_day(lake, [contract.name], [code])
    state = read_delivery_state(lake, contract.name, code, day.date(), newest)
    profile = state.profile.model_dump(mode="json") if state.profile else None
    out.tell({**state_record(state), "profile": profile}, "\n".join([state_line(state), *_details(state)]))
    sys.exit(HELD_STATUS if state.state == "held" else 0)


@feeds_commands.command("release")
@click.argument("feed", shell_complete=complete_feed)
@click.argument("geography", shell_complete=complete_geography)
@click.argument("day", type=DAY)
@click.option("--by", "released_by", required=True, help="Who decides.")
@click.option("--note", required=True, help="Why the delivery is right.")
@click.option("--sha256", default="", help="Release only if the held file has this hash (`show --json`).")
@with_json
def release(
    feed: str, geography: str, day: dt.datetime, released_by: str, note: str, sha256: str, *, out: Output
) -> None:
    """Use a held delivery all the same: these bytes and no others. The next `mlops run` builds its day.

    Example: mlops feeds release usage cl 2026-09-07 --by Bo --note "a new tariff"
    """
    workspace = open_workspace()
    platform = workspace.platform
    contract = _contract(workspace, feed, geography)
    now = dt.datetime.now(dt.UTC)
    wanted = FeedRelease(feed, geography, day.date(), sha256, released_by, now, note)
    recorded = release_delivery(
        contract, wanted, lake=platform.lake, landing=platform.landing, releases=platform.releases
    )
    text = f"released {feed} of {geography} for {recorded.day} (sha256 {recorded.raw_sha256[:16]})"
    by = f"by {recorded.released_by} on {recorded.released_at_utc:%Y-%m-%d %H:%M} UTC: {recorded.note}"
    out.tell(recorded, f"{text} {by}\nthe day is due again: `mlops run`")


def state_record(state: DeliveryState) -> dict[str, Any]:
    """Return a delivery's state as JSON values, without its profile."""
    health = state.health.model_dump(mode="json") if state.health else None
    return {
        "feed": state.feed,
        "geography": state.geography,
        "day": state.day.isoformat(),
        "anomaly": state.is_anomaly,
        "state": state.state,
        "age_days": state.age_days,
        "raw_sha256": state.raw_sha256,
        "health": health,
    }


def state_line(state: DeliveryState) -> str:
    """Return the line of one delivery."""
    age = f" for {state.age_days} days" if state.age_days is not None else ""
    note = ""
    if state.health is not None:
        note = (
            "; ".join(f.text for f in state.health.findings) if state.state == "held" else state.health.note
        )
    line = f"{state.day}  {state.geography:<4} {state.feed:<18} {state.is_anomaly!s:<6} {state.state}{age}"
    return f"{line}: {note}" if note else line


def _details(state: DeliveryState) -> list[str]:
    lines = []
    if state.health is not None:
        compared = ", ".join(map(str, state.health.reference_days)) or "nothing"
        lines = [f"  compared with: {compared}", f"  verdict: {state.health.note}"]
        lines += [f"  ! {f.reason}: {f.text}" for f in state.health.findings]
    profile = state.profile
    if profile is None:
        return lines
    lines.append(
        f"  {profile.row_count} rows, {profile.entity_count} entities, {profile.records_per_entity:.2f} records each, "
        f"{profile.duplicate_share:.1%} duplicates, {profile.quarantined_share:.1%} in quarantine"
    )
    for name, n in profile.numbers.items():
        shape = f", p10 {n.p10:g}, p50 {n.p50:g}, p90 {n.p90:g}" if n.p50 is not None else ""
        nulls = f"{n.null_share:.1%} missing, {n.zero_share:.1%} zero"
        lines.append(f"  {name}: total {n.total:g}, {nulls}{shape}")
    for name, counts in profile.segments.items():
        shares = ", ".join(f"{v} {c / max(profile.row_count, 1):.1%}" for v, c in counts.items())
        lines.append(f"  {name}: {shares}")
    return lines


def _contract(workspace: Workspace, feed: str, geography: str) -> FeedContract:
    config = workspace.config
    require_known(feed, (one.name for one in config.daily_feeds()), "FEED")
    require_known(geography, config.geographies, "GEOGRAPHY")
    return config.feeds[feed].for_geography(config.geography_chain(geography))


def _chosen(name: str | None, known: Sequence[str], option: str) -> Sequence[str]:
    """Return the one that an option names, or all."""
    if name is None:
        return known
    require_known(name, known, option)
    return [name]
