"""What a feed's contract refuses by itself, before any file is there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.quality.spec import MonitorSpec

KEY = {"name": "id", "source": "ID", "type": "integer"}
TIME = {"name": "seen_at", "source": "SEEN", "type": "timestamp"}


def feed(**changes: Any) -> FeedContract:
    """Return a small daily feed with some fields replaced."""
    fields = {
        "name": "one",
        "description": "d",
        "owner": "team:x",
        "file_pattern": "one_{day}.parquet",
        "key": ["id"],
        "columns": [KEY, TIME],
    }
    return FeedContract.model_validate({**fields, **changes})


@pytest.mark.parametrize("pattern", ["one_{day}_{day}.parquet", "{day", "one_{hour}_{day}.csv", "..{day}"])
def test_a_file_pattern_names_the_day_once_and_nothing_else(pattern: str) -> None:
    """Whoever looks for files cuts the pattern in two at the day."""
    for changes in ({"file_pattern": pattern}, {"geographies": {"cl": {"file_pattern": pattern}}}):
        with pytest.raises(ValidationError, match=r"the only placeholder is \{day\}, once"):
            feed(**changes)


def test_a_geographys_file_pattern_has_a_day_like_the_feed() -> None:
    with pytest.raises(ValidationError, match=r"daily feeds, and only they, have \{day\} in `file_pattern`"):
        feed(geographies={"cl": {"file_pattern": "one.parquet"}})
    with pytest.raises(ValidationError, match=r"daily feeds, and only they, have \{day\} in `file_pattern`"):
        feed(
            cadence="snapshot",
            file_pattern="one.parquet",
            geographies={"cl": {"file_pattern": "one_{day}.parquet"}},
        )


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"day_column": "seen_at"}, "`day_column`"),
        ({"columns": [KEY, {**TIME, "timezone": "local"}]}, "`timezone: local`"),
    ],
)
def test_a_snapshot_has_no_day_that_its_rows_could_be_of(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=f"a snapshot has no day: leave out {what}"):
        feed(cadence="snapshot", file_pattern="one.parquet", **changes)


def test_a_snapshot_has_no_geography_that_could_differ() -> None:
    with pytest.raises(ValidationError, match="one file of no geography: leave out `geographies`"):
        feed(cadence="snapshot", file_pattern="one.parquet", geographies={"cl": {"delimiter": ";"}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "text", "maximum": 3}, "units and ranges are for integer and decimal columns"),
        ({"type": "date", "minimum": 3}, "units and ranges are for integer and decimal columns"),
        ({"type": "integer", "allowed": ["1"]}, "`allowed` and `code_map` are for text columns"),
        ({"type": "date", "code_map": "plan"}, "`allowed` and `code_map` are for text columns"),
        ({"type": "integer", "values": {"A": "1"}}, "`values` are for text and boolean columns"),
        (
            {"type": "integer", "unit": "KB", "source_unit": "MB", "source_unit_column": "UNIT"},
            "either `source_unit` or `source_unit_column`",
        ),
    ],
)
def test_what_a_columns_type_would_ignore_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ColumnContract.model_validate({"name": "a", "source": "A", **fields})


def test_an_unknown_column_is_a_key_error() -> None:
    assert feed().column("seen_at").source == "SEEN"
    with pytest.raises(KeyError, match="gone"):
        feed().column("gone")


@pytest.mark.parametrize(
    ("own", "changed"),
    [
        ({"source_unit_column": "UNIT"}, {"source_unit": "MB"}),
        ({"source_unit": "MB"}, {"source_unit_column": "UNIT"}),
    ],
)
def test_a_geography_may_say_in_the_other_way_which_unit_it_delivers(
    own: dict[str, str], changed: dict[str, str]
) -> None:
    """A column that names units row by row must not be asked for where all rows share one."""
    volume = {"name": "volume_kb", "source": "VOLUME", "type": "integer", "unit": "KB", **own}
    whole = feed(columns=[KEY, TIME, volume], geographies={"pe": {"columns": {"volume_kb": changed}}})
    found = whole.for_geography(["pe"]).column("volume_kb")
    assert {"source_unit": found.source_unit, "source_unit_column": found.source_unit_column} == {
        **dict.fromkeys(own),
        **changed,
    }


@pytest.mark.parametrize("owner", ["Data team", "team:", "team:data quality", "ana@operator"])
def test_an_owner_is_a_team_or_a_mail_address(owner: str) -> None:
    """The asset of a feed or monitor has the owner, and the graph takes no other."""
    with pytest.raises(ValidationError, match="owner"):
        feed(owner=owner)
    with pytest.raises(ValidationError, match="owner"):
        MonitorSpec(
            name="one", description="d", owner=owner, table="feeds/one", series_by=["plan"], value="seconds"
        )
    assert feed(owner="team:x").owner == "team:x"
