"""A model version made again from its stamps, and how far both agree.

Belongs here: rebuilding corpus and model beside the published ones, and the comparison. Does not belong here:
printing it, or going back to another commit: what differs is said instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus import CorpusOutcome, CorpusRequest, build_corpus
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.leaderboard import run_leaderboard
from mlops_assets.domain.learning.promotion import add_features
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.learning.training import slot_of
from mlops_assets.domain.learning.warm_start import read_warm_start
from mlops_assets.domain.ports import (
    Lake,
    LedgerEntry,
    Manifest,
    ModelRegistry,
    PartitionId,
    PartitionWriter,
    PromotionLedger,
    TableEngine,
)

# Sums of floats may be taken in another order by another number of threads; a model that is another one differs more.
PREDICTION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Comparison:
    """One thing then and now. `name` is code, environment, configuration, feeds, corpus, algorithm or predictions."""

    name: str
    is_same: bool
    text: str


@dataclass(frozen=True)
class Reproduction:
    """What became of the attempt.

    Attributes:
        version: the registered version that was made again.
        comparisons: causes first (code, environment, configuration, feeds), then results.
        largest_difference: of the predictions on the holdout.
        holdout_rows: rows of it.
    """

    version: str
    comparisons: tuple[Comparison, ...]
    largest_difference: float
    holdout_rows: int

    @property
    def is_reproduced(self) -> bool:
        """Whether corpus and predictions agree."""
        results = [one for one in self.comparisons if one.name in {"corpus", "predictions"}]
        return all(one.is_same for one in results)

    def to_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "version": self.version,
            "is_reproduced": self.is_reproduced,
            "largest_difference": self.largest_difference,
            "holdout_rows": self.holdout_rows,
            **{one.name: {"is_same": one.is_same, "text": one.text} for one in self.comparisons},
        }


@dataclass(frozen=True)
class _BesideLake:
    """The lake with one partition of its own: what is published there is neither read nor replaced."""

    lake: Lake
    scratch: Lake
    own: PartitionId

    def _of(self, partition: PartitionId) -> Lake:
        return self.scratch if partition == self.own else self.lake

    @property
    def questions_at_once(self) -> int:
        return self.lake.questions_at_once

    def manifest(self, partition: PartitionId) -> Manifest | None:
        return self._of(partition).manifest(partition)

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        return self._of(partition).path(partition, role)

    def write(self, partition: PartitionId, build_key: str) -> AbstractContextManager[PartitionWriter]:
        return self.scratch.write(partition, build_key)

    def days(self, table: str, segment: str) -> list[dt.date]:
        return self.lake.days(table, segment)

    def remove(self, partition: PartitionId) -> None:
        self.scratch.remove(partition)


@dataclass(frozen=True)
class Workshop:
    """Where a version is made again: `scratch` receives the corpus, so that the published one in `lake` stays."""

    lake: Lake
    scratch: Lake
    engine: TableEngine
    registry: ModelRegistry
    ledger: PromotionLedger


def reproduce_version(
    request: CorpusRequest,
    version: str,
    workshop: Workshop,
    *,
    known: Container[str],
    code: Mapping[str, Any],
    threads: int = 1,
) -> Reproduction:
    """Build the version's corpus and train again with the present code and configuration, and compare.

    Args:
        request: slot and specifications of now; the features are those of the version.
        version: registry version; the ledger must hold the gate's decision on it, which names its data's last day.
        workshop: where everything is.
        known: columns that the corpus table has now.
        code: git_commit, is_git_dirty and environment_lock_sha256 of now.
        threads: most threads a fit uses.

    Raises:
        RegistryError: the version is unknown, or was never judged.
        ModelIntegrityError: its bundle is not what was judged.
        CorpusError: the days that it was made of are not there any more.
        LearningError: every algorithm failed.
    """
    slot = slot_of(request)
    history = workshop.ledger.history(slot)
    judged = _judgement(history, slot.registered_name, version)
    original = load_version(workshop.registry, slot, version, judged.bundle_sha256)
    wanted = request.model.model_copy(update={"features": list(original.features)})
    # The corpus also held what the champion of that time needed.
    full = replace(request, model=wanted)
    before = next((entry for entry in history if entry.version == judged.previous_version), None)
    if before is not None:
        champion = load_version(workshop.registry, slot, before.version, before.bundle_sha256)
        full = add_features(full, champion, known)
    corpus, parts = _rebuild(full, wanted, judged, workshop)
    warm = read_warm_start(original.stamps, slot, workshop.registry)
    board = run_leaderboard(wanted, parts["train"], parts["validation"], threads=threads, warm=warm)
    again, holdout = board.challenger(original.exposure, {}), parts["holdout"]
    difference = float(np.abs(original.predict(holdout, threads) - again.predict(holdout, threads)).max())
    now = {
        **code,
        "config_sha256": stable_hash([request.corpus, request.model]),
        "feed_versions_sha256": stable_hash(dict(corpus.manifest.inputs)),
        "corpus_sha256": corpus.content_sha256,
    }
    comparisons = (*_compare_stamps(original.stamps, now), *_compare_models(original, again, difference))
    return Reproduction(version, comparisons, difference, holdout.rows)


def _rebuild(
    full: CorpusRequest, wanted: ModelSpec, judged: LedgerEntry, workshop: Workshop
) -> tuple[CorpusOutcome, dict[str, Dataset]]:
    """Build the corpus beside the published one; return it and its parts with the wanted features."""
    lake = _BesideLake(workshop.lake, workshop.scratch, full.partition)
    first_day = min(lake.days(full.corpus.table, full.segment), default=None)
    outcome = build_corpus(
        full, as_of_day=judged.as_of_day, first_day=first_day, lake=lake, engine=workshop.engine
    )
    return outcome, load_corpus(full.partition, lake, full.corpus, wanted)


def _judgement(history: list[LedgerEntry], name: str, version: str) -> LedgerEntry:
    for entry in history:
        if entry.version == version and entry.decided_by == GATE:
            return entry
    raise RegistryError(
        f"the ledger holds no decision of the gate on version {version}",
        where=name,
        expected="a version that was judged",
        remedy="`mlops history` shows the versions",
    )


_STAMPS = {
    "git_commit": ("code", "commit"),
    "environment_lock_sha256": ("environment", "lock of all packages"),
    "config_sha256": ("configuration", "corpus and model settings"),
    "feed_versions_sha256": ("feeds", "feature and label tables"),
    "corpus_sha256": ("corpus", "content"),
}


def _compare_stamps(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Comparison]:
    comparisons = []
    for stamp, (name, meaning) in _STAMPS.items():
        old, new = str(then.get(stamp, "unknown")), str(now.get(stamp, "unknown"))
        is_same = old == new and old != "unknown"
        text = f"{meaning}: {old[:12]}" if is_same else f"{meaning} changed: then {old[:12]}, now {new[:12]}"
        if name == "code" and (then.get("is_git_dirty") or now.get("is_git_dirty")):
            is_same, text = False, f"{text}; with changes that are not committed"
        comparisons.append(Comparison(name, is_same, text))
    return comparisons


def _compare_models(original: Scorer, again: Scorer, difference: float) -> list[Comparison]:
    is_same = original.algorithm == again.algorithm
    text = original.algorithm if is_same else f"then {original.algorithm}, now {again.algorithm}"
    return [
        Comparison("algorithm", is_same, text),
        Comparison(
            "predictions",
            difference <= PREDICTION_TOLERANCE,
            f"largest difference on the holdout {difference:.3g}, {PREDICTION_TOLERANCE:g} tolerated",
        ),
    ]
