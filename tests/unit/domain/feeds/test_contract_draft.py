"""What a sample of rows suggests about a feed, and which guesses are told as such."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.domain.errors import FeedRefusedError
from mlops_assets.domain.feeds.contract_draft import DraftColumn, draft_columns, draft_key, guess_delimiter
from mlops_assets.domain.feeds.delivered_file import DeliveredFile, read_csv_facts


def draft(source: str, *texts: str) -> DraftColumn:
    """Return what is made of one column."""
    (column,) = draft_columns(DeliveredFile({source: "string"}, len(texts), sample={source: list(texts)}))
    return column


@pytest.mark.parametrize(
    ("texts", "kind", "form"),
    [
        (["1", "-20"], "integer", ""),
        (["1.5", "20"], "decimal", ""),
        (["007", "12"], "text", ""),  # leading zeros would be lost
        (["12345678901234567890"], "text", ""),  # beyond 64 bits
        (["true", "FALSE"], "boolean", ""),
        (["2026-08-03"], "date", ""),
        (["2026-08-03 10:00:00", "2026-08-03T11:00:00"], "timestamp", ""),
        (["31/08/2026"], "date", "%d/%m/%Y"),
        (["08/31/2026"], "date", "%m/%d/%Y"),
        (["31.08.2026 10:00:00"], "timestamp", "%d.%m.%Y %H:%M:%S"),
        (["2026-08-03", "later"], "text", ""),
        (["", " "], "text", ""),
    ],
)
def test_type_is_read_off_the_rows(texts: list[str], kind: str, form: str) -> None:
    column = draft("WHAT", *texts)
    assert (column.type, column.format) == (kind, form)


@pytest.mark.parametrize(
    ("source", "name", "unit"),
    [
        ("DATA_MB", "data_mb", "MB"),
        ("callSecs", "call_secs", "second"),
        ("Amount USD", "amount_usd", "usd"),
        ("Load-Pct", "load_pct", "percent"),
        ("MSISDN", "msisdn", ""),
        ("_2nd", "column_2nd", ""),
    ],
)
def test_name_is_ours_and_may_tell_the_unit(source: str, name: str, unit: str) -> None:
    column = draft(source, "1")
    assert (column.name, column.unit) == (name, unit)
    assert any("guessed from the name" in doubt for doubt in column.doubts) == bool(unit)


def test_text_has_no_unit_whatever_its_name() -> None:
    assert draft("LAST_MB", "many").unit == ""


def test_gaps_and_signs_are_seen() -> None:
    assert draft("N", "1", "", "2").is_nullable
    assert draft("N", "1", "2").is_never_negative
    assert not draft("N", "1", "-2").is_never_negative


def test_ambiguous_days_are_told() -> None:
    assert draft("SOLD", "03/08/2026").doubts == ("written as %d/%m/%Y: is the day before the month?",)


def test_key_is_the_fewest_first_columns_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    path.write_text("A,B,C\n1,1,x\n1,2,x\n2,1,x\n")
    facts = read_csv_facts(path, ",")
    assert draft_key(draft_columns(facts), facts.sample) == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "delimiter"), [("A;B;C,D", ";"), ("A,B", ","), ("A|B", "|"), ("A\tB", "\t")]
)
def test_delimiter_is_the_most_frequent(header: str, delimiter: str) -> None:
    assert guess_delimiter(header) == delimiter


def test_columns_that_would_be_one_are_refused() -> None:
    file = DeliveredFile({"DataMB": "string", "DATA_MB": "string"}, 0)
    with pytest.raises(FeedRefusedError, match="two columns would both be called data_mb"):
        draft_columns(file)


def test_header_that_is_no_header_is_refused() -> None:
    with pytest.raises(FeedRefusedError, match="a column's name cannot stand in a contract"):
        draft("56900000001", "1")
