"""The sensor for first trainings asks for what a replay would do, until it is done."""

from __future__ import annotations

import dagster as dg

from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from tests.integration.loop.conftest import LAST_RUN_DAY, Loop
from tests.integration.small_operator import slot_in


def tick(replay: Replay) -> list[dg.RunRequest]:
    """Evaluate the sensor of the churn use case once."""
    definitions = replay.workspace.definitions
    name = f"{names.FIRST_CHAMPION_SENSOR}_churn"
    sensor = next(s for s in definitions.get_repository_def().sensor_defs if s.name == name)
    with dg.build_sensor_context(
        instance=replay.instance, definitions=definitions, resources=replay.workspace.platform.as_resources()
    ) as context:
        result = sensor(context)
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def test_request_of_the_sensor_trains_its_segment(own: Loop, replay: Replay) -> None:
    for file in own.home.glob(f"{own.workspace.config.environment.ledger.database}*"):
        file.unlink()
    requests = {str(request.partition_key): request for request in tick(replay)}
    assert sorted(requests) == ["cl", "pe"]
    assert {r.tags[names.TAG_AS_OF_DAY] for r in requests.values()} == {str(LAST_RUN_DAY)}
    job = own.workspace.definitions.resolve_job_def(names.training_job("churn"))
    assert job.execute_in_process(
        partition_key="cl", tags=dict(requests["cl"].tags), instance=replay.instance
    ).success
    champion = own.workspace.platform.ledger.champion(slot_in("cl"))
    assert champion is not None
    assert champion.as_of_day == LAST_RUN_DAY
    assert [request.partition_key for request in tick(replay)] == ["pe"]
