"""Sensors evaluated between two days of a replay: the very ones that the daemon evaluates.

Belongs here: one tick of a sensor as of a day, and which of its requests are new. Does not belong here: what a
sensor decides (package `sensors`, domain), or executing runs (replay).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.config import names
from mlops_assets.domain.lake_until import LakeUntil

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.commands.workspace import Workspace

# In this order: what people decided, first champions, and then what may replace them.
LEARNING_SENSORS = (names.APPROVALS_SENSOR, names.FIRST_CHAMPION_SENSOR, names.DRIFT_SENSOR)


def learning_sensors(definitions: dg.Definitions) -> list[dg.SensorDefinition]:
    """Return the sensors that request trainings or follow decisions, in the order in which they are evaluated."""
    found = sorted(definitions.get_repository_def().sensor_defs, key=lambda sensor: sensor.name)
    return [
        sensor
        for prefix in LEARNING_SENSORS
        for sensor in found
        if sensor.name == prefix or sensor.name.startswith(f"{prefix}_")
    ]


def requests_training(sensor: dg.SensorDefinition) -> bool:
    """Return whether a sensor requests trainings; the others request what follows people's decisions."""
    return not sensor.name.startswith(names.APPROVALS_SENSOR)


def tick(
    sensor: dg.SensorDefinition,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    day: dt.date,
    cursors: dict[str, str] | None = None,
) -> Iterator[dg.RunRequest]:
    """Yield what a sensor requests on a day, as the daemon would launch it: no run key twice.

    A request whose run failed is yielded again: whoever calls `mlops run` again wants it tried again.

    Args:
        sensor: to evaluate.
        workspace: configuration and resources.
        instance: that has the runs so far.
        day: the newest one that the sensor may see.
        cursors: by sensor, what each left for its next tick; this one's is read and replaced.
    """
    import dagster as dg

    cursors = {} if cursors is None else cursors
    resources = workspace.platform.as_resources()
    resources["lake"] = LakeUntil(workspace.platform.lake, day)
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursors.get(sensor.name),
        definitions=workspace.definitions,
        resources=resources,
        sensor_name=sensor.name,
    ) as context:
        found = sensor.evaluate_tick(context)
    if found.cursor:
        cursors[sensor.name] = found.cursor
    for request in found.run_requests or ():
        if not _is_done(instance, request):
            yield request


def _is_done(instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    import dagster as dg

    if request.run_key is None:
        return False
    finished_badly = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    statuses = [status for status in dg.DagsterRunStatus if status not in finished_badly]
    key = {"dagster/run_key": request.run_key}
    return instance.get_runs_count(dg.RunsFilter(tags=key, statuses=statuses)) > 0
