"""Daily scores of a fleet: each row by its group's champion, or by the pooled one.

Belongs here: who scores which rows of a day, and publishing that with the alerts. Does not belong here: who is
champion (champions), what an alert is worth (alerts) or reasons for it (reports).

A group that is new, that has no model of its own, or whose model cannot be loaded is scored by the pooled champion;
the last case is named in the outcome. A device belongs to the group that it has on the day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.errors import LearningError, ModelIntegrityError, RegistryError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.alerts import rank_alerts
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version, newest_before
from mlops_assets.domain.learning.dataset import MISSING, Dataset, dataset_from_arrow
from mlops_assets.domain.learning.fleet_blend import GroupScorer, read_pooled
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.population import population_sql
from mlops_assets.domain.learning.scoring import VIEW, ScoreOutcome, prediction_columns
from mlops_assets.domain.learning.slots import group_segment
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec
from mlops_assets.domain.ports import (
    Lake,
    LedgerEntry,
    Manifest,
    ModelRegistry,
    ModelSlot,
    PartitionId,
    PromotionLedger,
    TableEngine,
    ViewSource,
)
from mlops_assets.domain.published import find_current

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

FLEET_SCORING_VERSION = "3"
UNLOADABLE = (ModelIntegrityError, RegistryError, LearningError)


@dataclass(frozen=True)
class FleetDay:
    """One segment's fleet on one day: slot of the pooled model, rows and model as configured."""

    slot: ModelSlot
    corpus: CorpusSpec
    spec: ModelSpec
    day: dt.date

    @property
    def group_column(self) -> str:
        """The column that names a row's group."""
        if self.spec.fleet is None:
            raise TypeError("a model with a fleet is expected")
        return self.spec.fleet.group_column

    @property
    def source(self) -> PartitionId:
        """The day's feature table."""
        return PartitionId(self.corpus.table, self.slot.segment, self.day)

    @property
    def target(self) -> PartitionId:
        """Where the scores go."""
        return PartitionId(scores_table(self.slot.use_case, self.slot.model), self.slot.segment, self.day)


@dataclass(frozen=True)
class FleetChampions:
    """Who serves on a day: the pooled champion, and group champions by segment of their slot."""

    pooled: LedgerEntry
    groups: Mapping[str, LedgerEntry]

    @property
    def identity(self) -> list[str]:
        """Hashes of everything that may score."""
        return [self.pooled.bundle_sha256, *sorted(entry.bundle_sha256 for entry in self.groups.values())]


def fleet_champions(
    histories: Mapping[str, Sequence[LedgerEntry]], segment: str, day: dt.date
) -> FleetChampions | None:
    """Return who serves a segment's fleet on a day, by the decisions of earlier days; None without a pooled one."""
    pooled = newest_before(histories.get(segment, ()), day)
    if pooled is None:
        return None
    own = {name: newest_before(history, day) for name, history in histories.items()}
    prefix = f"{segment}."
    groups = {name: entry for name, entry in own.items() if entry and name.startswith(prefix)}
    return FleetChampions(pooled, groups)


