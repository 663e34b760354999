"""The models that answer right now, and how they follow the deployment pointers.

Belongs here: loading beside, proving, swapping a reference, and remembering what could not be loaded. Does not
belong here: HTTP (app) or moving pointers (updater).

A request takes its model once and keeps it to the end; a swap replaces the reference for those that come after.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

from mlops_assets.domain.deployment.package import PackedModel
from mlops_assets.domain.deployment.releases import load_release
from mlops_assets.domain.deployment_ports import DeploymentStore, Release
from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.ports import ModelSlot, PromotionLedger

RETRY_AFTER_S = 5.0
# Anything that reading a damaged file may raise; a defect of ours must surface, but not end the service.
_LOAD_ERRORS = (PlatformError, OSError, ValueError, LookupError, TypeError, MemoryError)


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A proven model that answers for its slot."""

    packed: PackedModel
    release: Release
    since_utc: dt.datetime


class LiveModels:
    """Models by slot; `refresh` from one thread at a time, `find` from any.

    Args:
        store: holds pointers and packages.
        ledger: proves what pointers name.
        slots: known by configuration, whether deployed or not.
        retry_after_s: after this many seconds a release that could not be loaded is tried again.
        clock_s: monotonic seconds.
    """

    def __init__(
        self,
        store: DeploymentStore,
        ledger: PromotionLedger,
        slots: Iterable[ModelSlot] = (),
        *,
        retry_after_s: float = RETRY_AFTER_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._ledger = store, ledger
        self._configured = frozenset(slots)
        self._retry_after_s, self._clock_s = retry_after_s, clock_s
        self._live: Mapping[ModelSlot, LiveModel] = {}
        self._problems: Mapping[ModelSlot, str] = {}
        self._store_problem = "the pointers have not been read yet"
        self._marks: dict[ModelSlot, str] = {}
        self._retry_at_s: dict[ModelSlot, float] = {}
        self._refreshing = Lock()

    @property
    def live(self) -> Mapping[ModelSlot, LiveModel]:
        """What answers, by slot; the mapping is replaced, never changed."""
        return self._live

    @property
    def problems(self) -> list[str]:
        """What keeps the service from serving exactly what the pointers name; empty if nothing does."""
        store = [self._store_problem] if self._store_problem else []
        return [*store, *(f"{slot.registered_name}: {text}" for slot, text in self._problems.items())]

    def knows(self, slot: ModelSlot) -> bool:
        """Tell whether a slot is configured or has a pointer."""
        return slot in self._configured or slot in self._marks or slot in self._live

    def find(self, slot: ModelSlot) -> LiveModel | None:
        """Return the model that answers for a slot, or None."""
        return self._live.get(slot)

    def refresh(self) -> None:
        """Load what the pointers name by now; what cannot be loaded leaves the old model in place."""
        with self._refreshing:
            try:
                marks = dict(self._store.marks())
            except _LOAD_ERRORS as error:
                self._store_problem = f"the pointers cannot be read: {error}"
                return
            self._store_problem = ""
            for slot in sorted({*marks, *self._marks}, key=lambda slot: slot.registered_name):
                if marks.get(slot) != self._marks.get(slot) or self._is_retry_due(slot):
                    self._reload(slot)
            self._marks = marks

    def _is_retry_due(self, slot: ModelSlot) -> bool:
        return slot in self._retry_at_s and self._clock_s() >= self._retry_at_s[slot]

    def _reload(self, slot: ModelSlot) -> None:
        try:
            self._load(slot)
        except _LOAD_ERRORS as error:
            self._problems = {**self._problems, slot: f"{error}{self._what_answers(slot)}"}
            self._retry_at_s[slot] = self._clock_s() + self._retry_after_s
        else:
            self._problems = {known: text for known, text in self._problems.items() if known != slot}
            self._retry_at_s.pop(slot, None)

    def _load(self, slot: ModelSlot) -> None:
        pointer = self._store.pointer(slot)
        if pointer is None:
            raise LookupError("the pointer is gone")
        current = self._live.get(slot)
        if pointer.serving is None:
            self._live = {known: model for known, model in self._live.items() if known != slot}
        elif current is None or current.release != pointer.serving:
            packed = load_release(self._store, self._ledger, slot, pointer.serving)
            live = LiveModel(packed, pointer.serving, dt.datetime.now(dt.UTC))
            self._live = {**self._live, slot: live}

    def _what_answers(self, slot: ModelSlot) -> str:
        current = self._live.get(slot)
        return f"; version {current.release.version} goes on answering" if current else ""
