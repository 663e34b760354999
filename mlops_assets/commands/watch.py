"""`mlops watch`: the monitors of snapshot feeds.

Belongs here: arguments, output and exit status. Does not belong here: the run (replay), what is found
(mlops_assets.domain.quality) or daily monitors, which belong to `mlops run`.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
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
    lines = (*(f"! {finding}" for finding in outcome.findings), *_results(workspace, monitors))
    out.tell(
        {
            "succeeded": outcome.succeeded,
            "findings": outcome.findings,
            "monitors": [_record(workspace, spec) for spec in monitors],
        },
        "\n".join(lines),
    )
    sys.exit(0 if outcome.succeeded else 1)


def _results(workspace: Workspace, monitors: list[MonitorSpec]) -> Iterator[str]:
    """Yield what is known of each monitor's last judged day, and where its report is."""
    lake, platform = workspace.platform.lake, workspace.platform
    paths = platform.reports.list()
    for spec in monitors:
        days = lake.days(monitor_table(spec.name, ANOMALIES), EVERYWHERE)
        if not days:
            yield f"{spec.name}: nothing was judged"
            continue
        yield f"{spec.name}: {len(days)} days, {days[0]} to {days[-1]}; {_last_day(workspace, spec, days[-1])}"
        yield from (
            f"  reports/{path}" for path in paths if f"{spec.name}/" in path and str(days[-1]) in path
        )


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


def _last_day(workspace: Workspace, spec: MonitorSpec, day: dt.date) -> str:
    lake = workspace.platform.lake
    judged, drift = (
        lake.manifest(PartitionId(monitor_table(spec.name, result), EVERYWHERE, day))
        for result in (ANOMALIES, DRIFT)
    )
    outside = (
        f"{judged.facts['outside']} of {judged.facts['checked']} series outside" if judged else "not judged"
    )
    return f"last day: {outside}, {drift.facts['verdict']['kind'] if drift else 'no drift verdict'}"
