"""Whether a rule asks for columns that exist, of the right type.

Belongs here: the check of a parsed rule against documented columns. Does not belong here: parsing
(eligibility_syntax.py) or the engine's expression (eligibility.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.offers.eligibility_syntax import (
    Between,
    Column,
    Comparison,
    Condition,
    Literal,
    Membership,
    Rule,
    RuleSyntaxError,
    list_conditions,
    parse_rule,
)

_KINDS = {"integer": "number", "decimal": "number", "text": "text", "boolean": "boolean"}


@cache
def rule_columns() -> Mapping[str, ColumnDoc]:
    """Return the columns that a rule may name: features of `etl/subscriber_features`, no key."""
    from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES

    columns = SUBSCRIBER_FEATURES.columns.items()
    return {name: doc for name, doc in columns if doc.role == "feature" and doc.type in _KINDS}


def check_rule(text: str) -> Rule:
    """Parse a rule and check its columns and the types of what they are compared with.

    Raises:
        RuleSyntaxError: it is no rule, names a column that there is not, or compares different types.
    """
    rule = parse_rule(text)
    for condition in list_conditions(rule):
        _check(condition, text)
    return rule


def _check(condition: Condition, text: str) -> None:
    kind = _kind_of(condition.column, text)
    column = condition.column
    other = condition.other if isinstance(condition, Comparison) else None
    if isinstance(other, Column) and _kind_of(other, text) != kind:
        raise _mismatch(column, text, f"`{other.name}`", kind)
    for value in _literals(condition):
        if isinstance(value, str) != (kind == "text") or (kind == "boolean" and value not in (0, 1)):
            raise _mismatch(column, text, repr(value), kind)
    is_ordering = isinstance(condition, Between) or (
        isinstance(condition, Comparison) and condition.sign not in ("=", "!=")
    )
    if is_ordering and kind != "number":
        raise RuleSyntaxError(
            f"`{column.name}` is {kind} and has no order", text, column.position, expected="=, != or in"
        )
    if isinstance(condition, Between) and condition.low > condition.high:  # type: ignore[operator]
        raise RuleSyntaxError(
            f"`{column.name}` lies between {condition.low} and {condition.high}, which is nowhere",
            text,
            column.position,
            expected="the lower end first",
        )


def _literals(condition: Condition) -> Iterator[Literal]:
    if isinstance(condition, Membership):
        yield from condition.values
    elif isinstance(condition, Between):
        yield from (condition.low, condition.high)
    elif not isinstance(condition.other, Column):
        yield condition.other


def _kind_of(column: Column, text: str) -> str:
    columns = rule_columns()
    if column.name not in columns:
        near = difflib.get_close_matches(column.name, columns, n=3)
        raise RuleSyntaxError(
            f"there is no column `{column.name}`",
            text,
            column.position,
            expected=f"a feature of etl/subscriber_features{', such as ' + ', '.join(near) if near else ''}",
        )
    return _KINDS[columns[column.name].type]


def _mismatch(column: Column, text: str, other: str, kind: str) -> ConfigError:
    expected = {"number": "a number", "text": "a 'string'", "boolean": "1 for true or 0 for false"}[kind]
    return RuleSyntaxError(
        f"`{column.name}` is {kind} and cannot be compared with {other}",
        text,
        column.position,
        expected=f"{expected}, or a column of the same type",
    )
