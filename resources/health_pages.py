"""/healthz and /readyz of a process that serves nothing else.

Belongs here: the two pages. Does not belong here: what is healthy (whoever starts them says so).
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Facts = dict[str, Any]


@contextmanager
def serve_health(
    host: str, port: int, state: Callable[[], Facts], problems: Callable[[], list[str]]
) -> Iterator[int]:
    """Answer on a port as long as the block lasts; give the port.

    /healthz is 200 as long as the process answers; /readyz is 503 with the reasons while there are any.

    Args:
        host: address to listen on.
        port: 0 for any that is free.
        state: facts about the process.
        problems: why it does not do its work; may ask a database, and is asked for /readyz only.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, {"status": "alive", **state()})
            elif self.path == "/readyz":
                found = problems()
                self._answer(503 if found else 200, {"ready": not found, "problems": found, **state()})
            else:
                self._answer(404, {"error": "there are /healthz and /readyz"})

        def _answer(self, status: int, content: Facts) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing: probes come every few seconds."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
