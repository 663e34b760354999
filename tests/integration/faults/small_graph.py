"""A graph of two assets whose steps can be held, for the tests that kill what executes it.

Below MLOPS_HOME: a file `requests/NAME` asks for a run; while `hold` exists, the second step stands still in the middle
of writing its partition (`inside` says that it is there); `steps.log` has a line for each step that began.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake

FIRST, SECOND = PartitionId("etl/first", "cl"), PartitionId("etl/second", "cl")
CONTENT = {FIRST: b"first rows " * 100, SECOND: b"second rows " * 100}
JOB = "work"
_PATIENCE_S = 180.0


def home() -> Path:
    """Return the data root."""
    return Path(os.environ["MLOPS_HOME"])


def _begin(context: dg.AssetExecutionContext, step: str) -> None:
    with (home() / "steps.log").open("a") as log:
        log.write(f"{context.run.run_id} {step}\n")


def _publish(partition: PartitionId) -> None:
    content = CONTENT[partition]
    with LocalLake(home() / "lake").write(partition, "a" * 64) as writer:
        target = writer.file("data")
        target.write_bytes(content[: len(content) // 2])
        if partition == SECOND:
            (home() / "inside").touch()
            _wait_while(home() / "hold")
        target.write_bytes(content)
        writer.commit(row_count=len(content))


def _wait_while(path: Path) -> None:
    give_up_s = time.monotonic() + _PATIENCE_S
    while path.exists() and time.monotonic() < give_up_s:
        time.sleep(0.02)


@dg.asset
def first(context: dg.AssetExecutionContext) -> None:
    """Publish the first partition."""
    _begin(context, "first")
    _publish(FIRST)


@dg.asset(deps=[first])
def second(context: dg.AssetExecutionContext) -> None:
    """Publish the second partition; stands still in the middle while it is held."""
    _begin(context, "second")
    _publish(SECOND)


work = dg.define_asset_job(JOB, selection=[first, second], executor_def=dg.in_process_executor)


@dg.sensor(job_name=JOB, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def requests(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    """Ask for a run per file."""
    del context
    for path in sorted((home() / "requests").glob("*")):
        yield dg.RunRequest(run_key=path.name, tags={"request": path.name})


defs = dg.Definitions(assets=[first, second], jobs=[work], sensors=[requests])
