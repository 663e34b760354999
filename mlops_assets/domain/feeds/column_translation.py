"""One column of a delivered file as an expression: its value in our terms and the checks it must pass.

Belongs here: casts, units, codes and ranges of single columns. Does not belong here: what is done with
good and bad rows (homologation). Expressions stay in the subset that DuckDB, BigQuery and Spark share.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract, Geography
from mlops_assets.domain.feeds.time_format import parse_time_format
from mlops_assets.domain.feeds.units import UNITS, linear_conversion

# Ibis ships no types: expressions are `Any` by nature.
Expression = Any

OUTPUT_TYPES = {
    "integer": "int64",
    "decimal": "float64",
    "text": "string",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
# Without `maximum`, a delivered number beyond this is refused as nonsense; sums stay exact below it.
LARGEST_NUMBER = 1e12
_TOLERANCE = 1e-9  # relative; what a unit conversion may add to a value at its limit
_WHITESPACE = " \t\r\n\v\f"
_TRUE_TEXTS, _FALSE_TEXTS = ["true", "t", "1", "y", "yes"], ["false", "f", "0", "n", "no"]


@dataclass(frozen=True)
class Check:
    """A condition on a row; a NULL condition counts as failed.

    Attributes:
        reason: `column: rule`, what the quarantine shows.
        expected: what would have passed.
        holds: boolean expression.
        is_implied: a later check fails too whenever this one does; it only gives the more exact reason.
    """

    reason: str
    expected: str
    holds: Expression
    is_implied: bool = False


@dataclass(frozen=True)
class TranslatedColumn:
    """A column in our terms. `value` may still be an integral float; `output` has the type that is kept."""

    contract: ColumnContract
    value: Expression
    checks: tuple[Check, ...]

    @property
    def output(self) -> Expression:
        """Return the value with the contract's type and name."""
        target = OUTPUT_TYPES[self.contract.type]
        value = self.value
        if target == "int64" and value.type().is_floating():
            value = value.try_cast(target)
        elif str(value.type()).removeprefix("!") != target:
            value = value.cast(target)
        return value.name(self.contract.name)


def translate_column(table: Expression, column: ColumnContract, geography: Geography) -> TranslatedColumn:
    """Return the expression of one column over `table` (raw file with unit factors, joined to its context).

    Raises:
        ConfigError: the contract asks for a unit conversion that does not exist.
    """
    translate: Callable[[Expression, ColumnContract, Geography], tuple[Expression, list[Check]]] = {
        "integer": _translate_number,
        "decimal": _translate_number,
        "text": _translate_text,
        "boolean": _translate_boolean,
        "date": _translate_date,
        "timestamp": _translate_timestamp,
    }[column.type]
    value, checks = translate(table, column, geography)
    if column.nullable:
        absent = _is_absent(table, column)
        checks = [Check(c.reason, c.expected, absent | c.holds, c.is_implied) for c in checks]
    else:
        checks.insert(
            0, Check(f"{column.name}: missing", "a value", ~_is_absent(table, column), bool(checks))
        )
    return TranslatedColumn(column, value, tuple(checks))


def unit_conversions(column: ColumnContract, geography: Geography) -> dict[str, tuple[float, float]]:
    """Return (factor, offset) to the column's unit for every unit that a unit column may name.

    Money may also be named by the geography's currency or `USD`.
    """
    target = column.unit or ""
    wanted = {name for name, unit in UNITS.items() if unit.dimension == UNITS[target].dimension}
    conversions = {name: linear_conversion(name, target) for name in sorted(wanted)}
    if UNITS[target].dimension == "money":
        conversions["USD"] = linear_conversion("usd", target)
        conversions[geography.currency] = fixed_conversion("local_currency", target, geography)
    return conversions


def fixed_conversion(source: str, target: str, geography: Geography) -> tuple[float, float]:
    """Return (factor, offset) from a unit that all rows share.

    Raises:
        ConfigError: the units measure different things.
    """
    if source != "local_currency":
        return linear_conversion(source, target)
    return geography.usd_per_unit * linear_conversion("usd", target)[0], 0.0


def _is_absent(table: Expression, column: ColumnContract) -> Expression:
    """Whether nothing was delivered; a blank text is nothing."""
    source = table[column.source]
    absent = source.isnull()
    return absent | (_stripped(source, column) == "") if source.type().is_string() else absent


def _stripped(text: Expression, column: ColumnContract) -> Expression:
    """Strip a text that holds whitespace at all: DuckDB takes 260 ns to strip one, 25 to see that it need not.

    Codes are stripped as they are: the engine does it once a code, not once a row.
    """
    import ibis

    if column.code_map or column.values or column.allowed:
        return text.strip()
    holds_whitespace = functools.reduce(operator.or_, (text.contains(space) for space in _WHITESPACE))
    return ibis.ifelse(holds_whitespace, text.strip(), text)


# ---------------------------------------------------------------- numbers


