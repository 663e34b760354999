"""Percentages that are not zero are not shown as zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.percentages import show_percent
from mlops_assets.domain.reporting.formats import format_change, format_share


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (0.0005, "< 0.1%"),
        (0.001, "0.1%"),
        (0.031, "3.1%"),
        (0.05, "5%"),
        (0.2, "20%"),
        (1.0, "100%"),
    ],
)
def test_decimals_follow_the_size(share: float, text: str) -> None:
    assert show_percent(share) == text


def test_signs_and_fixed_decimals() -> None:
    assert show_percent(0.085, is_signed=True) == "+8.5%"
    assert show_percent(-0.5, is_signed=True) == "-50%"
    assert show_percent(0.15, decimals=1) == "15.0%"
    assert show_percent(0.0004, decimals=1) == "< 0.1%"


@given(st.floats(-10, 10).filter(lambda value: value != 0))
def test_only_zero_is_zero(value: float) -> None:
    digits = {"1", "2", "3", "4", "5", "6", "7", "8", "9"}
    for text in (show_percent(value), format_change(value), format_share(abs(value))):
        assert digits & set(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0005, "< 0.1 %"),
        (-0.0005, "< 0.1 %"),
        (75 / 525, "+14 %"),
        (-0.5, "\N{MINUS SIGN}50 %"),
    ],
)
def test_changes_in_tables(value: float | None, text: str) -> None:
    assert format_change(value).replace("\N{NO-BREAK SPACE}", " ") == text


def test_shares_in_tables() -> None:
    shown = [format_share(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.0, 0.00001, 0.0005, 0.05)]
    assert shown == ["0.00 %", "< 0.01 %", "0.05 %", "5.00 %"]
