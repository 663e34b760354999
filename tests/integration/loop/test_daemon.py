"""The sensor through Dagster's own daemon: files lie there, and their day is built by nobody's hand."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.config.run_plan import day_log_partition
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake
from tests.integration.loop.conftest import PROJECT
from tests.integration.small_operator import FIRST_DAY, GEOGRAPHIES

PATIENCE_S = 400
CODE = "import sys; from dagster._daemon.cli import main; sys.argv[0] = 'dagster-daemon'; main()"


@contextmanager
def daemon(home: Path) -> Iterator[Path]:
    """Run the daemon over a data root as `make dev` does; its output is in the file that is given."""
    instance, log = home / "dagster_home", home / "daemon.log"
    instance.mkdir()
    shutil.copy(PROJECT / "deploy" / "local" / "dagster.yaml", instance)
    environment = {
        **os.environ,
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(instance),
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-c", CODE, "run", "-w", str(PROJECT / "workspace.yaml")]
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        ) as process,
    ):
        try:
            yield log
        finally:  # the code server and the runs are its children
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_daemon_builds_the_days_that_lie_there(home: Path) -> None:
    lake, deadline = LocalLake(home / "lake"), time.monotonic() + PATIENCE_S
    with daemon(home) as log:
        while lake.manifest(day_log_partition(FIRST_DAY)) is None:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.5)
    for geography in GEOGRAPHIES:
        manifest = lake.manifest(PartitionId("etl/subscriber_features", geography, FIRST_DAY))
        assert manifest is not None
        assert manifest.row_count > 0
