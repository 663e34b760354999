"""dev_server_start: from `dagster dev` to a web server that knows the graph, beside importing Dagster.

Belongs here: wall seconds of a fresh server until it answers with the code location loaded, and of `import dagster`, in
turns.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.measuring import PROJECT, BenchmarkFailedError, Goal, Line, Usage, environment_of, run_command
from benchmarks.operator_data import work_folder

NAME = "dev_server_start"
_QUERY = """{ workspaceOrError { ... on Workspace {
    locationEntries { loadStatus locationOrLoadError { __typename } } } } }"""
_LONGEST_S = 300.0
_PAUSE_S = 0.25


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the ratio of wall times over the best of some rounds."""
    rounds, started = (1 if quick else 3), Usage.taken()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(start_server())
        theirs.append(run_command([sys.executable, "-c", "import dagster"]).wall_s)
    seconds = Usage.taken().since(started).wall_s
    yield Line(
        NAME, min(ours), "s", Goal("ratio", 12.0), {"rounds": rounds}, seconds, peer="import dagster",
        peer_value=min(theirs), is_quick=quick,
    )  # fmt: skip


def start_server() -> float:
    """Start `dagster dev` on an empty data root; return the seconds until its code location is loaded."""
    home = work_folder() / "dev_server"
    shutil.rmtree(home, ignore_errors=True)
    instance = home / "dagster_home"
    instance.mkdir(parents=True)
    shutil.copy(PROJECT / "deploy" / "local" / "dagster.yaml", instance)
    port = _free_port()
    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = environment_of({"MLOPS_HOME": str(home), "DAGSTER_HOME": str(instance)})
    started = time.perf_counter()
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            while not _is_loaded(port):
                if process.poll() is not None or time.perf_counter() - started > _LONGEST_S:
                    sys.stderr.write((home / "log").read_text())
                    raise BenchmarkFailedError(f"dagster dev did not come up in {_LONGEST_S:.0f} s")
                time.sleep(_PAUSE_S)
            return time.perf_counter() - started
        finally:
            _end(process)


def _is_loaded(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = json.dumps({"query": _QUERY})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        workspace = json.load(connection.getresponse())["data"]["workspaceOrError"]
    except OSError:
        return False  # nobody listens yet
    finally:
        connection.close()
    entries = workspace["locationEntries"]
    if any((one["locationOrLoadError"] or {}).get("__typename") == "PythonError" for one in entries):
        raise BenchmarkFailedError("the code location cannot be loaded")
    return bool(entries) and all(one["loadStatus"] == "LOADED" for one in entries)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and everything that it started."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    psutil.wait_procs([process, *children], timeout=20)
    for child in (one for one in children if one.is_running()):
        child.kill()
