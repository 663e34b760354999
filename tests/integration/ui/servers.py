"""Dagster's and MLflow's pages over a data root, started as `make dev` and `make mlflow` start them.

Belongs here: processes and waiting for them. Does not belong here: what the pages show (the tests).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
_START_WITHIN_S = 240
_MLOPS = "import sys; from mlops_assets.cli import main; sys.argv[0] = 'mlops'; main()"


@contextmanager
def serve_dagster(home: Path) -> Iterator[str]:
    """Yield the address of `dagster dev` over a data root; its sensors tick, but the runs that they ask for wait."""
    instance = home / "dagster_home"
    settings = (PROJECT / "deploy" / "local" / "dagster.yaml").read_text()
    # Zero: looking must not change what is looked at, nor take the machine from other tests.
    halted, count = re.subn(r"max_concurrent_runs: \d+", "max_concurrent_runs: 0", settings)
    assert count == 1, "dagster.yaml says how many runs there may be"
    (instance / "dagster.yaml").write_text(halted)
    port = _free_port()
    words = (
        "dev",
        "--workspace",
        str(PROJECT / "workspace.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    )
    command = [str(Path(sys.executable).with_name("dagster")), *words]
    more = {"DAGSTER_HOME": str(instance), "PYTHONWARNINGS": "ignore::FutureWarning:click.core"}
    with _running(home, command, more, port, "/server_info") as address:
        yield address


@contextmanager
def serve_mlflow(home: Path) -> Iterator[str]:
    """Yield the address of `mlops mlflow` over a data root."""
    port = _free_port()
    command = [sys.executable, "-c", _MLOPS, "mlflow", "--port", str(port)]
    # The command becomes the program `mlflow`, which is beside the interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with _running(home, command, {"PATH": path}, port, "/health") as address:
        yield address


@contextmanager
def _running(
    home: Path, command: Sequence[str], more: Mapping[str, str], port: int, ready: str
) -> Iterator[str]:
    environment = {**os.environ, "MLOPS_HOME": str(home), "PYTHONPATH": str(PROJECT), **more}
    log, address = home / f"server-{port}.log", f"http://127.0.0.1:{port}"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for(address + ready, process, log)
            yield address
        finally:
            _end(process)
    log.unlink()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server with the processes that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with _gone_already():
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=20):  # noqa: S310 - an address of our own, on this machine
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
