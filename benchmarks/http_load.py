"""An open-loop HTTP load: requests leave at fixed times, whether or not earlier ones have been answered.

Belongs here: sending and timing. Does not belong here: what is sent or what a good time is.
A latency counts from the time at which the request was due, so that a service that stalls is not excused by the
requests that waited for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 10.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """One request: status 0 if it was not answered. `late_ms` is how late the load itself sent it."""

    status: int
    content: dict[str, Any]
    due_s: float
    latency_ms: float
    late_ms: float


class Load:
    """Sends bodies in turn to one address; idle connections are kept and used again.

    Args:
        port: on this machine.
        path: of the POST requests.
        bodies: sent one after the other, round and round.
    """

    def __init__(self, port: int, path: str, bodies: Sequence[bytes]) -> None:
        self.port, self.path, self.bodies = port, path, bodies
        self.answers: list[Answer] = []
        self._idle: list[Connection] = []

    async def run(self, requests_per_s: float, seconds: float) -> list[Answer]:
        """Send for so many seconds and return all answers."""
        start_s, count = time.perf_counter() + 0.1, int(requests_per_s * seconds)
        tasks = []
        for number in range(count):
            due_s = start_s + number / requests_per_s
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            tasks.append(asyncio.create_task(self._send(due_s, self.bodies[number % len(self.bodies)])))
        await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
        return self.answers

    async def _send(self, due_s: float, body: bytes) -> None:
        sent_s = time.perf_counter()
        try:
            status, content = await asyncio.wait_for(self._exchange(body), TIMEOUT_S)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            status, content = 0, {"error": f"{type(error).__name__}: {error}"}
        latency_ms = (time.perf_counter() - due_s) * 1e3
        self.answers.append(Answer(status, content, due_s, latency_ms, (sent_s - due_s) * 1e3))

    async def _exchange(self, body: bytes) -> tuple[int, dict[str, Any]]:
        connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = connection
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = json.loads(await reader.readexactly(int(headers["content-length"])))
        self._idle.append(connection)
        return int(status_line.split()[1]), content
