"""From a frozen corpus to a registered challenger.

Belongs here: the order of leaderboard, tracking, bundling and registering. Does not belong here: fitting
(leaderboard), the decision (promotion) or Dagster.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import save_bundle
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.exposure import exposure_of, join_exposures
from mlops_assets.domain.learning.lake_tables import challenger_table
from mlops_assets.domain.learning.leaderboard import Entry, Leaderboard, run_leaderboard
from mlops_assets.domain.learning.spec import EventLabel, ModelSpec
from mlops_assets.domain.learning.training_ranges import measure_ranges
from mlops_assets.domain.learning.warm_start import STAMP, WarmStart
from mlops_assets.domain.ports import Lake, Manifest, ModelRegistry, ModelSlot, PartitionId

BUNDLE_FOLDER = "bundle"
TRAINING_VERSION = "2"


@dataclass(frozen=True)
class Challenger:
    """A registered challenger, as it is noted in the lake.

    `leaderboard` has one row per algorithm, best first; `corpus_sha256` is the content hash of the corpus.
    """

    slot: ModelSlot
    version: str
    bundle_sha256: str
    run_id: str
    algorithm: str
    reason: str
    corpus_sha256: str
    as_of_day: dt.date | None
    leaderboard: tuple[Mapping[str, Any], ...]
    importances: Mapping[str, float]
    stamps: Mapping[str, Any]


def challenger_partition(slot: ModelSlot) -> PartitionId:
    """Return the lake partition in which the newest challenger of a slot is noted."""
    return PartitionId(challenger_table(slot.use_case, slot.model), slot.segment)


def train_challenger(
    request: CorpusRequest,
    *,
    lake: Lake,
    registry: ModelRegistry,
    stamps: Mapping[str, Any],
    threads: int = 1,
    warm: WarmStart | None = None,
) -> Challenger:
    """Fit the configured algorithms on the slot's corpus, register the best, note it in the lake.

    Args:
        request: use case, model, segment and their specifications.
        lake: holds the corpus, receives the challenger's note.
        registry: tracks one run per algorithm under one parent, and keeps the bundle.
        stamps: where the code comes from (run id, commit, configuration and lock hashes), JSON values.
        threads: most threads a fit uses.
        warm: the champion as one more candidate, continued; None for none.

    Raises:
        CorpusError: there is no corpus; build it first.
        LearningError: every algorithm failed.
    """
    slot, spec = slot_of(request), request.model
    corpus = require_corpus(lake, request)
    parts = load_corpus(request.partition, lake, request.corpus, spec)
    stamps = {**stamps, **_corpus_stamps(slot, corpus), **({STAMP: warm.to_stamp()} if warm else {})}
    tags = {name: str(value) for name, value in stamps.items()}
    with registry.run(slot.use_case, f"{slot.model} {slot.segment}", tags) as parent:
        board = run_leaderboard(spec, parts["train"], parts["validation"], threads=threads, warm=warm)
        for entry in board.entries:
            _track_entry(registry, slot, entry, tags, parent.run_id)
        version, bundle_sha256 = _register(board, slot, parts, corpus, stamps, registry, parent, warm)
    challenger = Challenger(
        slot=slot,
        version=version,
        bundle_sha256=bundle_sha256,
        run_id=parent.run_id,
        algorithm=board.best.algorithm,
        reason=board.reason,
        corpus_sha256=str(corpus.facts["content_sha256"]),
        as_of_day=newest_day(corpus, spec),
        leaderboard=tuple(_row(entry, board) for entry in board.entries),
        importances=board.best.model.feature_importances() if board.best.model else {},
        stamps=stamps,
    )
    note_challenger(lake, challenger)
    return challenger


def slot_of(request: CorpusRequest) -> ModelSlot:
    """Return the slot that a corpus is for."""
    return ModelSlot(request.use_case, request.model_name, request.segment)


def require_corpus(lake: Lake, request: CorpusRequest) -> Manifest:
    """Return the manifest of a corpus; CorpusError if it has not been built."""
    manifest = lake.manifest(request.partition)
    if manifest is None:
        raise CorpusError(
            "there is no training corpus", where=str(request.partition), remedy="build the corpus first"
        )
    return manifest


def newest_day(corpus: Manifest, spec: ModelSpec) -> dt.date | None:
    """Return the last day whose data are in a corpus, labels included; None for snapshots."""
    days = corpus.facts["parts"]["holdout"]["as_of_days"]
    if not days or not isinstance(spec.label, EventLabel):
        return None
    return dt.date.fromisoformat(max(days)) + dt.timedelta(days=spec.label.horizon_days)


def _corpus_stamps(slot: ModelSlot, corpus: Manifest) -> dict[str, Any]:
    return {
        "use_case": slot.use_case,
        "model": slot.model,
        "segment": slot.segment,
        "corpus_sha256": corpus.facts["content_sha256"],
        "feed_versions_sha256": stable_hash(dict(corpus.inputs)),
    }


def _track_entry(
    registry: ModelRegistry, slot: ModelSlot, entry: Entry, tags: Mapping[str, str], parent_run_id: str
) -> None:
    state = {"state": "failed", "error": entry.error[:400]} if entry.error else {"state": "fitted"}
    with registry.run(
        slot.use_case, f"{slot.model} {slot.segment} {entry.label}", {**tags, **state}, parent_run_id
    ) as run:
        run.params({"algorithm": entry.algorithm, **entry.hyperparameters})
        run.metrics(
            {f"validation_{name}": value for name, value in entry.metrics.items()}
            | {"cpu_seconds": entry.cpu_seconds}
        )


def _register(  # noqa: PLR0917 - private, one caller
    board: Leaderboard,
    slot: ModelSlot,
    parts: Mapping[str, Dataset],
    corpus: Manifest,
    stamps: Mapping[str, Any],
    registry: ModelRegistry,
    run: Any,
    warm: WarmStart | None,
) -> tuple[str, str]:
    through = _day(corpus.facts.get("trained_through_day"))
    exposure = exposure_of(through, parts["train"], parts["validation"])
    if warm is not None and board.best.is_continued:
        exposure = join_exposures(exposure, warm.base.exposure)
    challenger = board.challenger(exposure, stamps)
    scorer = replace(challenger, ranges=measure_ranges(parts["train"]))
    with tempfile.TemporaryDirectory(prefix="mlops-bundle-") as folder:
        bundle = Path(folder) / BUNDLE_FOLDER
        sha256 = save_bundle(bundle, scorer)
        run.folder(bundle, BUNDLE_FOLDER)
    run.params({"algorithm": board.best.algorithm, "reason": board.reason})
    run.metrics({f"validation_{name}": value for name, value in board.best.metrics.items()})
    tags = {name: str(value) for name, value in stamps.items()} | {"algorithm": board.best.algorithm}
    registered = registry.register(slot.registered_name, run.run_id, BUNDLE_FOLDER, sha256, tags)
    return registered.version, sha256


def _row(entry: Entry, board: Leaderboard) -> dict[str, Any]:
    return {
        "algorithm": entry.label,
        "chosen": entry is board.best,
        **{name: round(value, 6) for name, value in entry.metrics.items()},
        "standard_error": None if entry.error else round(entry.standard_error, 6),
        "cpu_seconds": round(entry.cpu_seconds, 2),
        "error": entry.error,
    }


def note_challenger(lake: Lake, challenger: Challenger) -> None:
    """Note the newest challenger of its slot in the lake; `read_challenger` reads it back."""
    facts = {
        "version": challenger.version,
        "bundle_sha256": challenger.bundle_sha256,
        "run_id": challenger.run_id,
        "algorithm": challenger.algorithm,
        "reason": challenger.reason,
        "corpus_sha256": challenger.corpus_sha256,
        "as_of_day": challenger.as_of_day.isoformat() if challenger.as_of_day else None,
        "leaderboard": [dict(row) for row in challenger.leaderboard],
        "importances": dict(challenger.importances),
        "stamps": dict(challenger.stamps),
    }
    with lake.write(challenger_partition(challenger.slot), stable_hash([facts, TRAINING_VERSION])) as writer:
        writer.commit(row_count=0, facts=facts)


def read_challenger(lake: Lake, slot: ModelSlot) -> Challenger:
    """Return the newest challenger of a slot.

    Raises:
        CorpusError: none has been trained.
    """
    manifest = lake.manifest(challenger_partition(slot))
    if manifest is None:
        raise CorpusError(
            "no challenger has been trained", where=slot.registered_name, remedy="materialise the model asset"
        )
    facts = dict(manifest.facts)
    facts["as_of_day"] = _day(facts["as_of_day"])
    facts["leaderboard"] = tuple(facts["leaderboard"])
    return Challenger(slot=slot, **facts)


def _day(value: Any) -> dt.date | None:
    return dt.date.fromisoformat(value) if isinstance(value, str) else None
