"""The statements of the whole graph as configured, compiled for any engine without a lake.

Belongs here: calling what compiles them. Does not belong here: judging what comes out, or statements that only exist
once models are trained (benchmarks/engine_equality.py sees those when they run).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.homologation import CompiledFeed, output_types
from mlops_assets.domain.learning.corpus_expression import (
    CorpusShape,
    compile_corpus,
    compile_label_list,
    compile_removed,
)
from mlops_assets.domain.learning.population import population_sql
from mlops_assets.domain.learning.spec import CorpusSpec, EventLabel, ModelSpec
from mlops_assets.domain.offers import delivery, offer_weeks, proposal_checks, reconciliation_day
from mlops_assets.domain.offers.eligibility import eligible, unbound_views
from mlops_assets.domain.quality import feature_sample, feed_profile, monitor_tables, subscriber_counts
from mlops_assets.domain.table_sql import compile_sql
from tests.unit.domain.features.record_versions import versioned_tables

if TYPE_CHECKING:
    import pyarrow as pa

_DELIVERED = {
    "integer": "int64", "decimal": "float64", "text": "string", "boolean": "boolean", "date": "date",
    "timestamp": "timestamp",
}  # fmt: skip


def graph_statements(config: ProjectConfig, dialect: str) -> Iterator[tuple[str, str]]:
    """Yield a name and the SQL of every statement that configuration alone decides."""
    for table in versioned_tables().values():
        for name, sql in compile_statements(table, dialect).items():
            yield f"{table.name} {name}", sql
    yield from _feeds(config, dialect)
    yield from _quality(config, dialect)
    yield from _corpora(config, dialect)
    yield from _offers(config, dialect)


def _feeds(config: ProjectConfig, dialect: str) -> Iterator[tuple[str, str]]:
    for contract in config.feeds.values():
        for code, geography in config.geographies.items():
            own = contract.for_geography(config.geography_chain(code))
            types = _source_types(own)
            feed = CompiledFeed(own, geography, types, dialect)
            for name in ("good_sql", "bad_sql", "summary_sql", *(["superseded_sql"] if own.key else [])):
                if sql := getattr(feed, name):
                    yield f"feeds/{contract.name} {code} {name}", sql


def _source_types(contract: FeedContract) -> dict[str, str]:
    if contract.format == "csv":
        return dict.fromkeys(_source_types(contract.model_copy(update={"format": "parquet"})), "string")
    units = {c.source_unit_column: "string" for c in contract.columns if c.source_unit_column}
    return {c.source: _DELIVERED[c.type] for c in contract.columns} | units


def _quality(config: ProjectConfig, dialect: str) -> Iterator[tuple[str, str]]:
    for contract in config.feeds.values():
        every = feed_profile._sample_every(contract, 1_000_000)
        for sql in feed_profile._statements(contract, every, dialect):
            if sql:
                yield f"profile of {contract.name}", sql
    for spec in config.monitors.values():
        columns = (tuple(spec.series_by), spec.value, spec.day_column or "file_day")
        yield f"panel of {spec.name}", monitor_tables._panel_sql(*columns, dialect)
    for table in (subscriber_counts.SCORES, subscriber_counts.ANOMALIES):
        yield f"counts of {table}", subscriber_counts._counts_sql(table, dialect)
    features = tuple(feature_sample.numeric_features(FEATURE_TABLES["etl/subscriber_features"]))
    yield "sample of features", feature_sample._sample_sql("subscriber_id", features, 1000, dialect)


def _corpora(config: ProjectConfig, dialect: str) -> Iterator[tuple[str, str]]:
    for use_case, segments in config.use_cases.items():
        settings = next(iter(segments.values()))
        for name, model in settings.models.items():
            shape, where = _shape(config, settings.corpus, model), f"{use_case}/{name}"
            yield f"corpus {where}", compile_corpus(shape, dialect)
            yield f"removed of corpus {where}", compile_removed(shape, dialect)
            yield f"labels of corpus {where}", compile_label_list(shape, dialect)
            stored = shape.population_schema
            yield f"scores {where}", population_sql(settings.corpus, shape.columns, "v", stored, dialect)


def _shape(config: ProjectConfig, corpus: CorpusSpec, model: ModelSpec) -> CorpusShape:
    table = FEATURE_TABLES[corpus.table]
    known = [name for name, column in table.columns.items() if column.role == "feature"]
    events = _schema(config, model.label.table) if isinstance(model.label, EventLabel) else None
    columns = tuple(model.features or known)
    return CorpusShape(corpus, model, columns, _schema(config, corpus.table), events, has_anomalies=True)


def _schema(config: ProjectConfig, table: str) -> pa.Schema:
    if table in FEATURE_TABLES:
        return empty_arrow(FEATURE_TABLES[table].column_types).schema
    import ibis

    schema: pa.Schema = ibis.schema(output_types(config.feeds[table.removeprefix("feeds/")])).to_pyarrow()
    return schema


def _offers(config: ProjectConfig, dialect: str) -> Iterator[tuple[str, str]]:
    yield "contacts of a week", offer_weeks._first_contacts_sql(dialect)
    yield "purchases of a week", offer_weeks._purchases_sql(dialect)
    yield "churned of a week", offer_weeks._churned_sql(dialect)
    yield "reconciliation", reconciliation_day._read_sql(dialect)
    yield "delivered offers", delivery._csv_sql(0.001, dialect)
    yield "faults of proposals", compile_sql(proposal_checks._own_faults(), dialect)
    for use_case, segments in config.use_cases.items():
        if (offers := next(iter(segments.values())).offers) is not None:
            spec = offers.catalogue
            yield f"eligible {use_case}", compile_sql(eligible(spec, unbound_views(spec)), dialect)
            yield f"forbidden {use_case}", compile_sql(proposal_checks._forbidden(spec), dialect)
