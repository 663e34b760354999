"""Hostile requests to the scoring service: answered in words, never with a trace, a value or an identifier.

Belongs here: families about HTTP. Does not belong here: stored models (attacks_on_models).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from mlops_assets.serving.app import ServiceLimits, build_app
from tests.integration.serving.http_server import serving
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import damaged, encodable_text, hostile_text, values
from tests.unit.domain.deployment.deployment_world import SLOT, DeploymentWorld
from tests.unit.domain.learning.samples import FEATURES, make_table

PERSON = "56912345678"
_SLOT_PATH = f"{SLOT.use_case}/{SLOT.model}/{SLOT.segment}"
_ROW = {name: value for name, value in make_table(1, seed=3).to_pylist()[0].items() if name in FEATURES}
_GOOD = json.dumps({"rows": [_ROW]}).encode()
_EXPECTED = {200, 404, 405, 413, 422, 503}
_LIMITS = ServiceLimits(most_rows=50, most_bytes=50_000, few_bytes=500)


def _encode(body: Any) -> bytes:
    return json.dumps(body, default=str).encode()


_cells = st.one_of(values, st.just(PERSON), st.just(int(PERSON)), st.just(f"{PERSON}@x"))
_rows = st.dictionaries(
    st.one_of(st.sampled_from(FEATURES), hostile_text, st.just(PERSON)), _cells, max_size=8
)
_full_rows = st.fixed_dictionaries({name: st.one_of(_cells, st.just(_ROW[name])) for name in FEATURES})
_bodies = st.one_of(
    damaged(_GOOD),
    st.lists(st.one_of(_full_rows, _full_rows, _rows), max_size=4).map(lambda rows: _encode({"rows": rows})),
    st.dictionaries(hostile_text, values, max_size=3).map(_encode),
    values.map(_encode),
    st.sampled_from(
        (b"[" * 20_000, b'{"rows": [' + b'{"a":' * 5000, b" " * 60_000,
         b'{"rows": [' + b"1," * 10_000, b'{"rows": [{"x": 1e999}]}',
         b'{"rows": [' + b"9" * 5000 + b"]}", _GOOD.decode().encode("utf-16"),
         b"\xef\xbb\xbf" + _GOOD, b"\0" * 100)
    ),
)  # fmt: skip
_paths = st.one_of(
    st.just(_SLOT_PATH), st.just(_SLOT_PATH), encodable_text, st.tuples(encodable_text, encodable_text).map("/".join),
    st.sampled_from((f"churn/{PERSON}/cl", f"{PERSON}/x/y", "../../healthz", "%2e%2e/%2e%2e/x")),
)  # fmt: skip
_requests = st.tuples(
    st.sampled_from(("POST", "POST", "POST", "GET", "PUT", "DELETE", "TRACE")), _paths, _bodies
)


@contextmanager
def _service(folder: Path) -> Iterator[Attack]:
    world = DeploymentWorld(folder)
    world.promote(1)
    world.update()
    app = build_app(world.store, world.ledger, slots=[SLOT], limits=_LIMITS)
    with serving(app) as port:

        def attack(request: tuple[str, str, bytes]) -> None:
            status, answer = _ask(port, *request)
            _require_plain(status, answer)
            if _ask(port, "POST", _SLOT_PATH, _GOOD)[0] != 200:
                raise EscapeError("the next request is not answered any more")

        yield attack


def _ask(port: int, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, f"/v1/score/{quote(path)}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (BrokenPipeError, ConnectionResetError):
        return 413, b"{}"  # the service has answered and closed while the body was on its way
    finally:
        connection.close()


def _require_plain(status: int, answer: bytes) -> None:
    if status not in _EXPECTED:
        raise EscapeError(f"status {status}: {answer[:200]!r}")
    content: Any = json.loads(answer)
    if not isinstance(content, dict):
        raise EscapeError("the answer is no object")
    if PERSON.encode() in answer:
        raise EscapeError("the answer repeats an identifier")
    if b"Traceback" in answer or b".py" in answer:
        raise EscapeError("the answer shows the code")
    if len(answer) > 40_000:
        raise EscapeError(f"the answer has {len(answer)} bytes")


SERVICE_FAMILIES = (Family("scoring_requests", _requests, _service),)
