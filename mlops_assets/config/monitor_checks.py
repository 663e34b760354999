"""Checks of monitors against the rest of the project: tables, columns, units, forecasters, watched features.

Belongs here: what `configs/quality/*.yaml` must agree with. Does not belong here: rules of one monitor by itself
(domain.quality.spec), or any other kind of file (cross_checks).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlops_assets.config.loader import Findings
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.table_names import is_snapshot, known_tables, table_columns, unknown
from mlops_assets.config.yaml_source import YamlSource
from mlops_assets.domain.errors import ConfigError, PlatformError
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.feeds.units import linear_conversion
from mlops_assets.domain.quality.spec import MonitorSpec

_PER_SUBSCRIBER = ("etl/plan_usage_daily", ["plan_code"])
_NUMBERS = ("integer", "decimal")


def check_monitors(config: ProjectConfig, sources: Mapping[str, YamlSource], findings: Findings) -> None:
    """Add a finding for everything in a monitor that has no counterpart."""
    for name, spec in config.monitors.items():
        source = sources[f"quality/{name}"]
        for error in (
            *_check_series(config, spec, source),
            *_check_days(config, spec, source),
            *_check_forecasters(spec, source),
            *_check_watched(spec, source),
        ):
            findings.add(error)
    _check_per_subscriber(config, sources, findings)


def check_countries(config: ProjectConfig, source: YamlSource, findings: Findings) -> None:
    """Add a finding for every geography whose country has no known holidays."""
    for code, geography in config.geographies.items():
        for error in _unknown_country(geography.country, source.where(("geographies", code, "country"))):
            findings.add(error)


def _check_series(config: ProjectConfig, spec: MonitorSpec, source: YamlSource) -> Iterator[ConfigError]:
    columns = table_columns(config, spec.table)
    if columns is None:
        yield unknown("table", spec.table, known_tables(config), source.where(("table",)))
        return
    named: list[tuple[str, Sequence[str | int]]] = [(spec.value, ("value",))]
    named += [(column, ("series_by", place)) for place, column in enumerate(spec.series_by)]
    for column, at in named:
        if column not in columns:
            yield unknown(f"column of {spec.table}", column, columns, source.where(at))
    if spec.value in columns and columns[spec.value].type not in _NUMBERS:
        yield ConfigError(
            f"{spec.value} is a {columns[spec.value].type} column",
            where=source.where(("value",)),
            expected="a number, which can be summed",
        )
    try:
        linear_conversion(spec.unit, "MB")
    except ConfigError as error:
        yield ConfigError(
            error.what, where=source.where(("unit",)), expected="a unit of volume: byte, KB, MB or GB"
        )


def _check_days(config: ProjectConfig, spec: MonitorSpec, source: YamlSource) -> Iterator[ConfigError]:
    """A snapshot has its days in a column, a daily table in its partitions."""
    columns = table_columns(config, spec.table)
    if columns is None:
        return
    if is_snapshot(config, spec.table):
        yield from _check_snapshot(spec, columns, source)
    elif spec.day_column:
        yield ConfigError(
            f"{spec.table} is a daily table, its days are its partitions",
            where=source.where(("day_column",)),
            expected="`day_column` for snapshot feeds only",
            remedy="remove `day_column`",
        )


def _check_snapshot(
    spec: MonitorSpec, columns: Mapping[str, ColumnDoc], source: YamlSource
) -> Iterator[ConfigError]:
    dates = sorted(name for name, column in columns.items() if column.type == "date")
    if spec.day_column not in dates:
        given = f"{spec.day_column!r} is no date column" if spec.day_column else "`day_column` is missing"
        yield ConfigError(
            f"{given}: the days of a snapshot are in a column",
            where=source.where(("day_column",) if spec.day_column else ("table",)),
            expected=f"a date column of {spec.table}: {', '.join(dates) or 'it has none'}",
            remedy=f"`day_column: {dates[0]}`" if dates else "give the feed a column of type date",
        )
    for place, is_given in (
        (("is_per_subscriber",), spec.is_per_subscriber),
        (("features", "tables"), bool(spec.features.tables)),
    ):
        if is_given:
            yield ConfigError(
                f"`{'.'.join(place)}` is not for snapshots",
                where=source.where(place),
                expected="a monitor of daily tables",
                remedy="remove it",
            )


def _check_forecasters(spec: MonitorSpec, source: YamlSource) -> Iterator[ConfigError]:
    from mlops_assets.domain.quality.forecasters import FORECASTERS, find_forecaster

    for role in ("largest", "beyond"):
        chosen = getattr(spec.forecast, role)
        try:
            find_forecaster(chosen.kind, FORECASTERS).complete_parameters(chosen.parameters)
        except PlatformError as error:
            where = source.where(("forecast", role))
            yield ConfigError(error.what, where=where, expected=error.expected, remedy=error.remedy)
    country = spec.forecast.holidays_country
    yield from _unknown_country(country, source.where(("forecast", "holidays_country")))


def _check_watched(spec: MonitorSpec, source: YamlSource) -> Iterator[ConfigError]:
    from mlops_assets.domain.quality.watched_features import WATCHED_TABLES

    for place, table in enumerate(spec.features.tables):
        if table not in WATCHED_TABLES:
            where = source.where(("features", "tables", place))
            yield unknown("watched table", table, WATCHED_TABLES, where)


def _check_per_subscriber(
    config: ProjectConfig, sources: Mapping[str, YamlSource], findings: Findings
) -> None:
    """Subscribers are projected from their plan's range, and only one monitor can give it."""
    judging = [name for name, spec in config.monitors.items() if spec.is_per_subscriber]
    for number, name in enumerate(judging):
        spec, where = config.monitors[name], sources[f"quality/{name}"].where(("is_per_subscriber",))
        if (spec.table, list(spec.series_by)) != _PER_SUBSCRIBER:
            findings.add(
                ConfigError(
                    "subscribers cannot be judged by these series",
                    where=where,
                    expected="table etl/plan_usage_daily, series_by [plan_code]",
                    remedy="set `is_per_subscriber: false`",
                )
            )
        if number:
            findings.add(
                ConfigError(
                    "a second monitor judges single subscribers",
                    where=where,
                    expected=f"one such monitor; the other is {judging[0]}",
                    remedy="set `is_per_subscriber: false` in one of them",
                )
            )


def _unknown_country(country: str, where: str) -> Iterator[ConfigError]:
    from mlops_assets.domain.quality.holiday_calendar import NO_HOLIDAYS, known_countries

    if country not in {"", NO_HOLIDAYS} and country not in known_countries():
        yield unknown("country", country, known_countries(), where)
