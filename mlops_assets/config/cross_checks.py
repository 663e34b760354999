"""Rules between config files: does every name that one file uses exist in another?

Belongs here: checks that need the whole project, with file, line and a suggestion. Does not belong here:
checks of a single file (its model).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlops_assets.config.label_checks import check_label
from mlops_assets.config.loader import Findings, segment_source_key
from mlops_assets.config.models import GeographiesFile, ProjectConfig, UseCase
from mlops_assets.config.monitor_checks import check_countries, check_monitors
from mlops_assets.config.offer_checks import check_offers
from mlops_assets.config.table_names import is_snapshot, known_tables, table_columns, unknown
from mlops_assets.config.yaml_source import YamlSource
from mlops_assets.domain.errors import ConfigError, PlatformError
from mlops_assets.domain.features.leakage import check_features
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.feeds.column_translation import require_conversions
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.learning.spec import ColumnLabel, HashSplit, ModelSpec, TimeSplit
from mlops_assets.domain.quality.drift_evidence import RANGES_AGE_MIN_DAYS


def check_across_files(
    config: ProjectConfig, entries: GeographiesFile, sources: Mapping[str, YamlSource], findings: Findings
) -> None:
    """Add a finding for every name without a counterpart, and for labels that would leak."""
    _check_geographies(config, entries, sources["geographies"], findings)
    check_countries(config, sources["geographies"], findings)
    check_monitors(config, sources, findings)
    for feed in config.feeds.values():
        _check_feed(config, feed, sources[f"feeds/{feed.name}"], findings)
    for name, segments in config.use_cases.items():
        if not segments:
            findings.add(
                ConfigError(
                    "no geography runs this use case",
                    where=sources[segment_source_key(name)].where(("name",)),
                    remedy=f"list {name} under a geography's `use_cases`",
                )
            )
        for segment, use_case in segments.items():
            _check_use_case(config, use_case, segment, sources[segment_source_key(name, segment)], findings)


def _check_geographies(
    config: ProjectConfig, entries: GeographiesFile, source: YamlSource, findings: Findings
) -> None:
    for code, entry in entries.geographies.items():
        at = ("geographies", code)
        if entry.like is not None and entry.like not in entries.geographies:
            findings.add(unknown("geography", entry.like, entries.geographies, source.where((*at, "like"))))
        _check_circle(entries, code, source.where((*at, "like")), findings)
        for index, use_case in enumerate(entry.use_cases):
            if use_case not in config.use_cases:
                findings.add(
                    unknown("use case", use_case, config.use_cases, source.where((*at, "use_cases", index)))
                )
        for use_case in entry.overrides:
            if use_case not in (own := config.geographies[code].use_cases):
                findings.add(
                    unknown(
                        "use case of this geography",
                        use_case,
                        own,
                        source.where((*at, "overrides", use_case)),
                    )
                )
        if not config.geographies[code].plan_codes:
            findings.add(
                ConfigError(
                    "no plan codes",
                    where=source.where(at),
                    remedy="add `plan_codes:` or `like:` a geography that has them",
                )
            )


def _check_circle(entries: GeographiesFile, code: str, where: str, findings: Findings) -> None:
    """Refuse a chain of `like` that comes back to where it began; its first member reports it."""
    chain = entries.chain(code)
    if entries.geographies[chain[-1]].like == code and code == min(chain):
        findings.add(
            ConfigError(
                f"`like` goes in a circle: {' -> '.join([*chain, code])}",
                where=where,
                expected="a chain that ends at a geography with plan codes of its own",
                remedy="remove one `like`, and give that geography its `plan_codes`",
            )
        )


def _check_feed(config: ProjectConfig, feed: FeedContract, source: YamlSource, findings: Findings) -> None:
    for code, override in feed.geographies.items():
        if code not in config.geographies:
            findings.add(unknown("geography", code, config.geographies, source.where(("geographies", code))))
        for column in override.columns:
            if column not in (known := [c.name for c in feed.columns]):
                findings.add(
                    unknown("column", column, known, source.where(("geographies", code, "columns", column)))
                )
    _check_units(config, feed, source, findings)


def _check_units(config: ProjectConfig, feed: FeedContract, source: YamlSource, findings: Findings) -> None:
    """Every unit that a geography delivers must have a way to the one we keep."""
    for code, geography in config.geographies.items():
        chain = config.geography_chain(code)
        own = next((c for c in chain if c in feed.geographies), "")
        overridden = feed.geographies[own].columns if own else {}
        for index, column in enumerate(feed.for_geography(chain).columns):
            try:
                require_conversions(column, geography)
            except ConfigError as error:
                place: tuple[str | int, ...] = ("columns", index)
                if column.name in overridden:
                    place = ("geographies", own, "columns", column.name)
                what = f"{column.name}: {error.what}"
                where = source.where(place)
                findings.add(ConfigError(what, where=where, expected=error.expected, remedy=error.remedy))


def _check_use_case(
    config: ProjectConfig, use_case: UseCase, segment: str, source: YamlSource, findings: Findings
) -> None:
    columns = table_columns(config, use_case.corpus.table)
    if columns is None:
        findings.add(
            unknown("table", use_case.corpus.table, known_tables(config), source.where(("corpus", "table")))
        )
        return
    named: list[tuple[tuple[str, ...], str]] = [(("corpus", "entity_key"), use_case.corpus.entity_key)]
    named += [(("corpus", "filter_equals", column), column) for column in use_case.corpus.filter_equals]
    for place, column in named:
        if column not in columns:
            findings.add(unknown(f"column of {use_case.corpus.table}", column, columns, source.where(place)))
    _check_split_fits_table(config, use_case, source, findings)
    _check_retraining(config, use_case, source, findings)
    for name, model in use_case.models.items():
        at: tuple[str | int, ...] = ("models", name)
        check_label(config, use_case, model, at, columns, source, findings)
        _check_features(use_case, model, at, columns, source, findings)
        _check_algorithms(model, at, source, findings)
    check_offers(config, use_case, segment, columns, source, findings)


def _check_retraining(
    config: ProjectConfig, use_case: UseCase, source: YamlSource, findings: Findings
) -> None:
    for place, monitor in enumerate(use_case.retraining.monitors):
        where = source.where(("retraining", "monitors", place))
        daily = [spec.name for spec in config.daily_monitors()]
        if monitor not in daily:
            findings.add(unknown("monitor of a daily table", monitor, daily, where))
            continue
        if use_case.segment_by == "none":
            findings.add(
                ConfigError(
                    "a use case without geographies cannot be retrained by a monitor",
                    where=where,
                    expected="`segment_by: geography`",
                    remedy="remove `retraining`; a new snapshot trains it",
                )
            )
        if (reach_days := config.monitors[monitor].forecast.horizon_days) < RANGES_AGE_MIN_DAYS:
            findings.add(
                ConfigError(
                    f"ranges of {monitor} reach {reach_days} days ahead, so that it never has evidence of drift",
                    where=where,
                    expected=f"at least {RANGES_AGE_MIN_DAYS} days: drift is judged by ranges of so long before",
                    remedy=f"raise `forecast.horizon_days` of {monitor}",
                )
            )


def _check_split_fits_table(
    config: ProjectConfig, use_case: UseCase, source: YamlSource, findings: Findings
) -> None:
    of_snapshot = is_snapshot(config, use_case.corpus.table)
    split = use_case.corpus.split
    if of_snapshot and not isinstance(split, HashSplit):
        findings.add(
            ConfigError(
                "a snapshot has no days to split by",
                where=source.where(("corpus", "split")),
                remedy="use `split: {kind: hash}`",
            )
        )
    if of_snapshot != (use_case.segment_by == "none"):
        findings.add(
            ConfigError(
                "segment and table do not fit",
                where=source.where(("segment_by",)),
                expected="`segment_by: none` for a snapshot feed, `geography` for daily tables",
            )
        )
    if not of_snapshot and not isinstance(split, TimeSplit):
        findings.add(
            ConfigError(
                "a daily table is split by time",
                where=source.where(("corpus", "split")),
                remedy="use `split: {kind: time}`",
            )
        )


def _check_features(
    use_case: UseCase,
    model: ModelSpec,
    at: Sequence[str | int],
    columns: Mapping[str, ColumnDoc],
    source: YamlSource,
    findings: Findings,
) -> None:
    table = use_case.corpus.table
    label_column = model.label.column if isinstance(model.label, ColumnLabel) else None
    for index, feature in enumerate(model.features):
        try:
            check_features(
                [feature],
                table=table,
                columns=columns,
                entity_key=use_case.corpus.entity_key,
                label_column=label_column,
            )
        except PlatformError as error:
            what = f"feature {feature!r} of {table}: {error.what}"
            where = source.where((*at, "features", index))
            findings.add(ConfigError(what, where=where, expected=error.expected, remedy=error.remedy))
    for index, column in enumerate(model.gate.segment_columns):
        if column not in columns:
            findings.add(
                unknown(
                    "segment column", column, columns, source.where((*at, "gate", "segment_columns", index))
                )
            )


def _check_algorithms(
    model: ModelSpec, at: Sequence[str | int], source: YamlSource, findings: Findings
) -> None:
    from mlops_assets.domain.learning.algorithms import ALGORITHMS
    from mlops_assets.domain.learning.metrics import METRICS

    metric = METRICS.get(model.metric)
    if metric is None:
        findings.add(unknown("metric", model.metric, METRICS, source.where((*at, "metric"))))
    elif model.task not in metric.tasks:
        findings.add(
            ConfigError(
                f"metric {model.metric} is not for task {model.task}", where=source.where((*at, "metric"))
            )
        )
    for name, spec in model.algorithms.items():
        where = source.where((*at, "algorithms", name))
        if name not in ALGORITHMS:
            findings.add(unknown("algorithm", name, ALGORITHMS, where))
            continue
        try:
            ALGORITHMS[name].validate_hyperparameters(spec.hyperparameters, model.task)
            ALGORITHMS[name].validate_search(spec.search, model.task)
        except PlatformError as error:
            findings.add(ConfigError(error.what, where=where, expected=error.expected, remedy=error.remedy))
