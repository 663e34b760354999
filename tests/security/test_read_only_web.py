"""The web server for readers, started as in production, refuses every mutation of its schema."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    get_introspection_query,
)

PROJECT = Path(__file__).resolve().parents[2]
START_WITHIN_S = 240
BACKFILL, DONE = "waiting", "done"
# They change nothing of the platform: the first is off, the second remembers that a greeting was read.
_HARMLESS = {"logTelemetry", "setNuxSeen"}
_TERMINATED = "... on TerminateRunFailure { message }"
_SCALARS: dict[str, Any] = {
    "String": "x", "ID": "x", "Int": 1, "Float": 1.0, "Boolean": True, "RunConfigData": {}, "GenericScalar": {},
}  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(port: int, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON of an answer; one with errors comes with a status of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with closing(connection):
        body = json.dumps({"query": query, "variables": variables or {}})
        connection.request("POST", "/graphql", body, {"content-type": "application/json"})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found


@contextmanager
def _read_only_web(home: Path) -> Iterator[int]:
    port, log = _free_port(), home / "web.log"
    environment = {
        **os.environ,
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster_home"),
        "PYTHONPATH": str(PROJECT),
    }
    command = [
        *(sys.executable, "-m", "dagster_webserver", "--read-only", "-h", "127.0.0.1", "-p", str(port)),
        *("-w", str(PROJECT / "workspace.yaml")),
    ]
    with log.open("w") as stream, subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=stream, stderr=stream
    ) as process:  # fmt: skip
        try:
            _wait_for(port, process, log)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            _ask(port, "{ version }")
        except OSError:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        else:
            return


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster instance with one run that could be deleted, ended or repeated."""
    home = tmp_path_factory.mktemp("read_only")
    (home / "dagster_home").mkdir()
    shutil.copy(PROJECT / "deploy" / "local" / "dagster.yaml", home / "dagster_home")
    return home


def _make_run(home: Path) -> str:
    """Put a run and a backfill into the instance; return the run."""

    @dg.job
    def daily_graph() -> None: ...

    feed = dg.AssetKey(["feeds", "usage"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home / "dagster_home"))
        with dg.DagsterInstance.get() as instance:
            run = instance.create_run_for_job(daily_graph, status=dg.DagsterRunStatus.STARTED)
            for name, status in (
                (BACKFILL, BulkActionStatus.REQUESTED),
                (DONE, BulkActionStatus.COMPLETED_FAILED),
            ):
                instance.add_backfill(
                    PartitionBackfill(
                        name,
                        status,
                        from_failure=False,
                        tags={},
                        backfill_timestamp=1.0,
                        asset_selection=[feed],
                        asset_backfill_data=AssetBackfillData.empty(
                            AssetGraphSubset(non_partitioned_asset_keys={feed}), 1.0, instance
                        ),
                    )
                )
    return run.run_id


def _state(home: Path) -> dict[str, int]:
    """Return the number of rows of every table of the instance."""
    rows = {}
    for path in sorted((home / "dagster_home").rglob("*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                count = connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]  # noqa: S608
                rows[f"{path.relative_to(home)}:{name}"] = count
    return rows


def _value(kind: Any, name: str, known: Mapping[str, Any]) -> Any:
    """Return a value of an input type: one that names something real where the name is known."""
    if isinstance(kind, GraphQLNonNull):
        return _value(kind.of_type, name, known)
    if isinstance(kind, GraphQLList):
        inner = _value(kind.of_type, name.removesuffix("s"), known)
        return known.get(name, [inner])
    if isinstance(kind, GraphQLInputObjectType):
        return {
            field: _value(spec.type, field, known)
            for field, spec in kind.fields.items()
            if isinstance(spec.type, GraphQLNonNull) or field in known or field == "selector"
        }
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    return known.get(name, _SCALARS[kind.name])


def _call(port: int, schema: GraphQLSchema, name: str, known: Mapping[str, Any]) -> str:
    """Send a mutation with arguments that name real things; return what kind of answer it has."""
    assert schema.mutation_type
    field = schema.mutation_type.fields[name]
    arguments = dict(field.args)
    if "executionParams" in arguments:
        arguments.pop("reexecutionParams", None)  # one of both
    given = {argument: _value(spec.type, argument, known) for argument, spec in arguments.items()}
    declared = ", ".join(f"${argument}: {spec.type}" for argument, spec in arguments.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in arguments)
    inner = _selection(schema, field.type)
    query = (
        f"mutation{f'({declared})' if declared else ''} "
        f"{{ answer: {name}{f'({passed})' if passed else ''}{inner} }}"
    )
    answer = _ask(port, query, given)
    if errors := answer.get("errors"):
        return str(errors[0].get("message", ""))
    return json.dumps(answer["data"]["answer"])


def _selection(schema: GraphQLSchema, kind: Any) -> str:
    """Return what is asked of a mutation's answer: its type, and messages of errors."""
    if isinstance(kind, GraphQLNonNull):
        return _selection(schema, kind.of_type)
    if not isinstance(kind, GraphQLUnionType):
        return "" if kind.name in _SCALARS else " { __typename }"
    parts = ["... on Error { message }"]
    if any(one.name == "LaunchMultipleRunsResult" for one in kind.types):
        parts.append("... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } }")
    if any(one.name == "TerminateRunsResult" for one in kind.types):
        parts.append(f"... on TerminateRunsResult {{ terminateRunResults {{ __typename {_TERMINATED} }} }}")
    if any(one.name == "TerminateRunFailure" for one in kind.types):
        parts.append(_TERMINATED)
    return f" {{ __typename {' '.join(parts)} }}"


@pytest.mark.slow
def test_every_mutation_is_refused(home: Path) -> None:
    run_id = _make_run(home)
    with _read_only_web(home) as port:
        schema = build_client_schema(_ask(port, get_introspection_query())["data"])  # type: ignore[arg-type]
        asked = (
            "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } %s } } } }"
        )
        found = _ask(port, asked % "sensors { sensorState { id } }")["data"]["repositoriesOrError"]["nodes"][
            0
        ]
        location = found["location"]["name"]
        known = {
            "id": found["sensors"][0]["sensorState"]["id"],
            "backfillId": BACKFILL,
            "runId": run_id,
            "runIds": [run_id],
            "parentRunId": run_id,
            "repositoryName": found["name"],
            "repositoryLocationName": location,
            "locationName": location,
            "pipelineName": "daily_graph",
            "jobName": "daily_graph",
            "sensorName": "outbox",
            "path": ["feeds", "usage"],
            "mode": "default",
        }
        before = _state(home)
        assert schema.mutation_type
        answers = {
            name: _call(port, schema, name, known | ({"parentRunId": DONE} if "Backfill" in name else {}))
            for name in schema.mutation_type.fields
        }
        assert _state(home) == before, "something was written"
        allowed = {
            name: said
            for name, said in answers.items()
            if "Unauthorized" not in said and "permission" not in said
        }
    assert len(answers) > 30
    assert set(allowed) <= _HARMLESS, json.dumps(allowed, indent=1)
