"""Train a fleet: every group of a segment from one corpus, tracked, registered, judged and noted.

Belongs here: the order of these, and their batches. Does not belong here: a single group (fleet_fit), decisions
(fleet_promotion) or the note's columns (fleet_note).

The pooled model is an ordinary model of the segment (training, promotion); the fleet comes after it and is compared
with its champion.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import CorpusError, RegistryError
from mlops_assets.domain.learning.aliases import project_aliases
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import current_champion, load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.fleet_blend import PooledVersion
from mlops_assets.domain.learning.fleet_fit import (
    EntryFigures,
    FleetSite,
    GroupResult,
    GroupTask,
    group_stamps,
)
from mlops_assets.domain.learning.fleet_groups import cut_groups
from mlops_assets.domain.learning.fleet_note import FleetNote, note_fleet
from mlops_assets.domain.learning.fleet_promotion import (
    FleetRules,
    GroupDecision,
    decide_groups,
)
from mlops_assets.domain.learning.fleet_scoring import UNLOADABLE
from mlops_assets.domain.learning.fleet_workers import fit_groups
from mlops_assets.domain.learning.slots import group_segment, group_slot
from mlops_assets.domain.learning.training import (
    BUNDLE_FOLDER,
    Challenger,
    newest_day,
    require_corpus,
    slot_of,
)
from mlops_assets.domain.ports import (
    FinishedRun,
    Lake,
    LedgerEntry,
    Manifest,
    ModelRegistry,
    ModelSlot,
    PromotionLedger,
)

FLEET_VERSION = "1"


@dataclass(frozen=True)
class FleetStores:
    """The stores that a training works with."""

    lake: Lake
    registry: ModelRegistry
    ledger: PromotionLedger


@dataclass(frozen=True)
class FleetTraining:
    """A finished training of a fleet: every group's decision, the run that holds all of them, the note's manifest."""

    slot: ModelSlot
    run_id: str
    decisions: tuple[GroupDecision, ...]
    manifest: Manifest


def train_fleet(
    request: CorpusRequest,
    stores: FleetStores,
    rules: FleetRules,
    *,
    stamps: Mapping[str, Any],
    processes: int = 1,
) -> FleetTraining:
    """Fit every group of the segment, judge it against the pooled champion, record and note what came out.

    Args:
        request: use case, model, segment; the corpus is built and the pooled model judged.
        stores: lake, registry and ledger.
        rules: of the decisions.
        stamps: origin, JSON values.
        processes: how many groups are fitted at once, one thread each.

    Raises:
        CorpusError: there is no corpus, or the group column is unusable.
        LearningError: a worker process died. What goes wrong with one group is that group's outcome.
    """
    slot = slot_of(request)
    corpus = require_corpus(stores.lake, request)
    histories = stores.ledger.histories(slot.use_case, slot.model)
    pooled = current_champion(histories.get(slot.segment, ()))
    stamps = {
        **stamps,
        "use_case": slot.use_case,
        "model": slot.model,
        "segment": slot.segment,
        "corpus_sha256": corpus.facts["content_sha256"],
    }
    with tempfile.TemporaryDirectory(prefix="mlops-fleet-") as folder:
        site = _prepare(request, corpus, pooled, histories, stores.registry, stamps, Path(folder))
        parts = _load_parts(request, stores.lake, site)
        training = _Training(request, slot, corpus, stores, site, histories)
        tags = {name: str(value) for name, value in stamps.items()}
        with stores.registry.run(slot.use_case, f"{slot.model} {slot.segment} fleet", tags) as parent:
            results, challengers = training.fit(parts, processes, parent.run_id)
            decisions = decide_groups(results, challengers, histories, rules, stores.ledger)
            parent.metrics(_count_outcomes(decisions))
    for decision in decisions:
        if decision.entry is not None:
            project_aliases(stores.registry, stores.ledger, decision.entry.slot)
    note = FleetNote(slot, parent.run_id, site.champion, newest_day(corpus, request.model), tuple(decisions))
    return FleetTraining(slot, parent.run_id, tuple(decisions), note_fleet(stores.lake, note, request.model))


def _prepare(  # noqa: PLR0917 - private, one caller
    request: CorpusRequest,
    corpus: Manifest,
    pooled: LedgerEntry | None,
    histories: Mapping[str, Sequence[LedgerEntry]],
    registry: ModelRegistry,
    stamps: Mapping[str, Any],
    folder: Path,
) -> FleetSite:
    """Load the pooled champion and every pooled version that a group's champion was judged with."""
    slot, prefix = slot_of(request), f"{request.segment}."
    needed = {pooled.bundle_sha256: pooled.version} if pooled else {}
    for segment, history in histories.items():
        champion = current_champion(history) if segment.startswith(prefix) else None
        note = champion.evidence.get("pooled", {}) if champion else {}
        if note.get("bundle_sha256"):
            needed[note["bundle_sha256"]] = note["version"]
    through = corpus.facts.get("trained_through_day")
    return FleetSite(
        spec=request.model,
        pooled=dict(_load_pooled(slot, needed, pooled, registry)),
        champion=PooledVersion(pooled.version, pooled.bundle_sha256) if pooled else None,
        trained_through_day=dt.date.fromisoformat(through) if through else None,
        stamps=stamps,
        folder=folder,
    )


