"""Rules between a model's label and the tables and feeds that it is made of.

Belongs here: whether table, columns and values of a label exist. Does not belong here: what a label means
(domain/learning/spec.py), or the other settings of a model (cross_checks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlops_assets.config.loader import Findings
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.table_names import known_tables, table_columns, unknown
from mlops_assets.config.yaml_source import KeyPath, YamlSource
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.feeds.contract import ColumnContract
from mlops_assets.domain.learning.spec import EventLabel, ModelSpec


def check_label(  # noqa: PLR0917 - private, one caller
    config: ProjectConfig,
    use_case: UseCase,
    model: ModelSpec,
    at: Sequence[str | int],
    columns: Mapping[str, ColumnDoc],
    source: YamlSource,
    findings: Findings,
) -> None:
    """Add a finding if the label's table, columns or values do not exist.

    Args:
        config: the whole project.
        use_case: as a segment has it.
        model: of that use case.
        at: key path of the model.
        columns: documented columns of the corpus table.
        source: where the values were read.
        findings: receives what is wrong.
    """
    label = model.label
    if isinstance(label, EventLabel):
        _check_event(config, use_case, label, at, source, findings)
    elif label.column not in columns:
        what, where = f"column of {use_case.corpus.table}", source.where((*at, "label", "column"))
        findings.add(unknown(what, label.column, columns, where))


def _check_event(
    config: ProjectConfig,
    use_case: UseCase,
    label: EventLabel,
    at: Sequence[str | int],
    source: YamlSource,
    findings: Findings,
) -> None:
    known, where = table_columns(config, label.table), source.where((*at, "label", "table"))
    entity_key = use_case.corpus.entity_key
    if known is None:
        findings.add(unknown("table", label.table, known_tables(config), where))
    elif entity_key not in known:
        findings.add(unknown(f"column of {label.table}", entity_key, known, where))
    elif label.table == use_case.corpus.table:
        what, remedy = (
            "the label is an event of the corpus table itself",
            "name the table that holds the events",
        )
        findings.add(ConfigError(what, where=where, remedy=remedy))
    else:
        _check_outcome(label, at, known, source, findings)
        _check_values(config, label, at, source, findings)


def _check_outcome(
    label: EventLabel,
    at: Sequence[str | int],
    known: Mapping[str, ColumnDoc],
    source: YamlSource,
    findings: Findings,
) -> None:
    """What a label filters by or sums must be columns of its table, and numbers where it compares or sums."""
    what = f"column of {label.table}"
    places: list[tuple[KeyPath, str, bool]] = [(("where", column), column, False) for column in label.where]
    if label.given is not None:
        places += [(("given", "one_of", column), column, False) for column in label.given.one_of]
        places += [(("given", "at_least", column), column, True) for column in label.given.at_least]
    if label.value is not None:
        places.append((("value",), label.value, True))
    for place, column, is_number in places:
        where = source.where((*at, "label", *place))
        if column not in known:
            findings.add(unknown(what, column, known, where))
        elif is_number and known[column].type not in {"integer", "decimal"}:
            kind = known[column].type
            findings.add(ConfigError(f"{column} is a {kind} column", where=where, expected="a number"))


def _check_values(
    config: ProjectConfig, label: EventLabel, at: Sequence[str | int], source: YamlSource, findings: Findings
) -> None:
    """A value that a feed's column never has would make a label that never happens."""
    feed = config.feeds.get(label.table.removeprefix("feeds/"))
    if feed is None or not label.table.startswith("feeds/"):
        return
    known = {column.name: _values_of(config, column) for column in feed.columns}
    conditions = [(("where",), label.where), (("given", "one_of"), label.given.one_of if label.given else {})]
    for place, one_of in conditions:
        for column, values in one_of.items():
            for value in values:
                if known.get(column) and value not in known[column]:
                    where = source.where((*at, "label", *place, column))
                    findings.add(unknown(f"value of {column}", value, known[column], where))


def _values_of(config: ProjectConfig, column: ColumnContract) -> set[str]:
    """Return every value that a column may have; nothing where that is not known."""
    if column.type == "boolean":
        return {"true", "false"}
    if column.code_map == "plan":
        return {plan for one in config.geographies.values() for plan in one.plan_codes.values()}
    return set(column.allowed)
