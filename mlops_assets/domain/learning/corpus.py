"""Build a frozen training corpus: population, labels and features as of each day, split for good.

Labels are equi-joined to the feature snapshot of their as-of day, so no feature can see past it; a label
window that is not completely delivered is refused. Belongs here: planning, checks and publication. Does not
belong here: the expression (corpus_expression.py), hashing and counting (corpus_content.py), or reading
finished corpora (corpus_reader.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.errors import ConfigError, CorpusError, LeakageError
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.leakage import check_features, suggest
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus_content import PartContent, content_sha256, count_parts
from mlops_assets.domain.learning.corpus_expression import (
    CorpusShape,
    compile_corpus,
    compile_label_list,
    compile_removed,
)
from mlops_assets.domain.learning.lake_tables import corpus_table
from mlops_assets.domain.learning.spec import ColumnLabel, CorpusSpec, EventLabel, HashSplit, ModelSpec
from mlops_assets.domain.learning.splits import PARTS, SplitPlan, hash_split, plan_time_split, usable_days
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import find_current, find_published
from mlops_assets.domain.quality.subscriber_tables import ANOMALIES, LIMITS

if TYPE_CHECKING:
    import pyarrow as pa

CORPUS_VERSION = "2"
# Entity key -> where its anomalous days are; those at the removal level are left out.
ENTITY_ANOMALIES = {"subscriber_id": ANOMALIES}
Views = Mapping[str, ViewSource]


@dataclass(frozen=True)
class CorpusRequest:
    """Which corpus: one per use case, model and segment (a geography's code, or `all`)."""

    use_case: str
    model_name: str
    corpus: CorpusSpec
    model: ModelSpec
    segment: str

    @property
    def partition(self) -> PartitionId:
        """The corpus's partition in the lake."""
        return PartitionId(corpus_table(self.use_case, self.model_name), self.segment)


@dataclass(frozen=True)
class CorpusOutcome:
    """A published corpus.

    Attributes:
        status: `built`, or `reused` if the published one has the same build key.
        partition: where it is.
        manifest: what is published; its facts repeat the counts.
        plan: as-of days by part; None for snapshots.
        content_sha256: hash of the logical content, whatever the file's encoding.
        parts: part to rows, positives (binary only) and as-of days.
    """

    status: Literal["built", "reused"]
    partition: PartitionId
    manifest: Manifest
    plan: SplitPlan | None
    content_sha256: str
    parts: Mapping[str, PartContent]


@dataclass(frozen=True)
class _Sources:
    """Everything a build reads, resolved against the lake."""

    views: Mapping[str, ViewSource]
    inputs: Mapping[str, str]
    population_rows: int
    plan: SplitPlan | None
    judged_days: int = 0


def build_corpus(
    request: CorpusRequest,
    *,
    as_of_day: dt.date | None,
    first_day: dt.date | None,
    lake: Lake,
    engine: TableEngine,
) -> CorpusOutcome:
    """Publish the corpus as of a day, or find it published.

    Rows whose entity was anomalous at the removal level on the as-of day are left out and counted by reason;
    an as-of day that was not judged loses no row, and `anomaly_days_judged` says how many were.

    Args:
        request: use case, model, segment and their specifications.
        as_of_day: latest completely delivered day; None for snapshots without days.
        first_day: first delivered day; None for snapshots.
        lake: where tables are and the corpus goes.
        engine: runs the SQL.

    Raises:
        ConfigError: a feature, key or filter column does not exist, or split and label do not fit.
        LeakageError: a feature tells the label, or the label window of an as-of day is not complete.
        CorpusError: too little history, a snapshot is missing, a part is empty or has one class only.
    """
    _check_request(request)
    sources = _resolve(request, as_of_day, first_day, lake)
    build_key = stable_hash([corpus_identity(request), sources.inputs, sources.plan, CORPUS_VERSION])
    if current := find_current(lake, request.partition, build_key):
        return _outcome("reused", request, current, sources.plan)
    shape = _shape(request, sources)
    views = dict(sources.views)
    if isinstance(request.corpus.split, HashSplit):
        views["parts"] = ViewSource(table=_hash_parts(request, shape, views, engine))
    with lake.write(request.partition, build_key) as writer:
        target = writer.file("data")
        rows = engine.write_parquet(compile_corpus(shape, engine.dialect), views, target)
        parts = count_parts(target, is_binary=request.model.task == "binary")
        _check_parts(request, parts)
        facts = _facts(request, sources, parts, rows) | {"content_sha256": content_sha256(target)}
        facts["anomalies_removed"] = _count_removed(shape, views, engine)
        manifest = writer.commit(row_count=rows, inputs=sources.inputs, facts=facts)
    return _outcome("built", request, manifest, sources.plan)


def _outcome(
    status: Literal["built", "reused"], request: CorpusRequest, manifest: Manifest, plan: SplitPlan | None
) -> CorpusOutcome:
    parts = {name: PartContent.from_facts(facts) for name, facts in manifest.facts["parts"].items()}
    return CorpusOutcome(status, request.partition, manifest, plan, manifest.facts["content_sha256"], parts)


def corpus_identity(request: CorpusRequest) -> dict[str, Any]:
    """Return the settings that a corpus depends on; the rest of the model's may change without a new corpus."""
    model = request.model
    return {
        "partition": str(request.partition),
        "corpus": request.corpus,
        "task": model.task,
        "label": model.label,
        "features": model.features,
        "segment_columns": model.gate.segment_columns,
    }


def _check_request(request: CorpusRequest) -> None:
    corpus, label = request.corpus, request.model.label
    where = f"{request.use_case}/{request.model_name}"
    if isinstance(corpus.split, HashSplit) != isinstance(label, ColumnLabel):
        raise ConfigError(
            f"a {corpus.split.kind} split does not go with a label of kind {label.kind}",
            where=where,
            expected="kind time with an event label, or kind hash with a column label",
            remedy="change `split` or `label`",
        )
    table = FEATURE_TABLES.get(corpus.table)
    if table is not None:
        _check_columns(request, table.columns)
    elif corpus.table.startswith("etl/"):
        raise ConfigError(
            f"unknown table {corpus.table!r}", where=where, remedy=suggest(corpus.table, FEATURE_TABLES)
        )


def _check_columns(request: CorpusRequest, columns: Mapping[str, ColumnDoc]) -> None:
    corpus, label = request.corpus, request.model.label
    label_column = label.column if isinstance(label, ColumnLabel) else None
    check_features(
        request.model.features,
        table=corpus.table,
        columns=columns,
        entity_key=corpus.entity_key,
        label_column=label_column,
    )
    named = [corpus.entity_key, *corpus.filter_equals, *request.model.gate.segment_columns]
    _require(corpus.table, [*named, *([label_column] if label_column else [])], columns)


def _require(table: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for name in wanted:
        if name not in names:
            raise ConfigError(f"{table} has no column {name!r}", remedy=suggest(name, names))


def _resolve(
    request: CorpusRequest, as_of_day: dt.date | None, first_day: dt.date | None, lake: Lake
) -> _Sources:
    corpus, label = request.corpus, request.model.label
    if isinstance(corpus.split, HashSplit) or not isinstance(label, EventLabel):
        snapshot = PartitionId(corpus.table, request.segment)
        manifest = _published(lake, snapshot)
        views = {"population": ViewSource(files=[lake.path(snapshot)])}
        return _Sources(views, {str(snapshot): manifest.build_key}, manifest.row_count, None)
    if as_of_day is None or first_day is None:
        raise CorpusError(
            "no day is delivered", where=str(request.partition), remedy="deliver feeds and run the daily job"
        )
    plan = plan_time_split(
        first_day,
        as_of_day,
        label.horizon_days,
        corpus.split,
        corpus.min_history_days,
        usable_days(
            lake.days(corpus.table, request.segment),
            lake.days(label.table, request.segment),
            label.horizon_days,
        ),
    )
    return _resolve_days(request, label, plan, lake)


def _resolve_days(request: CorpusRequest, label: EventLabel, plan: SplitPlan, lake: Lake) -> _Sources:
    windows = {day: _days_after(day, label.horizon_days) for day in plan.days}
    snapshots = [PartitionId(request.corpus.table, request.segment, day) for day in plan.days]
    event_days = sorted({event_day for days in windows.values() for event_day in days})
    events = [PartitionId(label.table, request.segment, day) for day in event_days]
    manifests = {partition: _published(lake, partition) for partition in snapshots}
    manifests |= {partition: _published(lake, partition, is_label=True) for partition in events}
    anomalies = _find_anomalies(request, plan, lake)
    views = {
        "population": ViewSource(files=ask_together(lake, lake.path, snapshots), file_days=plan.days),
        "events": ViewSource(files=ask_together(lake, lake.path, events), file_days=event_days),
        "label_windows": ViewSource(table=_label_windows(windows)),
        "parts": ViewSource(table=_time_parts(plan)),
    }
    if anomalies:
        days = [partition.day for partition in anomalies if partition.day is not None]
        views["anomalies"] = ViewSource(files=ask_together(lake, lake.path, list(anomalies)), file_days=days)
    inputs = {str(partition): manifest.build_key for partition, manifest in (manifests | anomalies).items()}
    rows = sum(manifests[p].row_count for p in snapshots)
    judged = [lake.manifest(replace(one, table=LIMITS)) for one in anomalies]
    judged_days = sum(limits is not None and limits.row_count > 0 for limits in judged)
    return _Sources(views, inputs, rows, plan, judged_days)


def _find_anomalies(request: CorpusRequest, plan: SplitPlan, lake: Lake) -> dict[PartitionId, Manifest]:
    """Return the published anomalies of the as-of days; a day without any was not judged."""
    table = ENTITY_ANOMALIES.get(request.corpus.entity_key)
    partitions = [PartitionId(table, request.segment, day) for day in plan.days] if table else []
    return find_published(lake, partitions)


def _count_removed(shape: CorpusShape, views: Views, engine: TableEngine) -> dict[str, int]:
    if not shape.has_anomalies:
        return {}
    counted = engine.fetch(compile_removed(shape, engine.dialect), views)
    return {row["reason"]: row["rows"] for row in counted.to_pylist()}


def _published(lake: Lake, partition: PartitionId, *, is_label: bool = False) -> Manifest:
    manifest = lake.manifest(partition)
    if manifest is not None:
        return manifest
    if is_label:
        raise LeakageError(
            f"the label window is not complete: {partition} is not published",
            where=str(partition),
            expected="every day of (as-of, as-of + horizon] in the label table",
            remedy=f"build {partition.table} for {partition.day}, or train as of an earlier day",
        )
    raise CorpusError(
        f"{partition} is not published",
        where=str(partition),
        expected="the corpus table on every as-of day",
        remedy=f"deliver the feeds of {partition.day or partition.table} and build {partition.table}",
    )


def _days_after(day: dt.date, days: int) -> list[dt.date]:
    return [day + dt.timedelta(days=ahead) for ahead in range(1, days + 1)]


def _label_windows(windows: Mapping[dt.date, Sequence[dt.date]]) -> pa.Table:
    import pyarrow as pa

    pairs = [(event_day, as_of) for as_of, days in windows.items() for event_day in days]
    columns = [pa.array([pair[side] for pair in pairs], pa.date32()) for side in (0, 1)]
    return pa.table(columns, names=["event_day", "as_of_day"])


def _time_parts(plan: SplitPlan) -> pa.Table:
    import pyarrow as pa

    parts = [plan.part_of(day) for day in plan.days]
    return pa.table({"as_of_day": pa.array(plan.days, pa.date32()), "split": pa.array(parts, pa.string())})


def _shape(request: CorpusRequest, sources: _Sources) -> CorpusShape:
    """Return the columns and types at hand; all as-of days must agree on them."""
    import pyarrow.parquet as pq

    schema, first_file = None, None
    features = list(dict.fromkeys([*request.model.features, *request.model.gate.segment_columns]))
    for file in sources.views["population"].files:
        found = pq.read_schema(file)
        if schema is None:
            _check_stored(request, found)
            schema, first_file = found, file
        elif any(
            name not in found.names or found.field(name).type != schema.field(name).type for name in features
        ):
            raise CorpusError(
                f"{request.corpus.table} changed its columns between as-of days",
                where=f"{first_file} and {file}",
                remedy="build the table's older days again with the current version",
            )
    events = sources.views["events"].files if "events" in sources.views else ()
    event_schema, label = pq.read_schema(events[0]) if events else None, request.model.label
    if event_schema is not None and isinstance(label, EventLabel):
        _require(label.table, [request.corpus.entity_key, *label.columns], event_schema.names)
    has_anomalies = "anomalies" in sources.views
    return CorpusShape(request.corpus, request.model, tuple(features), schema, event_schema, has_anomalies)


def _check_stored(request: CorpusRequest, schema: pa.Schema) -> None:
    if request.corpus.table not in FEATURE_TABLES:
        _check_columns(request, {name: ColumnDoc("text", "", role="feature") for name in schema.names})
    _require(request.corpus.table, request.model.features, schema.names)


def _hash_parts(request: CorpusRequest, shape: CorpusShape, views: Views, engine: TableEngine) -> pa.Table:
    """Assign each entity of a snapshot to a part, stratified by label."""
    import numpy as np
    import pyarrow as pa

    rows = engine.fetch(compile_label_list(shape, engine.dialect), views)
    if rows.num_rows == 0:
        raise _no_rows(request)
    if request.model.task in {"binary", "multiclass"}:
        texts = np.array([str(value) for value in rows["label"].to_pylist()])
        labels = np.unique(texts, return_inverse=True)[1].astype(np.float64)
    else:
        labels = rows["label"].to_numpy().astype(np.float64)
    split = request.corpus.split
    if not isinstance(split, HashSplit):
        raise TypeError("a hash split is expected")
    parts = hash_split(rows["entity_key"].to_pylist(), labels, split)
    return pa.table({"part_key": rows["entity_key"], "split": pa.array(parts.tolist(), pa.string())})


def _check_parts(request: CorpusRequest, parts: Mapping[str, PartContent]) -> None:
    is_classification = request.model.task in {"binary", "multiclass"}
    if not parts:
        raise _no_rows(request)
    for name in PARTS:
        content = parts.get(name)
        if content is None:
            raise CorpusError(
                f"the {name} part is empty",
                where=str(request.partition),
                remedy="deliver more days, or check `filter_equals` and the split's shares",
            )
        if is_classification and content.classes < 2:
            raise CorpusError(
                f"all {content.rows} rows of the {name} part have the same label",
                where=str(request.partition),
                expected="at least two label values in every part",
                remedy="check the label (`positive`, table, horizon) or widen the split with more as-of days",
            )


def _no_rows(request: CorpusRequest) -> CorpusError:
    filters = ", ".join(f"{column} = {value}" for column, value in request.corpus.filter_equals.items())
    return CorpusError(
        "the corpus would have no rows",
        where=str(request.partition),
        expected=f"rows of {request.corpus.table} with a label" + (f" and {filters}" if filters else ""),
        remedy="check `filter_equals` and that the table is not empty on the as-of days",
    )


def _facts(
    request: CorpusRequest, sources: _Sources, parts: Mapping[str, PartContent], rows: int
) -> dict[str, Any]:
    plan = sources.plan
    return {
        "parts": {name: content.to_facts() for name, content in parts.items()},
        "population_rows": sources.population_rows,
        "left_out_rows": sources.population_rows - rows,
        "anomaly_days_judged": sources.judged_days,
        "features": list(request.model.features),
        "label": request.model.label.model_dump(mode="json"),
        "trained_through_day": plan.trained_through_day.isoformat() if plan else None,
    }