def _load_pooled(
    slot: ModelSlot, needed: Mapping[str, str], champion: LedgerEntry | None, registry: ModelRegistry
) -> Iterator[tuple[str, Scorer]]:
    """Yield pooled versions by bundle hash; without an earlier one, only the groups that name it cannot be judged."""
    for sha256, version in needed.items():
        try:
            yield sha256, load_version(registry, slot, version, sha256)
        except UNLOADABLE:
            if champion is not None and sha256 == champion.bundle_sha256:
                raise


def _load_parts(request: CorpusRequest, lake: Lake, site: FleetSite) -> dict[str, Dataset]:
    """Read the corpus with every feature that a compared model asks for, as far as it holds them.

    Of a group's champion, that is what the pooled version it was judged with asks for: its bundle is not open yet.
    """
    spec = request.model
    features = dict.fromkeys(
        [*spec.features, *(name for one in site.pooled.values() for name in one.features)]
    )
    reading = spec.model_copy(update={"features": list(features)})
    return load_corpus(request.partition, lake, request.corpus, reading)


@dataclass(frozen=True, eq=False)
class _Training:
    """Where the waves of one training go."""

    request: CorpusRequest
    slot: ModelSlot
    corpus: Manifest
    stores: FleetStores
    site: FleetSite
    histories: Mapping[str, Sequence[LedgerEntry]]

    def fit(
        self, parts: Mapping[str, Dataset], processes: int, parent_run_id: str
    ) -> tuple[list[GroupResult], dict[str, Challenger]]:
        """Return every group's result, and the registered challengers by segment."""
        results: list[GroupResult] = []
        challengers: dict[str, Challenger] = {}
        for wave in fit_groups(self.site, self._tasks(parts), processes):
            run_ids = self._track(wave, parent_run_id)
            for result in wave:
                if result.obstacle is None:
                    challengers[result.segment] = self._register(result, run_ids[result.segment])
            results += wave
        if not results:
            raise CorpusError(
                "the fleet has no group",
                where=str(self.request.partition),
                expected=f"rows with a value of {self.site.fleet.group_column}",
                remedy="check the column, or remove `fleet`",
            )
        return results, challengers

    def _tasks(self, parts: Mapping[str, Dataset]) -> Iterator[GroupTask]:
        for rows in cut_groups(parts, self.site.fleet):
            segment = group_segment(self.slot.segment, rows.name)
            champion = current_champion(self.histories.get(segment, ()))
            bundle, fault = None, ""
            try:
                bundle = self._fetch(champion) if champion else None
            except RegistryError as error:  # of this group only; the others go on
                fault = f"{type(error).__name__}: {error}"
            yield GroupTask(rows, segment, bundle, fault)

    def _fetch(self, champion: LedgerEntry) -> tuple[Path, str]:
        """Copy a champion's bundle beside the new ones; whoever loads it verifies it."""
        version = self.stores.registry.version(champion.slot.registered_name, champion.version)
        target = self.site.folder / f"{champion.slot.segment}.champion"
        return self.stores.registry.download(version, target), champion.bundle_sha256

    def _track(self, wave: Sequence[GroupResult], parent_run_id: str) -> dict[str, str]:
        """Track a run per group and algorithm; return by segment the run that holds the group's bundle."""
        runs = [(result, entry) for result in wave for entry in result.entries]
        finished = [_finished_run(self.slot, result, entry) for result, entry in runs]
        ids = self.stores.registry.track_children(self.slot.use_case, parent_run_id, finished)
        return {
            result.segment: run_id
            for (result, entry), run_id in zip(runs, ids, strict=True)
            if entry.is_chosen
        }

    def _register(self, result: GroupResult, run_id: str) -> Challenger:
        slot = group_slot(self.slot, result.name)
        stamps = group_stamps(self.site, result.name, result.share)
        tags = {name: str(value) for name, value in stamps.items()} | {"algorithm": result.algorithm}
        registered = self.stores.registry.register(
            slot.registered_name, run_id, BUNDLE_FOLDER, result.bundle_sha256, tags
        )
        return Challenger(
            slot=slot,
            version=registered.version,
            bundle_sha256=result.bundle_sha256,
            run_id=run_id,
            algorithm=result.algorithm,
            reason=result.detail,
            corpus_sha256=str(self.corpus.facts["content_sha256"]),
            as_of_day=newest_day(self.corpus, self.request.model),
            leaderboard=(),
            importances=result.importances,
            stamps=stamps,
        )


def _finished_run(slot: ModelSlot, result: GroupResult, entry: EntryFigures) -> FinishedRun:
    is_chosen = entry.is_chosen and result.folder is not None
    metrics = {f"validation_{name}": value for name, value in entry.metrics.items()}
    tags = {"group": result.name, "state": "failed" if entry.error else "fitted"}
    if entry.error:
        tags["error"] = entry.error[:400]
    return FinishedRun(
        name=f"{slot.model} {result.segment} {entry.algorithm}",
        params={"algorithm": entry.algorithm, "group": result.name, **entry.hyperparameters},
        metrics=metrics | {"cpu_seconds": entry.cpu_seconds},
        tags=tags,
        is_failed=bool(entry.error),
        folder=result.folder if is_chosen else None,
        artifact_path=BUNDLE_FOLDER if is_chosen else "",
    )


def _count_outcomes(decisions: Sequence[GroupDecision]) -> dict[str, float]:
    outcomes = [decision.outcome for decision in decisions]
    counts = {f"groups_{outcome}": float(outcomes.count(outcome)) for outcome in sorted(set(outcomes))}
    return counts | {"groups": float(len(outcomes))}
