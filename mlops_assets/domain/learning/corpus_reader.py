"""Read a published corpus into the matrices that algorithms take.

Belongs here: one dataset per part. Does not belong here: building corpora (corpus.py) or the matrix itself
(dataset.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.learning.corpus_content import content_sha256
from mlops_assets.domain.learning.dataset import Dataset, LabelColumn, dataset_from_arrow
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec, TimeSplit
from mlops_assets.domain.learning.splits import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_assets.domain.ports import Lake, PartitionId


def load_corpus(
    partition: PartitionId, lake: Lake, corpus: CorpusSpec, model: ModelSpec, *, is_verified: bool = False
) -> dict[str, Dataset]:
    """Return train, validation and holdout, rows in the corpus's order.

    Features and segment columns that the corpus does not hold are left out: a champion may ask for what the feature
    table has no more, and whoever selects or compares by it is told.

    Args:
        partition: a published corpus.
        lake: where it is.
        corpus: names the entity key and the kind of split.
        model: names features, label kind and segment columns.
        is_verified: hash the content first and compare it with the manifest.

    Raises:
        TableInputError: the corpus is not published; build it first.
        CorpusError: the content differs from its recorded hash, or a column cannot be read as asked.
    """
    import pyarrow.parquet as pq

    path = lake.path(partition)
    if is_verified:
        _verify(partition, lake)
    held = pq.read_schema(path).names
    features = [name for name in model.features if name in held]
    segments = [name for name in model.gate.segment_columns if name in held]
    columns = list(dict.fromkeys([corpus.entity_key, "as_of_day", "split", "label", *features, *segments]))
    classes = _list_classes(path) if model.task == "multiclass" else ()
    return {
        part: dataset_from_arrow(
            pq.read_table(path, columns=columns, filters=[("split", "=", part)]),
            features,
            LabelColumn("label", model.task, classes=classes),
            key_column=corpus.entity_key,
            as_of_column="as_of_day" if isinstance(corpus.split, TimeSplit) else None,
            segment_columns=segments,
        )
        for part in PARTS
    }


def _list_classes(path: Path) -> tuple[str, ...]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = pc.unique(pq.read_table(path, columns=["label"])["label"]).to_pylist()
    return tuple(sorted(map(str, found)))


def _verify(partition: PartitionId, lake: Lake) -> None:
    manifest = lake.manifest(partition)
    recorded = manifest.facts.get("content_sha256") if manifest else None
    found = content_sha256(lake.path(partition))
    if found != recorded:
        raise CorpusError(
            "the corpus differs from its recorded hash",
            where=str(partition),
            expected=f"sha256 {recorded}",
            remedy="build the corpus again",
        )
