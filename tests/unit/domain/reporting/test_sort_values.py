"""By what cells are sorted: numbers without their units, nothing for what is not known, texts as they stand."""

from __future__ import annotations

import pytest

from mlops_assets.domain.reporting.formats import format_change, format_money, format_number, format_share
from mlops_assets.domain.reporting.sort_values import make_sort_values, read_number
from mlops_assets.domain.reporting.tables import Mark, make_table


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234.0),
        ("\N{MINUS SIGN}0.0050", -0.005),
        ("+1.04", 1.04),
        ("12.5\N{NO-BREAK SPACE}%", 12.5),
        ("< 0.01\N{NO-BREAK SPACE}%", 0.005),
        ("0.5465 to 1.53", 0.5465),
        ("2 GB", 2_000_000.0),
        ("900 MB", 900_000.0),
        ("250 ms", 0.25),
        ("2 min", 120.0),
        ("3 of 10", 3.0),
        ("fast", None),
        ("", None),
    ],
)
def test_a_number_is_read_without_its_unit(text: str, number: float | None) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize("show", [format_number, format_share, format_money, format_change])
def test_what_is_formatted_is_read_back_in_the_same_order(show: object) -> None:
    values = [-2000.0, -3.5, -0.2, 0.0, 0.00001, 0.03, 0.5, 12.0, 999.0, 123_456.0]
    assert callable(show)
    read = [read_number(show(value)) for value in values]
    assert None not in read
    assert read == sorted(read, key=float)


def _values(heading: str, *cells: str | Mark) -> list[str | None]:
    return [row[0] for row in make_sort_values(make_table("t", [heading], [[cell] for cell in cells]))]


def test_a_column_of_numbers_without_the_sign_for_it_sorts_as_numbers() -> None:
    assert _values("Version", "9", "10", "\N{EN DASH}") == ["9", "10", ""]
    assert _values("Size", "2 GB", "900 MB") == ["2000000", "900000"]


def test_days_times_and_mixed_words_sort_as_texts() -> None:
    assert _values("Day", "2026-09-02", "2026-09-10") == [None, None]
    assert _values("At", "2026-09-02 08:05 UTC", "") == [None, ""]
    assert _values("Value", "12", "twelve") == [None, None]


def test_a_mark_sorts_by_its_word_and_not_by_its_sign() -> None:
    assert _values("State", Mark("waits", "neutral"), Mark("built", "good")) == ["waits", "built"]