def score_fleet_day(
    fleet: FleetDay,
    *,
    lake: Lake,
    engine: TableEngine,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    threads: int = 1,
) -> ScoreOutcome:
    """Score every row of the day that the model is made for.

    Columns: entity key, group, `score` (or `score_<class>`), `pooled_score` (what the pooled champion says of the
    same row; one score a row only), `model_segment` and `model_version` of who scored; with `alerts`, `is_alert` and
    `alert_rank` (1 is the highest score; null for no alert).

    Raises:
        ModelIntegrityError: the pooled champion's files are not what was promoted; nothing is scored.
        LearningError: the table does not fit the pooled model, or a score is not finite.
    """
    champions = fleet_champions(
        ledger.histories(fleet.slot.use_case, fleet.slot.model), fleet.slot.segment, fleet.day
    )
    if champions is None:
        where = f"{fleet.slot.segment}: no champion before {fleet.day}"
        return ScoreOutcome(fleet.target, "no_champion", where)
    features = lake.manifest(fleet.source)
    if features is None:
        return ScoreOutcome(
            fleet.target, "missing_input", f"{fleet.source} is not built", champion=champions.pooled
        )
    identity = [features.build_key, champions.identity, fleet.corpus, fleet.spec.fleet, fleet.spec.alerts]
    build_key = stable_hash([*identity, FLEET_SCORING_VERSION])
    if current := find_current(lake, fleet.target, build_key):
        return ScoreOutcome(fleet.target, "reused", _describe(current), current, champions.pooled)
    models = _load_models(fleet, champions, registry)
    # A key of their own: once they can be loaded, the day is scored anew, and what is made of it.
    if models.failed:
        build_key = stable_hash([build_key, models.failed])
        if current := find_current(lake, fleet.target, build_key):
            return ScoreOutcome(fleet.target, "reused", _describe(current), current, champions.pooled)
    with lake.write(fleet.target, build_key) as writer:
        scored = _Scored.of(fleet, champions, models, engine, lake.path(fleet.source), threads)
        _write(scored, fleet, writer.file("data"))
        manifest = writer.commit(
            row_count=scored.rows.rows,
            inputs={str(fleet.source): features.build_key},
            facts=scored.facts(champions),
        )
    return ScoreOutcome(fleet.target, "scored", _describe(manifest), manifest, champions.pooled)


def _describe(manifest: Manifest) -> str:
    facts = manifest.facts
    text = f"version {facts['model_version']}, {facts['groups_with_own_model']} groups by their own model"
    return f"{text}; not loadable: {', '.join(facts['groups_failed'])}" if facts["groups_failed"] else text


@dataclass(frozen=True, eq=False)
class _Models:
    """The pooled champion, those of groups by segment, and the segments whose model cannot be loaded."""

    pooled: Scorer
    groups: Mapping[str, GroupScorer]
    failed: tuple[str, ...]

    @property
    def parts(self) -> list[Scorer]:
        """Every single model that is asked."""
        blended = [one for blend in self.groups.values() for one in (blend.own, blend.pooled) if one]
        return [self.pooled, *blended]


@dataclass(frozen=True, eq=False)
class _Scored:
    """Rows with their predictions and who made them; `by` is a position in `makers`."""

    rows: Dataset
    pooled: NDArray[np.float64]
    predictions: NDArray[np.float64]
    by: NDArray[np.int32]
    makers: tuple[tuple[str, str], ...]
    failed: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        fleet: FleetDay,
        champions: FleetChampions,
        models: _Models,
        engine: TableEngine,
        source: Path,
        threads: int,
    ) -> _Scored:
        """Score all rows by the pooled champion, then those of each group that has its own."""
        pooled, rows = models.pooled, read_fleet_rows(fleet, models.parts, engine, source)
        by_pooled = pooled.predict(rows.select(pooled.features), threads)
        scored = cls(
            rows,
            by_pooled,
            by_pooled.copy(),
            np.zeros(rows.rows, dtype=np.int32),
            ((fleet.slot.segment, champions.pooled.version),),
            models.failed,
            pooled.signature.classes,
        )
        for segment, positions in _rows_by_segment(rows, fleet).items():
            if segment in models.groups:
                maker = (segment, champions.groups[segment].version)
                scored = scored.replaced(positions, models.groups[segment], maker, threads)
        return scored

    def replaced(
        self, positions: NDArray[np.int64], blend: GroupScorer, maker: tuple[str, str], threads: int
    ) -> _Scored:
        """Score the rows of one group by its own champion; if that fails on them, the pooled scores stay."""
        try:
            predictions = blend.predict(self.rows.take(positions).select(blend.signature.features), threads)
        except UNLOADABLE:
            return replace(self, failed=(*self.failed, maker[0]))
        self.predictions[positions] = predictions
        self.by[positions] = len(self.makers)
        return replace(self, makers=(*self.makers, maker))

    def facts(self, champions: FleetChampions) -> dict[str, object]:
        """Return what the manifest says about who scored."""
        return {
            "model_version": champions.pooled.version,
            "bundle_sha256": champions.pooled.bundle_sha256,
            "groups_with_own_model": len(self.makers) - 1,
            "rows_by_own_model": int((self.by > 0).sum()),
            "groups_failed": sorted(self.failed),
        }


