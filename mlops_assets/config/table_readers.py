"""Which tables a use case rests on, so that a report can say what several of them share.

Belongs here: from a project's configuration to the tables behind its use cases. Does not belong here: what tables
cost (domain.reporting.utilisation) or the lineage of assets, which Dagster knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.domain.learning.spec import EventLabel


def tables_by_use_case(config: ProjectConfig) -> dict[str, frozenset[str]]:
    """Return every use case with the feeds, feature tables and monitors' results that it rests on."""
    return {
        use_case: frozenset(
            table for settings in segments.values() for table in _tables_of(config, use_case, settings)
        )
        for use_case, segments in config.use_cases.items()
    }


def _tables_of(config: ProjectConfig, use_case: str, settings: UseCase) -> set[str]:
    from mlops_assets.domain.learning.corpus import ENTITY_ANOMALIES

    labels = (model.label for model in settings.models.values())
    read = {settings.corpus.table, *(label.table for label in labels if isinstance(label, EventLabel))}
    anomalies = ENTITY_ANOMALIES.get(settings.corpus.entity_key)
    if anomalies is not None and any(spec.is_per_subscriber for spec in config.monitors.values()):
        read.add(anomalies)
    for name in settings.retraining.monitors:
        read |= set(_monitored(config, name))
    if settings.offers is not None:
        read |= set(_compared_offers(use_case))
    return _with_inputs(read)


def _monitored(config: ProjectConfig, name: str) -> Iterator[str]:
    from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL, monitor_table

    spec = config.monitors[name]
    yield from (monitor_table(name, result) for result in (KERNEL, ANOMALIES, DRIFT))
    yield from (spec.table, *spec.features.tables)


def _compared_offers(use_case: str) -> Iterator[str]:
    from mlops_assets.domain.offers.offer_tables import proposals_table
    from mlops_assets.domain.offers.reconciliation import reconciliation_table

    proposals = proposals_table(use_case)
    inputs = reconciliation_table(proposals).inputs
    yield from (source.table for source in inputs if source.table != proposals)


def _with_inputs(tables: Iterable[str]) -> set[str]:
    """Return the tables and all that they are made of."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    found, open_tables = set[str](), list(tables)
    while open_tables:
        name = open_tables.pop()
        if name not in found:
            found.add(name)
            open_tables += (
                [one.table for one in FEATURE_TABLES[name].inputs] if name in FEATURE_TABLES else []
            )
    return found
