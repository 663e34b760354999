"""hot_swap: requests that fail while the champion changes again and again.

Belongs here: load on `mlops serve` while ledger and updater move the pointer, and what the answers say.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.http_load import Answer, Load
from benchmarks.measuring import BenchmarkFailedError, Goal, Line
from benchmarks.operator_data import work_folder
from benchmarks.serving_world import PATH, ServingWorld

NAME = "hot_swap"
REQUESTS_PER_S = 50
VERSIONS = 3
SECONDS_PER_SWAP = 2.0
LEAST_SWAPS = 10


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the number of failed requests."""
    started, home = time.perf_counter(), work_folder() / "hot_swap"
    shutil.rmtree(home, ignore_errors=True)
    world, swaps = ServingWorld(home, 2_000 if quick else 20_000), LEAST_SWAPS if quick else 2 * LEAST_SWAPS
    bundles = dict(world.register(world.train(seed)) for seed in range(1, VERSIONS + 1))
    order = [str(number % VERSIONS + 1) for number in range(swaps + 1)]
    world.promote(order[0], bundles[order[0]])
    with world.served() as port:
        answers, moved_s = asyncio.run(_swap_under_load(world, port, bundles, order[1:]))
    shutil.rmtree(home)
    _require_deployed(answers, bundles)
    failed = [answer for answer in answers if answer.status != 200]
    yield Line(
        NAME,
        float(len(failed)),
        "failed requests",
        Goal("value", 0.0),
        {"requests": len(answers), "requests_per_s": REQUESTS_PER_S, "swaps": swaps},
        time.perf_counter() - started,
        is_quick=quick,
        facts={
            "versions_that_answered": len({a.content["model_version"] for a in answers if a.status == 200}),
            "changes_seen": _count_changes(answers),
            "slowest_update_s": max(moved_s),
            "max_ms": max(answer.latency_ms for answer in answers),
            "first_failure": json.dumps(failed[0].content) if failed else "none",
        },
    )
    if _count_changes(answers) < LEAST_SWAPS:
        raise BenchmarkFailedError(f"the answers changed version {_count_changes(answers)} times only")


async def _swap_under_load(
    world: ServingWorld, port: int, bundles: Mapping[str, str], order: Sequence[str]
) -> tuple[list[Answer], list[float]]:
    load = Load(port, PATH, world.bodies(200))
    seconds = SECONDS_PER_SWAP * (len(order) + 1)
    sending = asyncio.create_task(load.run(REQUESTS_PER_S, seconds))
    moved_s, begun_s = [], time.perf_counter()
    for number, version in enumerate(order, start=1):
        await asyncio.sleep(max(0.0, begun_s + number * SECONDS_PER_SWAP - time.perf_counter()))
        started = time.perf_counter()
        await asyncio.to_thread(world.promote, version, bundles[version])
        moved_s.append(time.perf_counter() - started)
    return await sending, moved_s


def _require_deployed(answers: Sequence[Answer], bundles: Mapping[str, str]) -> None:
    """Refuse any answer by a model that was never deployed."""
    for answer in answers:
        version, bundle_sha256 = (answer.content.get(name) for name in ("model_version", "bundle_sha256"))
        if answer.status == 200 and bundles.get(str(version)) != bundle_sha256:
            raise BenchmarkFailedError(f"version {version} answered, which was never deployed")


def _count_changes(answers: Sequence[Answer]) -> int:
    in_order = sorted(answers, key=lambda answer: answer.due_s)
    versions = [answer.content.get("model_version") for answer in in_order]
    return sum(one != other for one, other in itertools.pairwise(versions))
