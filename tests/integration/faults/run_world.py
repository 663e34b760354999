"""A small platform whose runs are executed by real workers: PostgreSQL, a stand-in for Cloud Run, daemons.

Belongs here: starting, killing and looking. Does not belong here: what is injected and judged (run_rows).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher.base import LaunchRunContext
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from resources.cloud_run_launcher import EMULATOR_VARIABLE
from resources.lake import LocalLake
from tests.integration.cloud.cloud_run_server import CloudRunServer, FakeExecution
from tests.integration.cloud.postgres_server import PASSWORD, USER, PostgresServer, free_port
from tests.integration.faults import small_graph
from tests.integration.faults.outcome import Outcome

PROJECT = Path(__file__).resolve().parents[3]
MODULE = "tests.integration.faults.small_graph"
ENVIRONMENT = "faults"
PASSWORD_VARIABLE = "TEST_DATABASE_PASSWORD"  # noqa: S105 - a name
PATIENCE_S = 150.0


@dataclass
class World:
    """One platform in a folder."""

    home: Path
    environment: str
    cloud: CloudRunServer
    variables: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def open_instance(self) -> dg.DagsterInstance:
        """Open the Dagster instance of the environment."""
        configs = [PROJECT_CONFIGS, self.home / "configs"]
        return Workspace(self.home, load_project(configs, self.environment)).open_instance()

    def launch(self, instance: dg.DagsterInstance) -> str:
        """Create and launch a run of the small graph; return its id."""
        repository = ReconstructableRepository.for_module(MODULE, "defs", str(PROJECT))
        job = repository.get_reconstructable_job(small_graph.JOB)
        run = instance.create_run_for_job(
            job.get_definition(), status=dg.DagsterRunStatus.STARTING, job_code_origin=job.get_python_origin()
        )
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
        return run.run_id

    def start_worker(self, execution: FakeExecution) -> None:
        """Execute as Cloud Run would; the execution ends with its process."""
        job, _, name = execution.name.partition("/executions/")
        variables = {"CLOUD_RUN_JOB": job.rpartition("/")[2], "CLOUD_RUN_EXECUTION": name}
        command = [sys.executable, "-m", "mlops_assets.cli", *execution.arguments[1:]]
        process = self._start(command, f"worker-{name}.log", {**variables, **execution.variables})
        self.workers.append(process)

        def wait() -> None:
            execution.state = "succeeded" if process.wait() == 0 else "failed"

        threading.Thread(target=wait, daemon=True).start()

    def start_daemon(self) -> int:
        """Start `mlops daemon` over the small graph and return the port of its health pages."""
        port = free_port()
        workspace = self.home / "workspace.yaml"
        workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": {"module_name": MODULE}}]}))
        command = [sys.executable, "-m", "mlops_assets.cli", "daemon", "--health-port", str(port)]
        self.daemons.append(self._start([*command, "--workspace", str(workspace)], f"daemon-{port}.log", {}))
        return port

    def kill(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """End processes and what they have started, as by a power cut."""
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def _start(self, command: list[str], log: str, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.home / log).open("w") as stream:
            return subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**self.variables, **variables},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def hold(self) -> None:
        """Let the second step stand still in the middle of its writing."""
        (self.home / "hold").touch()
        (self.home / "inside").unlink(missing_ok=True)

    def release(self) -> None:
        """Let it go on."""
        (self.home / "hold").unlink(missing_ok=True)

    def request(self, name: str) -> None:
        """Ask for a run of the small graph."""
        (self.home / "requests" / name).touch()

    def wait_inside(self) -> None:
        """Wait until a worker is in the middle of writing."""
        self.wait_for((self.home / "inside").exists, "no worker came to write")

    def wait_for(self, is_there: Callable[[], object], what: str) -> None:
        """Wait for something; an AssertionError with the logs if it does not come."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not is_there():
            if time.monotonic() > give_up_s:
                logs = "\n".join(path.read_text()[-1500:] for path in sorted(self.home.glob("*.log")))
                raise AssertionError(f"{what}\n{logs}")
            time.sleep(0.05)

    def steps(self) -> Counter[str]:
        """Return how often each step of each run began."""
        log = self.home / "steps.log"
        return Counter(log.read_text().splitlines() if log.exists() else [])

    def lines_of(self, run_id: str) -> list[dict[str, Any]]:
        """Return the lines that workers have written about a run."""
        texts = [path.read_text() for path in self.home.glob("worker-*.log")]
        lines = [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("run_id") == run_id]

    def judge_lake(self, outcome: Outcome) -> None:
        """Count partitions that are not what they should be, and what is left beside them."""
        lake = LocalLake(self.home / "lake", grace_s=0.0)
        for partition, content in small_graph.CONTENT.items():
            manifest = lake.manifest(partition)
            outcome.count("lost", manifest is None, f"{partition} is not published")
            if manifest is not None:
                is_whole = lake.path(partition).read_bytes() == content
                outcome.count("lost", not is_whole, f"{partition} is not whole")

    def judge_steps(self, outcome: Outcome) -> None:
        """Count steps that began twice in one run."""
        for step, count in self.steps().items():
            outcome.count("doubled", count > 1, f"{step} began {count} times")


