"""Daily scores of a segment by its champion.

Belongs here: reading a day's population, predicting in batches and publishing the scores. Does not belong
here: who is champion (champions).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import champion_for_day, load_version
from mlops_assets.domain.learning.dataset import dataset_from_arrow
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.population import population_sql
from mlops_assets.domain.learning.spec import CorpusSpec
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
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SCORING_VERSION = "2"
VIEW = "population"
ROWS_PER_BATCH = 131_072


@dataclass(frozen=True)
class ScoreOutcome:
    """What became of one segment's scores. `status`: scored, reused, no_champion or missing_input."""

    partition: PartitionId
    status: Literal["scored", "reused", "no_champion", "missing_input"]
    detail: str
    manifest: Manifest | None = None
    champion: LedgerEntry | None = None


def score_day(
    slot: ModelSlot,
    corpus: CorpusSpec,
    day: dt.date,
    *,
    lake: Lake,
    engine: TableEngine,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    threads: int = 1,
) -> ScoreOutcome:
    """Score every row of the day that the model is made for.

    Args:
        slot: use case, model and segment.
        corpus: names the table, its key and the filter of the population.
        day: partition to score.
        lake: holds the feature table and receives the scores.
        engine: reads the feature table.
        registry: holds the model's bundle.
        ledger: says who is champion.
        threads: most threads the model uses.

    Raises:
        ModelIntegrityError: the champion's files are not what was promoted; nothing is scored.
        LearningError: the table does not fit the model, or a score is not finite.
    """
    target = PartitionId(scores_table(slot.use_case, slot.model), slot.segment, day)
    champion = champion_for_day(ledger, slot, day)
    if champion is None:
        return ScoreOutcome(target, "no_champion", f"{slot.segment}: no champion before {day}")
    source = PartitionId(corpus.table, slot.segment, day)
    features = lake.manifest(source)
    if features is None:
        return ScoreOutcome(target, "missing_input", f"{source} is not built", champion=champion)
    build_key = stable_hash([features.build_key, champion.bundle_sha256, corpus, SCORING_VERSION])
    detail = f"version {champion.version}"
    if current := find_current(lake, target, build_key):
        return ScoreOutcome(target, "reused", detail, current, champion)
    scorer = load_version(registry, slot, champion.version, champion.bundle_sha256)
    with lake.write(target, build_key) as writer:
        rows = _write_scores(
            scorer, champion, corpus, engine, lake.path(source), writer.file("data"), threads
        )
        manifest = writer.commit(
            row_count=rows,
            inputs={str(source): features.build_key},
            facts={"model_version": champion.version, "bundle_sha256": champion.bundle_sha256},
        )
    return ScoreOutcome(target, "scored", detail, manifest, champion)


def _write_scores(  # noqa: PLR0917 - private, one caller
    scorer: Scorer,
    champion: LedgerEntry,
    corpus: CorpusSpec,
    engine: TableEngine,
    source: Path,
    target: Path,
    threads: int,
) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored = pq.read_schema(source)
    sql = population_sql(corpus, scorer.features, VIEW, stored, engine.dialect)
    batches = engine.batches(sql, {VIEW: ViewSource(files=[source])}, ROWS_PER_BATCH)
    tables = (_score(scorer, champion.version, corpus, batch, threads) for batch in batches)
    first = next(tables, None)
    if first is None:  # nobody is in the population; readers find the columns all the same
        read = dict.fromkeys((corpus.entity_key, *scorer.features))
        nobody = pa.RecordBatch.from_pylist([], pa.schema([stored.field(name) for name in read]))
        first = _score(scorer, champion.version, corpus, nobody, threads)
    rows = 0
    with pq.ParquetWriter(target, first.schema, compression="zstd", compression_level=1) as writer:
        for scored in chain([first], tables):
            writer.write_table(scored)
            rows += scored.num_rows
    return rows


def _score(scorer: Scorer, version: str, corpus: CorpusSpec, batch: pa.RecordBatch, threads: int) -> pa.Table:
    import pyarrow as pa

    return pa.table(dict(_score_columns(scorer, version, corpus, batch, threads)))


def _score_columns(
    scorer: Scorer, version: str, corpus: CorpusSpec, batch: pa.RecordBatch, threads: int
) -> Iterator[tuple[str, pa.Array]]:
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    dataset = dataset_from_arrow(
        table, scorer.features, key_column=corpus.entity_key, categorical=scorer.categorical
    )
    predictions = scorer.predict(dataset, threads)
    yield corpus.entity_key, table[corpus.entity_key].combine_chunks()
    yield from prediction_columns(predictions, scorer.signature.classes)
    yield (
        "model_version",
        pa.DictionaryArray.from_arrays(pa.array([0] * table.num_rows, pa.int8()), pa.array([version])),
    )


def prediction_columns(
    predictions: NDArray[np.float64], classes: Sequence[str]
) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns of predictions: `score` [rows], or `score_<class>` for each class of [rows x classes]."""
    import pyarrow as pa

    if predictions.ndim == 1:
        yield "score", pa.array(predictions)
        return
    for index, name in enumerate(classes):
        yield f"score_{name}", pa.array(predictions[:, index])