def _translate_number(
    table: Expression, column: ColumnContract, geography: Geography
) -> tuple[Expression, list[Check]]:
    number, checks = _parsed_number(table[column.source], column)
    if column.source_unit_column:
        factor, offset, unit_check = _row_conversion(table, column, geography)
        return _converted(number, column, factor, offset, [*checks, unit_check])
    if column.source_unit and column.source_unit != column.unit:
        factor, offset = fixed_conversion(column.source_unit, str(column.unit), geography)
        return _converted(number, column, factor, offset or None, checks)
    checks += _integral_check(number, column)
    return number, checks + _range_checks(number, number, column, is_converted=False)


def _parsed_number(source: Expression, column: ColumnContract) -> tuple[Expression, list[Check]]:
    """Return int64 (numbers that are and stay whole, such as identifiers) or float64, and its checks."""
    is_converted = bool(column.source_unit_column) or column.source_unit not in {None, column.unit}
    is_whole = column.type == "integer" and not is_converted
    kind = source.type()
    if kind.is_string():
        number = source.try_cast("int64" if is_whole else "float64")
        # Engines differ in what '1.5' is as an integer: nothing, 1 or 2.
        readable = number.notnull() & ~source.contains(".") if is_whole else number.notnull()
        return number, [Check(f"{column.name}: not a number", f"{column.type} numbers", readable)]
    if kind.is_integer():
        return source.cast("int64") if is_whole else source.cast("float64"), []
    return source.cast("float64"), []


def _integral_check(number: Expression, column: ColumnContract) -> list[Check]:
    if column.type != "integer" or not number.type().is_floating():
        return []
    return [Check(f"{column.name}: not a whole number", "whole numbers", number == _round()(number))]


def add_unit_factors(table: Expression, contract: FeedContract, geography: Geography) -> Expression:
    """Return the raw file with a column for the factor of each unit column and unit that we keep.

    One look at the unit a row serves all columns that share it, and happens where the engine still sees a
    dictionary of units in place of a text a row (measured: a quarter of the CPU of usage).

    Raises:
        ConfigError: the contract asks for a unit conversion that does not exist.
    """
    factors = {}
    for column in contract.columns:
        if column.source_unit_column:
            by_unit = {name: factor for name, (factor, _) in unit_conversions(column, geography).items()}
            factors[_factor_name(column)] = _by_unit(table[column.source_unit_column], by_unit)
    return table.mutate(**factors) if factors else table


def _factor_name(column: ColumnContract) -> str:
    return f"__{column.unit}_per_{column.source_unit_column}"


def _by_unit(unit: Expression, numbers: Mapping[str, float]) -> Expression:
    """Return the number of the row's unit. Plain literals would be decimals, cast a row at a time."""
    import ibis

    return ibis.cases(
        *(
            (unit == name, ibis.literal(number, "float64").cast("!float64"))
            for name, number in numbers.items()
        )
    )


def _row_conversion(
    table: Expression, column: ColumnContract, geography: Geography
) -> tuple[Expression, Expression | None, Check]:
    """Return factor and offset by the row's unit, and the check that the unit is known."""
    known, factor = unit_conversions(column, geography), table[_factor_name(column)]
    offsets = {name: offset for name, (_, offset) in known.items()}
    offset = _by_unit(table[column.source_unit_column], offsets) if any(offsets.values()) else None
    expected = f"one of {', '.join(known)}"
    return factor, offset, Check(f"{column.source_unit_column}: unknown unit", expected, factor.notnull())


def _converted(
    number: Expression,
    column: ColumnContract,
    factor: Expression,
    offset: Expression | None,
    checks: list[Check],
) -> tuple[Expression, list[Check]]:
    converted = number * factor if offset is None else number * factor + offset
    # Factors are positive, so that a lower limit of zero can be checked on the delivered number, where the
    # engine proves it from the file's statistics instead of row by row.
    low = number if offset is None and column.minimum in {None, 0.0} else converted
    high = number if column.maximum is None else converted
    checks = checks + _range_checks(low, high, column, is_converted=True)
    return (_round()(converted) if column.type == "integer" else converted), checks


def _range_checks(
    low: Expression, high: Expression, column: ColumnContract, *, is_converted: bool
) -> list[Check]:
    """Limits in our unit; numbers without limits of their own must still be finite."""
    minimum, maximum = column.minimum, column.maximum
    if low.type().is_integer():
        return _whole_range_checks(low, column)
    slack = _TOLERANCE if is_converted else 0.0
    bottom = -LARGEST_NUMBER if minimum is None else minimum - slack * abs(minimum)
    top = LARGEST_NUMBER if maximum is None else maximum + slack * abs(maximum)
    unit = f" {column.unit}" if column.unit else ""
    return [
        Check(f"{column.name}: below minimum", f"at least {bottom:g}{unit}", low >= bottom),
        Check(f"{column.name}: above maximum", f"at most {top:g}{unit}", high <= top),
    ]


