"""The scoring service over HTTP.

Belongs here: routes, status codes, limits, and the watcher that follows the pointers. Does not belong here: what an
answer says (answers) or which model answers (live_models).

    POST /v1/score/{use_case}/{model}/{segment}   200, 404 unknown, 413 too large, 422 refused, 503 nothing deployed
    GET  /v1/models                               what answers, and the features it asks for
    GET  /healthz                                 the process lives
    GET  /readyz                                  503 while a pointer names what could not be loaded
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from mlops_assets.domain.deployment.scoring_request import MOST_ROWS, RequestRefusedError
from mlops_assets.domain.deployment_ports import DeploymentStore
from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import ModelSlot, PromotionLedger
from mlops_assets.serving.answers import (
    Json,
    describe_absence,
    describe_models,
    describe_refusal,
    describe_release,
    describe_unknown,
    score_request,
)
from mlops_assets.serving.live_models import LiveModel, LiveModels

VERSION_HEADER = "x-model-version"


class ServiceLimits(Record):
    """What the service takes.

    Attributes:
        most_rows: rows of a request.
        most_bytes: bytes of a request's body.
        few_bytes: a body up to this size is scored at once if no other waits, which saves two changes of thread.
        most_waiting: requests that wait for their scores; further ones are told to come back.
        poll_every_s: seconds between two looks at the pointers.
    """

    most_rows: int = MOST_ROWS
    most_bytes: int = 4 * 1024 * 1024
    few_bytes: int = 8 * 1024
    most_waiting: int = 256
    poll_every_s: float = 0.5


class ScoringService:
    """The state behind the routes: models, one scoring thread, the watcher.

    One request is scored at a time, whatever the models' libraries share: a small one here while the scoring thread
    rests, any other one there.
    """

    def __init__(self, models: LiveModels, limits: ServiceLimits) -> None:
        self.models, self.limits = models, limits
        self._scoring = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._watcher: asyncio.Task[None] | None = None
        self._waiting = 0

    async def start(self) -> None:
        """Load what is deployed, then follow the pointers."""
        await self._refresh()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop following, end the threads."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        self._scoring.shutdown()
        self._loading.shutdown()

    def problems(self) -> list[str]:
        """Return why the service is not ready; empty if it is."""
        if self._watcher is None or self._watcher.done():
            return ["the pointers are not followed: start the service again", *self.models.problems]
        return self.models.problems

    async def score(self, slot: ModelSlot, request: Request) -> JSONResponse:
        """Answer a scoring request."""
        live = self.models.find(slot)
        if live is None:
            if self.models.knows(slot):
                return JSONResponse(describe_absence(slot), 503)
            return JSONResponse(describe_unknown(self.models), 404)
        content = await _read_body(request, self.limits.most_bytes)
        if content is None:
            limit = f"at most {self.limits.most_bytes:,} bytes"
            return _answer(live, 413, {"error": "the body is too large", "expected": limit})
        if self._waiting >= self.limits.most_waiting:
            return _answer(live, 503, {"error": "too many requests wait", "remedy": "try again in a second"})
        if self._waiting == 0 and len(content) <= self.limits.few_bytes:
            return self._score(live, content)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._scoring, self._score, live, content)
        finally:
            self._waiting -= 1

    def _score(self, live: LiveModel, content: bytes) -> JSONResponse:
        try:
            answer = score_request(live, content, self.limits.most_rows)
        except RequestRefusedError as error:
            return _answer(live, 422, describe_refusal(live, error))
        except LearningError as error:
            return _answer(live, 500, {"error": error.what, "remedy": error.remedy})
        return _answer(live, 200, answer)

    async def _refresh(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._loading, self.models.refresh)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.limits.poll_every_s)
            await self._refresh()


def build_app(
    store: DeploymentStore,
    ledger: PromotionLedger,
    *,
    slots: Iterable[ModelSlot] = (),
    limits: ServiceLimits | None = None,
) -> FastAPI:
    """Return the service over a deployment store.

    Args:
        store: holds pointers and packages.
        ledger: proves what pointers name; a release that it does not hold is not served.
        slots: known by configuration; without a model they answer 503 instead of 404.
        limits: default: those of ServiceLimits.
    """
    service = ScoringService(LiveModels(store, ledger, slots), limits or ServiceLimits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    # No pages of its own: they would load scripts from elsewhere.
    app = FastAPI(title="mlops-assets scoring", lifespan=lifespan, openapi_url=None, redirect_slashes=False)

    @app.post("/v1/score/{use_case}/{model}/{segment}")
    async def score(use_case: str, model: str, segment: str, request: Request) -> JSONResponse:
        return await service.score(ModelSlot(use_case, model, segment), request)

    @app.get("/v1/models")
    async def list_models() -> JSONResponse:
        return JSONResponse(describe_models(service.models))

    @app.get("/healthz")
    async def tell_health() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def tell_readiness() -> JSONResponse:
        problems = service.problems()
        answering = [describe_release(live) for live in service.models.live.values()]
        state = {"ready": not problems, "problems": problems, "answering": answering}
        return JSONResponse(state, 503 if problems else 200)

    return app


async def _read_body(request: Request, most_bytes: int) -> bytes | None:
    """Return the body, None if it is larger than allowed; no more than that is ever held."""
    content = bytearray()
    with suppress(ClientDisconnect):  # nobody reads the answer to the half that came
        async for chunk in request.stream():
            content += chunk
            if len(content) > most_bytes:
                return None
    return bytes(content)


def _answer(live: LiveModel, status: int, content: Json) -> JSONResponse:
    headers = {VERSION_HEADER: live.release.version}
    return JSONResponse({**describe_release(live), **content}, status, headers)
