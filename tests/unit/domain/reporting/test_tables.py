"""Tables and single values as people read them."""

from __future__ import annotations

import datetime as dt

import pytest

from mlops_assets.domain.reporting import formats
from mlops_assets.domain.reporting.tables import Code, Mark, make_table, to_markdown


def test_markdown_aligns_numbers_and_escapes() -> None:
    table = make_table(
        "T", ["Name", "#Rows", "Verdict"], [("a|b_c", "1", Mark("ok", "good")), (Code("x|y"), "2", "z\nw")]
    )
    assert to_markdown(table).splitlines() == [
        "| Name | Rows | Verdict |",
        "|---|---:|---|",
        "| a\\|b\\_c | 1 | ✔ ok |",
        "| `x\\|y` | 2 | z w |",
    ]


def test_an_empty_table_says_so() -> None:
    assert to_markdown(make_table("Refused feeds", ["a"], [])) == "_Refused feeds: nothing to show._"


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        make_table("T", ["a", "b"], [("1",)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.81234, "0.8123"),
        (12.345, "12.35"),
        (214.0, "214.0"),
        (12345.6, "12,346"),
        (-0.5, "\N{MINUS SIGN}0.5000"),
    ],
)
def test_numbers_have_about_four_digits(value: float | None, text: str) -> None:
    assert formats.format_number(value) == text


def test_single_values() -> None:
    assert formats.format_number(0.0117, is_signed=True) == "+0.0117"
    assert formats.format_share(0.0312) == "3.12\N{NO-BREAK SPACE}%"
    assert formats.format_count(1234567) == "1,234,567"
    assert formats.format_days(dt.date(2024, 1, 1), dt.date(2024, 1, 1)) == "2024-01-01"
    assert formats.format_name("hist_gradient_boosting") == "Hist gradient boosting"
    assert formats.shorten_hash("") == "\N{EN DASH}"
    zone = dt.timezone(dt.timedelta(hours=-3))
    assert formats.format_time(dt.datetime(2024, 3, 1, 22, 30, tzinfo=zone)) == "2024-03-02 01:30 UTC"