@contextmanager
def build_world(home: Path, server: PostgresServer | None) -> Iterator[World]:
    """Give an empty platform; everything that it started is ended after the block.

    Args:
        home: its folder.
        server: of its databases; None for a laptop, which has SQLite and runs as processes of its own.
    """
    home.mkdir(parents=True)
    (home / "requests").mkdir()
    cloud, environment = CloudRunServer(), ENVIRONMENT if server else "local"
    (home / "configs").mkdir()
    if server is not None:
        _write_environment(home / "configs", server)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
    variables = {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path]),
        "MLOPS_HOME": str(home),
        "MLOPS_ENVIRONMENT": environment,
        "MLOPS_CONFIG_PATHS": str(home / "configs"),
        PASSWORD_VARIABLE: PASSWORD,
        EMULATOR_VARIABLE: cloud.url,
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    before = dict(os.environ)
    os.environ.update(
        {name: variables[name] for name in (PASSWORD_VARIABLE, EMULATOR_VARIABLE, "MLOPS_HOME")}
    )
    world = World(home, environment, cloud, variables)
    cloud.on_start = world.start_worker
    try:
        yield world
    finally:
        world.kill([*world.daemons, *world.workers])
        cloud.stop()
        os.environ.clear()
        os.environ.update(before)


def _write_environment(configs: Path, server: PostgresServer) -> None:
    settings: dict[str, Any] = {
        "name": ENVIRONMENT,
        "calendar": {"first_day": "2026-08-03"},
        "database": {
            "kind": "postgresql",
            "host": "127.0.0.1",
            "port": server.port,
            "user": USER,
            "password_variable": PASSWORD_VARIABLE,
            "tls": "none",
            **{name: server.create_database() for name in ("platform", "dagster", "mlflow")},
        },
        "runs": {
            "kind": "cloud_run",
            "project": "test-project",
            "region": "test-region1",
            "patience_s": 20.0,
        },
        "executor": {"kind": "in_process", "cores": 1},
        "logs": "json",
    }
    folder = configs / "environments"
    folder.mkdir(parents=True)
    (folder / f"{ENVIRONMENT}.yaml").write_text(yaml.safe_dump(settings))


def monitor(instance: dg.DagsterInstance, run_id: str) -> str:
    """Look after a started run as Dagster's monitoring does, and return what it said when it failed it."""
    import logging

    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    if record.dagster_run.status == dg.DagsterRunStatus.STARTED:
        monitor_started_run(instance, None, record, logging.getLogger("monitor"))  # type: ignore[arg-type]
    failures = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return " ".join(entry.dagster_event.message or "" for entry in failures if entry.dagster_event)


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """Return a run's status."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def ready_state(port: int) -> tuple[int, dict[str, Any]]:
    """Return status and content of /readyz; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}
