"""Numbers, days and names as people read them.

Belongs here: text for one value. Does not belong here: tables, pages or anything that decides.
"""

from __future__ import annotations

import datetime as dt
import math

from mlops_assets.domain.percentages import show_percent

_READABLE = {
    "etl": "ETL",
    "roc_auc": "ROC AUC",
    "pr_auc": "Precision-recall AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
_SHORT_HASH_LENGTH = 12
_CENT = 0.01
_MILLIONTH = 1e-6
ABSENT = "\N{EN DASH}"


def format_name(name: str) -> str:
    """Return a metric, check or figure name without underscores: `roc_auc` as ROC AUC."""
    text = name.replace("_", " ")
    return _READABLE.get(name, text[:1].upper() + text[1:])


def format_count(value: int | None) -> str:
    """Return a whole number with thousands separators, or a dash for None."""
    return ABSENT if value is None else f"{value:,}"


def format_counted(count: int, singular: str, plural: str = "") -> str:
    """Return a count with what is counted: `1 day`, `1,234 days`; the plural ends in s unless it is given."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def format_number(value: float | None, *, is_signed: bool = False) -> str:
    """Return about four significant digits: 0.8123, 12.35, 214.3, 1,234; a dash for None."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 4 if size < 1 else 2 if size < 100 else 1 if size < 1000 else 0
    text = f"{value:{'+' if is_signed else ''},.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def format_money(value: float | None) -> str:
    """Return an amount with two decimals, or with two digits where cents would hide it; a dash for None.

    214.3 is 214.30, 0.00024 is 0.00024, and only zero is 0.00; what is smaller than a millionth says so.
    """
    if value is None:
        return ABSENT
    if 0 < abs(value) < _MILLIONTH:
        return "< 0.000001"
    decimals = 2 if value == 0 or abs(value) >= _CENT else 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def format_share(value: float | None) -> str:
    """Return a share of one as a percentage: 0.0312 as 3.12 %; a dash for None.

    What is too small for two decimals is `< 0.01 %`: zero is only what is zero.
    """
    if value is None:
        return ABSENT
    is_tiny = 0 < value < 0.00005
    return f"{'< 0.01' if is_tiny else f'{100 * value:.2f}'}\N{NO-BREAK SPACE}%"


def format_change(value: float | None) -> str:
    """Return a relative change as a percentage with its sign, rounded as its size allows; a dash for None.

    0.5 is +50 %, 0.031 is +3.1 %, and 0.0005 is `< 0.1 %`: zero is only what is zero.
    """
    if value is None:
        return ABSENT
    text = show_percent(value, is_signed=True)
    return text.replace("%", "\N{NO-BREAK SPACE}%").replace("-", "\N{MINUS SIGN}")


def format_interval(low: float | None, high: float | None) -> str:
    """Return an interval, or a dash if one end is missing."""
    return ABSENT if low is None or high is None else f"{format_number(low)} to {format_number(high)}"


def format_day(day: dt.date | None) -> str:
    """Return an ISO day, or a dash."""
    return ABSENT if day is None else day.isoformat()


def format_days(first: dt.date | None, last: dt.date | None) -> str:
    """Return a range of days; one day if both ends are the same, a dash without a first day."""
    if first is None or last is None or first == last:
        return format_day(first)
    return f"{first.isoformat()} to {last.isoformat()}"


def format_time(moment_utc: dt.datetime | None) -> str:
    """Return an aware time in UTC to the minute, or a dash."""
    return ABSENT if moment_utc is None else f"{moment_utc.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def shorten_hash(value: str) -> str:
    """Return the first twelve characters of a hash, enough to tell it apart and to type; a dash if it is empty."""
    return value[:_SHORT_HASH_LENGTH] or ABSENT
