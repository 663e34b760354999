"""serving_latency: the time of one scoring over HTTP, beside calling the scorer directly in process.

Belongs here: an open loop of 50 requests a second against `mlops serve`, one row a request.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.http_load import Answer, Load
from benchmarks.measuring import BenchmarkFailedError, Goal, Line
from benchmarks.operator_data import work_folder
from benchmarks.serving_world import PATH, ServingWorld
from mlops_assets.domain.deployment.scoring_request import read_rows
from mlops_assets.domain.learning.bundle import Scorer

NAME = "serving_latency"
REQUESTS_PER_S = 50
WARM_REQUESTS = 100
GOAL_MS = 25.0


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the 99th percentile of the latency."""
    started, home = time.perf_counter(), work_folder() / "serving"
    shutil.rmtree(home, ignore_errors=True)
    world, seconds = ServingWorld(home, 2_000 if quick else 20_000), 5 if quick else 30
    scorer = world.train(1)
    world.promote(*world.register(scorer))
    bodies = world.bodies(500)
    with world.served() as port:
        asyncio.run(Load(port, PATH, bodies).run(REQUESTS_PER_S, WARM_REQUESTS / REQUESTS_PER_S))
        answers = asyncio.run(Load(port, PATH, bodies).run(REQUESTS_PER_S, seconds))
    _require_scores(answers, scorer, bodies)
    latencies = [answer.latency_ms for answer in answers]
    direct = _time_direct_calls(scorer, bodies, len(answers))
    shutil.rmtree(home)
    yield Line(
        NAME,
        float(np.quantile(latencies, 0.99)),
        "ms",
        Goal("value", GOAL_MS),
        {"requests": len(answers), "requests_per_s": REQUESTS_PER_S, "features": len(world.features)},
        time.perf_counter() - started,
        part="p99",
        peer="the scorer called directly in process",
        peer_value=float(np.quantile(direct, 0.99)),
        is_quick=quick,
        facts={
            "p50_ms": float(np.median(latencies)),
            "max_ms": max(latencies),
            "load_late_p99_ms": float(np.quantile([answer.late_ms for answer in answers], 0.99)),
            "direct_p50_ms": float(np.median(direct)),
        },
    )


def _require_scores(answers: Sequence[Answer], scorer: Scorer, bodies: Sequence[bytes]) -> None:
    """Refuse to report a time if one answer is not the scorer's own."""
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        raise BenchmarkFailedError(f"{len(failed)} requests failed, such as {failed[0].content}")
    rows = [json.loads(body)["rows"][0] for body in bodies]
    expected = scorer.predict(read_rows(rows, scorer.signature, scorer.ranges).dataset)
    in_order = sorted(answers, key=lambda answer: answer.due_s)
    found = np.array([answer.content["scores"][0] for answer in in_order])
    wanted = np.resize(expected, len(found))
    if np.abs(found - wanted).max() > 1e-9:
        raise BenchmarkFailedError("the service's scores are not the scorer's")


def _time_direct_calls(scorer: Scorer, bodies: Sequence[bytes], count: int) -> list[float]:
    taken_ms = []
    for number in range(count):
        rows = json.loads(bodies[number % len(bodies)])["rows"]
        started = time.perf_counter()
        scorer.predict(read_rows(rows, scorer.signature, scorer.ranges).dataset)
        taken_ms.append((time.perf_counter() - started) * 1e3)
    return taken_ms
