"""A label in words, as model cards show it.

Belongs here: sentences about a label. Does not belong here: what it means (spec.py) or its values
(corpus_expression.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlops_assets.domain.learning.spec import ColumnLabel, EventLabel, RowCondition


def describe_label(label: EventLabel | ColumnLabel) -> str:
    """Return what a model predicts, such as `a row in etl/churn_events within 7 days`."""
    if isinstance(label, ColumnLabel):
        return f"column {label.column}"
    what = f"{label.reduce} of {label.value} over the rows" if label.value else "a row"
    if label.days_until_first:
        what = f"days until the first row ({label.horizon_days} without any)"
    if label.windows_days:
        what = f"the first row, by windows of {', '.join(map(str, label.windows_days))} days,"
    where = _with("; ".join(_list_values(label.where)))
    text = f"{what} in {label.table}{where} within {label.horizon_days} days"
    return (
        text
        if label.given is None
        else f"{text}, among those with a row there{_with(_describe(label.given))}"
    )


def _describe(condition: RowCondition) -> str:
    least = [f"{name} at least {number:g}" for name, number in condition.at_least.items()]
    return "; ".join([*_list_values(condition.one_of), *least])


def _list_values(one_of: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield from (f"{name} one of {', '.join(values)}" for name, values in one_of.items())


def _with(conditions: str) -> str:
    return f" with {conditions}" if conditions else ""