def _whole_range_checks(number: Expression, column: ColumnContract) -> list[Check]:
    checks = []
    if column.minimum is not None:
        bottom = math.ceil(column.minimum)
        checks.append(Check(f"{column.name}: below minimum", f"at least {bottom}", number >= bottom))
    if column.maximum is not None:
        top = math.floor(column.maximum)
        checks.append(Check(f"{column.name}: above maximum", f"at most {top}", number <= top))
    return checks


@functools.cache
def _round() -> Callable[[Expression], Expression]:
    """Return ROUND, half away from zero on all three engines, as a float (Ibis' own casts and may fail)."""
    import ibis

    def round_half_away(number: float) -> float:
        raise NotImplementedError  # the engine's own function; Ibis reads only this signature

    # Annotations are texts in this module, and Ibis wants types.
    round_half_away.__annotations__ = {"number": float, "return": float}
    builtin: Callable[[Expression], Expression] = ibis.udf.scalar.builtin(name="round")(round_half_away)
    return builtin


# ---------------------------------------------------------------- other types


def _translate_text(
    table: Expression, column: ColumnContract, geography: Geography
) -> tuple[Expression, list[Check]]:
    import ibis

    text = _stripped(table[column.source].cast("string"), column).nullif("")
    codes: Mapping[str, str] = geography.plan_codes if column.code_map == "plan" else column.values
    checks = []
    if codes:
        checks.append(
            Check(f"{column.name}: unknown code", f"one of {', '.join(codes)}", text.isin(list(codes)))
        )
        text = ibis.cases(*((text == theirs, ours) for theirs, ours in codes.items()))
    if column.allowed and not (codes and set(codes.values()) <= set(column.allowed)):
        expected = f"one of {', '.join(column.allowed)}"
        checks.append(Check(f"{column.name}: not an allowed value", expected, text.isin(column.allowed)))
    return text, checks


def _translate_boolean(
    table: Expression, column: ColumnContract, _geography: Geography
) -> tuple[Expression, list[Check]]:
    import ibis

    source = table[column.source]
    if source.type().is_boolean():
        return source, []
    text = source.cast("string").lower()
    true = [*_TRUE_TEXTS, *(theirs.lower() for theirs, ours in column.values.items() if ours == "true")]
    false = [*_FALSE_TEXTS, *(theirs.lower() for theirs, ours in column.values.items() if ours == "false")]
    value = ibis.cases((text.isin(true), True), (text.isin(false), False))
    return value, [Check(f"{column.name}: not a boolean", ", ".join(true + false), text.isin(true + false))]


def _translate_date(
    table: Expression, column: ColumnContract, _geography: Geography
) -> tuple[Expression, list[Check]]:
    source = table[column.source]
    if source.type().is_string():
        text, form = _iso_text(source, column, "YYYY-MM-DD")
        value = text.try_cast("date")
        return value, [Check(f"{column.name}: not a date", f"dates as {form}", value.notnull())]
    return (source if source.type().is_date() else source.cast("date")), []


def _translate_timestamp(
    table: Expression, column: ColumnContract, _geography: Geography
) -> tuple[Expression, list[Check]]:
    import ibis

    source, checks = table[column.source], []
    value = source
    if source.type().is_string():
        text, form = _iso_text(source, column, "YYYY-MM-DD HH:MM:SS")
        value = text.try_cast("timestamp")
        checks.append(Check(f"{column.name}: not a timestamp", f"timestamps as {form}", value.notnull()))
    elif source.type().timezone or source.type().scale not in {None, 6}:
        value = source.cast("timestamp")
    if column.timezone == "local":
        offset_s = ibis.ifelse(value < table.transition_local, table.offset_before_s, table.offset_after_s)
        value = value - offset_s.as_interval("s")
    return value, checks


def _iso_text(text: Expression, column: ColumnContract, iso_words: str) -> tuple[Expression, str]:
    """Return the text in ISO form, which is no date where it is not in the column's format; that format in words."""
    import ibis

    if column.format is None:
        return text, iso_words
    form, text = parse_time_format(column.format, column.type), text.strip()
    pieces = [ibis.literal(before) + _two_digits(text, pattern) for before, pattern in form.iso_parts]
    return functools.reduce(operator.add, pieces), form.words


def _two_digits(text: Expression, pattern: str) -> Expression:
    """Return the part in the pattern's one group, with a zero in front if it has one digit; else empty or NULL."""
    import ibis

    part = text.re_extract(pattern, 1)
    return ibis.ifelse(part.length() == 1, ibis.literal("0") + part, part)


def require_conversions(column: ColumnContract, geography: Geography) -> None:
    """Check that the units of a column can be converted, before any file is there.

    Raises:
        ConfigError: they measure different things; correct the unit in the feed's YAML.
    """
    if column.source_unit_column and column.unit not in UNITS:
        raise ConfigError(
            f"{column.name}: {column.unit!r} cannot be the unit we keep", expected=", ".join(UNITS)
        )
    if column.source_unit and column.source_unit != column.unit:
        fixed_conversion(column.source_unit, str(column.unit), geography)
