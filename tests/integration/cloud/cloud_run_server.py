"""A stand-in for Cloud Run on this machine: jobs, executions and faults on demand.

Belongs here: the answers of version 2 of the API to the four requests that the product makes, as its documentation has
them. A request that Google would refuse is refused here as well: `complaints` holds what was wrong.
Does not belong here: the product's side.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

PARENT = "projects/test-project/locations/test-region1/jobs"
_RUN = re.compile(rf"/v2/({PARENT}/[a-z0-9-]+):run")
_LIST = re.compile(rf"/v2/({PARENT}/[a-z0-9-]+)/executions\?pageSize=(\d+)(?:&pageToken=([^&]+))?")
# What a page token may hold: signs that mean something else in a query unless they are escaped.
_MARK = "a+b/c=&%41#"
_ONE = re.compile(rf"/v2/({PARENT}/[a-z0-9-]+/executions/[a-z0-9-]+)")
_CANCEL = re.compile(rf"{_ONE.pattern}:cancel")

# What a fault does to a request: a number is the status of the answer; "lose" carries the request out and closes the
# connection; "drop" closes it without; "hang" waits for `hang_s` first; "page" is a proxy's page that is no JSON.
Fault = Callable[[str, str], int | str | None]


@dataclass
class FakeExecution:
    """One execution; `state` is running, succeeded, failed or unstartable."""

    name: str
    arguments: list[str]
    variables: dict[str, str]
    state: str = "running"
    is_cancelled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "job": self.name.split("/executions/")[0],
            "taskCount": 1,
            "logUri": f"https://console.example/{self.name}",
            "conditions": [{"type": "Completed", "state": "CONDITION_RECONCILING"}],
            "template": {
                "containers": [
                    {
                        "image": "image@sha256:0",
                        "args": self.arguments,
                        "env": [{"name": "LANG", "value": "C.UTF-8"}]
                        + [{"name": name, "value": value} for name, value in self.variables.items()],
                    }
                ]
            },
        }
        if self.state == "running":
            return {**shown, "runningCount": 1}
        done = {
            "type": "Completed",
            "state": f"CONDITION_{'SUCCEEDED' if self.state == 'succeeded' else 'FAILED'}",
        }
        over = {**shown, "conditions": [{**done, "message": f"Execution {self.state}."}]}
        if self.state == "unstartable":  # the image is not there: no task ever began
            return over
        counted = "cancelledCount" if self.is_cancelled else f"{self.state}Count"
        return {**over, "completionTime": "2026-01-01T00:00:00Z", counted: 1}


@dataclass
class CloudRunServer:
    """Answers on a port of this machine.

    Attributes:
        jobs: names of the jobs that are there.
        fault: see Fault.
        hang_s: how long "hang" waits, seconds.
        is_shy: executions are not listed, as if listing lagged behind.
        on_start: called with each execution that begins.
        asked: method and path of each request.
        complaints: what was wrong with requests.
    """

    jobs: set[str] = field(default_factory=lambda: {"run-s", "run-m", "run-l"})
    fault: Fault = field(default=lambda *_: None)
    hang_s: float = 0.5
    is_shy: bool = False
    on_start: Callable[[FakeExecution], None] = field(default=lambda _: None)
    executions: dict[str, FakeExecution] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        """Listen."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError):
                    super().handle()

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fake.asked.append((self.command, self.path))
                fault = fake.fault(self.command, self.path)
                if fault == "hang":
                    time.sleep(fake.hang_s)
                answer = (fault, _error(fault, "UNAVAILABLE")) if isinstance(fault, int) else None
                if fault != "drop" and answer is None:
                    answer = fake.answer(self.command, self.path, body)
                if fault in {"drop", "lose"} or answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                content = b"<html>404</html>" if fault == "page" else json.dumps(answer[1]).encode()
                self.send_response(404 if fault == "page" else answer[0])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self) -> None:
        """Forget executions, faults and requests."""
        self.jobs = {"run-s", "run-m", "run-l"}
        self.fault, self.is_shy, self.on_start = (lambda *_: None), False, (lambda _: None)
        self.executions, self.asked, self.complaints = {}, [], []

    def stop(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()

    def count(self, what: str) -> int:
        """Return how many requests ended with or contained a text."""
        return sum(what in path for _, path in self.asked)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and content of the answer to a request."""
        if method == "POST" and (found := _RUN.fullmatch(path)):
            return self._run(found[1], json.loads(body or b"{}"))
        if method == "GET" and (found := _LIST.fullmatch(path)):
            start = unquote_plus(found[3] or "").removeprefix(_MARK) or 0
            return self._list(found[1], int(found[2]), int(start))
        if method == "POST" and (found := _CANCEL.fullmatch(path)):
            return self._cancel(found[1])
        if method == "GET" and (found := _ONE.fullmatch(path)):
            one = self.executions.get(found[1])
            return (200, one.to_json()) if one else (404, _error(404, "NOT_FOUND"))
        self.complaints.append(f"{method} {path}")
        return 400, _error(400, "INVALID_ARGUMENT")

    def _run(self, job: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if job.rpartition("/")[2] not in self.jobs:
            return 404, _error(404, "NOT_FOUND")
        try:
            arguments, variables = _read_overrides(request)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self.complaints.append(f"{job}: {error!r} in {request}")
            return 400, _error(400, "INVALID_ARGUMENT")
        number = next(self._numbers)
        name = f"{job}/executions/{job.rpartition('/')[2]}-{number:05d}"
        execution = self.executions[name] = FakeExecution(name, arguments, variables)
        self.on_start(execution)
        kind = {"@type": "type.googleapis.com/google.cloud.run.v2.Execution"}
        operation = f"{job.partition('/jobs/')[0]}/operations/{number}"
        return 200, {"name": operation, "metadata": {**kind, **execution.to_json()}, "done": False}

    def _list(self, job: str, size: int, start: int) -> tuple[int, dict[str, Any]]:
        own = [one for name, one in self.executions.items() if name.startswith(f"{job}/") and not self.is_shy]
        newest = own[::-1]
        shown: dict[str, Any] = {"executions": [one.to_json() for one in newest[start : start + size]]}
        if start + size < len(newest):
            shown["nextPageToken"] = f"{_MARK}{start + size}"
        return 200, shown

    def _cancel(self, name: str) -> tuple[int, dict[str, Any]]:
        one = self.executions.get(name)
        if one is None:
            return 404, _error(404, "NOT_FOUND")
        if one.state != "running":
            return 400, _error(400, "FAILED_PRECONDITION")
        one.is_cancelled, one.state = True, "failed"
        return 200, {"name": "operations/cancel", "done": False}


def _read_overrides(request: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return arguments and variables of a request; anything but the documented form is an error."""
    assert set(request) == {"overrides"}
    overrides = request["overrides"]
    assert set(overrides) <= {"containerOverrides", "taskCount", "timeout"}
    assert overrides.get("taskCount", 1) == 1
    (container,) = overrides["containerOverrides"]
    assert set(container) <= {"args", "env", "name"}
    assert all(isinstance(one, str) for one in container["args"])
    assert all(set(one) == {"name", "value"} for one in container["env"])
    return container["args"], {one["name"]: one["value"] for one in container["env"]}


def _error(status: int, word: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": f"fake {word.lower()}", "status": word}}