def _load_models(fleet: FleetDay, champions: FleetChampions, registry: ModelRegistry) -> _Models:
    pooled = load_version(registry, fleet.slot, champions.pooled.version, champions.pooled.bundle_sha256)
    loaded: dict[str, GroupScorer] = {}
    failed = []
    for segment, entry in champions.groups.items():
        try:
            loaded[segment] = load_blend(entry, fleet.slot, registry)
        except UNLOADABLE:
            failed.append(segment)
    return _Models(pooled, loaded, tuple(sorted(failed)))


def load_blend(entry: LedgerEntry, pooled: ModelSlot, registry: ModelRegistry) -> GroupScorer:
    """Return a group's model with the version of the pooled slot that it was judged with.

    Raises:
        ModelIntegrityError: a file of either is not what was promoted.
        RegistryError: the registry does not have one of them.
    """
    own = load_version(registry, entry.slot, entry.version, entry.bundle_sha256)
    wanted = read_pooled(own.stamps)
    return GroupScorer(
        own, load_version(registry, pooled, wanted.version, wanted.bundle_sha256) if wanted else None
    )


def read_fleet_rows(fleet: FleetDay, models: Sequence[Scorer], engine: TableEngine, source: Path) -> Dataset:
    """Read the day's population with every feature that some model asks for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = list(dict.fromkeys(name for model in models for name in model.features))
    columns = list(dict.fromkeys([*features, fleet.group_column]))
    stored = pq.read_schema(source)
    sql = population_sql(fleet.corpus, columns, VIEW, stored, engine.dialect)
    batches = list(engine.batches(sql, {VIEW: ViewSource(files=[source])}))
    wanted = [fleet.corpus.entity_key, *(name for name in columns if name != fleet.corpus.entity_key)]
    empty = pa.schema([stored.field(name) for name in wanted]).empty_table()
    return dataset_from_arrow(
        pa.Table.from_batches(batches) if batches else empty,
        features,
        key_column=fleet.corpus.entity_key,
        segment_columns=[fleet.group_column],
        categorical={name for model in models for name in model.categorical},
    )


def _rows_by_segment(rows: Dataset, fleet: FleetDay) -> dict[str, NDArray[np.int64]]:
    groups = rows.segment_values[fleet.group_column].astype(str)
    names, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable").astype(np.int64)
    pieces = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    return {
        group_segment(fleet.slot.segment, name): piece
        for name, piece in zip(names.tolist(), pieces, strict=False)
        if name != MISSING and len(piece)
    }


def _write(scored: _Scored, fleet: FleetDay, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(_columns(scored, fleet))), target, compression="zstd", compression_level=1)


def _columns(scored: _Scored, fleet: FleetDay) -> Iterator[tuple[str, pa.Array]]:
    import pyarrow as pa

    groups = scored.rows.segment_values[fleet.group_column]
    yield fleet.corpus.entity_key, pa.array(scored.rows.keys)
    yield fleet.group_column, pa.array([None if name == MISSING else name for name in groups], pa.string())
    yield from prediction_columns(scored.predictions, scored.classes)
    if scored.pooled.ndim == 1:
        yield "pooled_score", pa.array(scored.pooled)
    for column, side in (("model_segment", 0), ("model_version", 1)):
        values = pa.array([maker[side] for maker in scored.makers])
        yield column, pa.DictionaryArray.from_arrays(pa.array(scored.by), values)
    if fleet.spec.alerts is not None:
        is_alert, ranks = rank_alerts(scored.predictions, scored.rows.keys, fleet.spec.alerts)
        yield "is_alert", pa.array(is_alert)
        yield "alert_rank", pa.array(ranks, mask=ranks == 0)
