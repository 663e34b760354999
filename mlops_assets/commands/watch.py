"""`mlops watch`: the monitors of snapshot feeds.

Belongs here: arguments, output and exit status. Does not belong here: the run (replay), what is found
(mlops_assets.domain.quality) or daily monitors, which belong to `mlops run`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.replay import open_replay
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.loader import EVERYWHERE
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, monitor_table
from mlops_assets.domain.quality.spec import MonitorSpec


@click.command()
@with_json
def watch(*, out: Output) -> None:
    """Replay every day of the snapshot feeds that monitors watch; what has not changed is kept.

    Exit status: 0 all snapshots were judged; 1 one was refused, or a step failed.

    Example: mlops watch
    """
    workspace = open_workspace()
    monitors = workspace.config.snapshot_monitors()
    if not monitors:
        raise ConfigError(
            "no monitor watches a snapshot feed",
            where="quality/*.yaml",
            expected="a monitor with `day_column`",
            remedy="name the folder of its YAML in MLOPS_CONFIG_PATHS; docs/watch_a_series.md shows one",
        )
    with open_replay(workspace) as replay:
        outcome = replay.watch()
    records, paths = [_record(workspace, spec) for spec in monitors], workspace.platform.reports.list()
    lines = [f"! {finding}" for finding in outcome.findings]
    lines += [line for record in records for line in monitor_lines(record, paths)]
    out.tell(
        {"succeeded": outcome.succeeded, "findings": outcome.findings, "monitors": records}, "\n".join(lines)
    )
    sys.exit(0 if outcome.succeeded else 1)


def _record(workspace: Workspace, spec: MonitorSpec) -> dict[str, Any]:
    """Return what is known of a monitor, for programs."""
    lake = workspace.platform.lake
    days = lake.days(monitor_table(spec.name, ANOMALIES), EVERYWHERE)
    judged, drift = (
        lake.manifest(PartitionId(monitor_table(spec.name, result), EVERYWHERE, days[-1])) if days else None
        for result in (ANOMALIES, DRIFT)
    )
    return {
        "monitor": spec.name,
        "days": len(days),
        "first_day": days[0] if days else None,
        "last_day": days[-1] if days else None,
        "outside": judged.facts["outside"] if judged else None,
        "checked": judged.facts["checked"] if judged else None,
        "verdict": drift.facts["verdict"]["kind"] if drift else None,
    }


def monitor_lines(record: Mapping[str, Any], paths: Iterable[str]) -> Iterator[str]:
    """Yield what is known of a monitor's last judged day, and which reports there are of it.

    Args:
        record: of the monitor, as programs get it.
        paths: of all reports.
    """
    name, last_day = record["monitor"], record["last_day"]
    if last_day is None:
        yield f"{name}: nothing was judged"
        return
    outside = f"{record['outside']} of {record['checked']} series outside"
    told = outside if record["checked"] is not None else "not judged"
    yield (
        f"{name}: {record['days']} days, {record['first_day']} to {last_day}; last day: {told}, "
        f"{record['verdict'] or 'no drift verdict'}"
    )
    of_monitor = (path for path in paths if path.startswith(f"{name}/"))
    yield from (f"  reports/{path}" for path in of_monitor if str(last_day) in path)
