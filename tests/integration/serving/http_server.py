"""The scoring service on a real port of this machine, in a thread."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

START_WITHIN_S = 20.0


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of an answer."""
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        content: dict[str, Any] = json.loads(answer.read())
        self.headers = dict(answer.getheaders())
        return answer.status, content

    def score(self, rows: Any, slot: str = "churn/churn_risk/cl") -> tuple[int, dict[str, Any]]:
        """Ask for scores."""
        return self.call("POST", f"/v1/score/{slot}", json.dumps({"rows": rows}).encode())

    def wait_for(self, version: str, rows: Any) -> None:
        """Ask until a version answers."""
        deadline_s = time.monotonic() + START_WITHIN_S
        while self.score(rows)[1].get("model_version") != version:
            assert time.monotonic() < deadline_s, f"version {version} never answered"
            time.sleep(0.02)


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """Serve an app and yield its port."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_WITHIN_S
    while not server.started:
        assert thread.is_alive(), "the service ended at once"
        assert time.monotonic() < deadline_s, "the service did not start"
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(START_WITHIN_S)
        assert not thread.is_alive(), "the service did not stop"
