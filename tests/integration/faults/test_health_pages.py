"""The health pages of a process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from resources.health_pages import serve_health


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Return status and content of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_process_lives_before_it_is_ready() -> None:
    problems, asked = ["it waits"], []

    def why() -> list[str]:
        asked.append(1)
        return problems

    with serve_health("127.0.0.1", 0, lambda: {"daemon": "waiting"}, why) as port:
        assert ask(port, "/healthz") == (200, {"status": "alive", "daemon": "waiting"})
        assert asked == [], "whether it lives does not depend on a database"
        assert ask(port, "/readyz") == (503, {"ready": False, "problems": ["it waits"], "daemon": "waiting"})
        problems.clear()
        assert ask(port, "/readyz")[0] == 200
        assert ask(port, "/other")[0] == 404
