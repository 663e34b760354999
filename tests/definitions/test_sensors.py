"""Sensors: what they request, with which run keys, and what they say when they skip."""

import datetime as dt

import dagster as dg
import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from tests.definitions.conftest import FIRST_DAY

LAST_DAY = FIRST_DAY + dt.timedelta(days=3)


def tick(replay: Replay, name: str) -> dg.SensorResult | dg.SkipReason:
    """Evaluate a sensor once."""
    definitions = replay.workspace.definitions
    sensor = next(s for s in definitions.get_repository_def().sensor_defs if s.name == name)
    with dg.build_sensor_context(
        instance=replay.instance, definitions=definitions, resources=replay.workspace.platform.as_resources()
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_new_files_request_one_run_a_day_in_order(replay: Replay) -> None:
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    requests = result.run_requests or []
    assert [r.partition_key for r in requests] == [str(FIRST_DAY + dt.timedelta(days=n)) for n in range(4)]
    assert all(r.tags[names.TAG_REASON] == "new day" for r in requests)
    assert len({r.run_key for r in requests}) == 4


def test_two_ticks_ask_for_the_same_runs(replay: Replay) -> None:
    first, second = (tick(replay, names.FEED_ARRIVAL_SENSOR) for _ in range(2))
    assert isinstance(first, dg.SensorResult)
    assert isinstance(second, dg.SensorResult)
    assert [r.run_key for r in first.run_requests or []] == [r.run_key for r in second.run_requests or []]


def test_incomplete_newest_day_waits(replay: Replay) -> None:
    """Half a delivery is no day; it is complete when all files are there or the next day has begun."""
    (replay.workspace.home / "landing" / "cl" / f"topups_{LAST_DAY:%Y%m%d}.csv").unlink()
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    assert str(LAST_DAY) not in {r.partition_key for r in result.run_requests or []}


def test_built_days_are_skipped_with_a_reason(replay: Replay) -> None:
    replay.run(FIRST_DAY, LAST_DAY, lambda _: None)
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "every delivered day is built"


def test_corrected_file_requests_its_day_and_those_after_it(replay: Replay) -> None:
    replay.run(FIRST_DAY, LAST_DAY, lambda _: None)
    corrected = FIRST_DAY + dt.timedelta(days=2)
    path = replay.workspace.home / "landing" / "cl" / f"topups_{corrected:%Y%m%d}.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    assert [r.partition_key for r in result.run_requests or []] == [str(corrected), str(LAST_DAY)]


def test_run_of_a_sensor_request_is_the_run_of_a_replay(replay: Replay) -> None:
    """What the sensor asks for leaves nothing due: headless replay and sensor take one path."""
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    job = replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    for request in result.run_requests or []:
        assert job.execute_in_process(
            partition_key=request.partition_key, tags=dict(request.tags), instance=replay.instance
        ).success
    assert [r.status for r in replay.run(FIRST_DAY, LAST_DAY, lambda _: None)] == ["unchanged"] * 4


def test_a_failed_run_is_asked_for_again_and_holds_up_no_other_day(replay: Replay) -> None:
    for geography, name in (("cl", "usage"), ("pe", "consumo")):
        (replay.workspace.home / "landing" / geography / f"{name}_{FIRST_DAY:%Y%m%d}.parquet").unlink()
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    first = (result.run_requests or [])[0]
    job = replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
    failed = job.execute_in_process(
        partition_key=first.partition_key,
        tags=dict(first.tags),
        instance=replay.instance,
        raise_on_error=False,
    )
    assert not failed.success
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)  # right after the failure: it waits a minute
    assert isinstance(result, dg.SensorResult)
    assert [r.partition_key for r in result.run_requests or []] == [
        str(FIRST_DAY + dt.timedelta(days=n)) for n in (1, 2, 3)
    ]


def test_files_of_a_far_future_are_named_and_hold_up_no_other_day(replay: Replay) -> None:
    folder = replay.workspace.home / "landing" / "cl"
    (folder / "topups_20990101.csv").write_bytes((folder / f"topups_{FIRST_DAY:%Y%m%d}.csv").read_bytes())
    (folder / "topups_20260101.csv").write_bytes(b"older than the calendar")
    result = tick(replay, names.FEED_ARRIVAL_SENSOR)
    assert isinstance(result, dg.SensorResult)
    assert [r.partition_key for r in result.run_requests or []] == [
        str(FIRST_DAY + dt.timedelta(days=n)) for n in range(4)
    ]


@pytest.mark.parametrize("has_data", [False, True])
def test_untrainable_segment_says_until_when_it_waits(replay: Replay, *, has_data: bool) -> None:
    if has_data:
        replay.run(FIRST_DAY, FIRST_DAY, lambda _: None)
    result = tick(replay, f"{names.FIRST_CHAMPION_SENSOR}_churn")
    assert isinstance(result, dg.SkipReason)
    wanted = "trainable from" if has_data else "no day of data yet"
    assert (result.skip_message or "").count(wanted) == 2
