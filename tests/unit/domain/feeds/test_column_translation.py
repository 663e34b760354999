"""Single columns: units, types and codes."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.column_translation import (
    fixed_conversion,
    require_conversions,
    translate_column,
    unit_conversions,
)
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.feeds.time_format import parse_time_format
from mlops_assets.domain.feeds.units import UNITS, linear_conversion
from mlops_assets.domain.table_sql import compile_sql
from tests.unit.domain.feeds.conftest import DAY, World, geography, utc

PAIRS = [(a, b) for a in UNITS for b in UNITS if UNITS[a].dimension == UNITS[b].dimension]


@given(pair=st.sampled_from(PAIRS), value=st.floats(-1e6, 1e6))
def test_units_convert_there_and_back(pair: tuple[str, str], value: float) -> None:
    there, back = linear_conversion(*pair), linear_conversion(pair[1], pair[0])
    result = (value * there[0] + there[1]) * back[0] + back[1]
    assert result == pytest.approx(value, rel=1e-9, abs=1e-6)


@given(rate=st.floats(1e-6, 10.0), value=st.floats(0, 1e6))
def test_local_currency_converts_to_cents(rate: float, value: float) -> None:
    place = geography("cl").model_copy(update={"usd_per_unit": rate})
    factor, offset = fixed_conversion("local_currency", "usd_cent", place)
    assert offset == 0.0
    assert value * factor == pytest.approx(value * rate * 100.0)


def test_money_may_be_named_by_currency() -> None:
    column = ColumnContract(name="a", source="A", type="integer", unit="usd_cent", source_unit_column="CUR")
    known = unit_conversions(column, geography("pe"))
    assert known["PEN"][0] == pytest.approx(27.0)
    assert known["USD"] == (100.0, 0.0)


def test_units_of_other_dimensions_are_refused() -> None:
    column = ColumnContract(name="a", source="A", type="integer", unit="KB", source_unit="minute")
    with pytest.raises(ConfigError, match="cannot become KB"):
        require_conversions(column, geography("cl"))


def feed_of(**fields: Any) -> FeedContract:
    key = {"name": "id", "source": "ID", "type": "integer"}
    column = {"name": "a", "source": "A", **fields}
    return FeedContract.model_validate(
        {
            "name": "one",
            "description": "d",
            "owner": "team:x",
            "file_pattern": "one_{day}.parquet",
            "key": ["id"],
            "quarantine_share_max": 1.0,
            "columns": [key, column],
        }
    )


NAIVE = utc("2026-08-10 12:30:00")
CASES: list[tuple[dict[str, Any], pa.Array, list[Any]]] = [
    ({"type": "integer"}, pa.array(["1", "2.5", "x", "", None, " 7"]), [1, 7]),
    ({"type": "integer", "nullable": True}, pa.array(["1", "2.5", ""]), [1, None]),
    ({"type": "integer"}, pa.array([1.0, 2.5, float("nan"), 1e300]), [1]),
    ({"type": "integer"}, pa.array([2**62 + 1]), [2**62 + 1]),
    ({"type": "integer"}, pa.array(["4611686018427387905"]), [2**62 + 1]),
    ({"type": "integer"}, pa.array([1, 2], pa.uint8()), [1, 2]),
    ({"type": "integer"}, pa.array([decimal.Decimal("3.00"), decimal.Decimal("3.50")]), [3]),
    (
        {"type": "integer", "unit": "KB", "source_unit": "MB"},
        pa.array([1.5, 0.00048828125, -1.0]),
        [1536, 1, -1024],
    ),
    ({"type": "integer", "unit": "KB", "source_unit": "MB"}, pa.array([2, 3], pa.int32()), [2048, 3072]),
    ({"type": "integer", "minimum": 2, "maximum": 3}, pa.array([1, 2, 3, 4]), [2, 3]),
    ({"type": "decimal"}, pa.array(["1.5", "nan", "inf", "-2e3"]), [1.5, -2000.0]),
    ({"type": "decimal"}, pa.array([1.5], pa.float32()), [1.5]),
    (
        {"type": "decimal", "unit": "share", "source_unit": "percent", "maximum": 1},
        pa.array([100.0, 100.1, 57.0]),
        [1.0, 0.57],
    ),
    (
        {"type": "decimal", "unit": "celsius", "source_unit": "fahrenheit", "maximum": 150},
        pa.array([302.0, 303.0, 32.0]),
        [150.0, 0.0],
    ),
    ({"type": "text"}, pa.array(["x", "", None]), ["x"]),
    ({"type": "text"}, pa.array([7]), ["7"]),
    ({"type": "text"}, pa.array(["x"]).dictionary_encode(), ["x"]),
    ({"type": "text", "allowed": ["x"]}, pa.array(["x", "y"]), ["x"]),
    ({"type": "text", "values": {"A": "x"}, "nullable": True}, pa.array(["A", "B", None]), ["x", None]),
    ({"type": "text", "code_map": "plan"}, pa.array(["CL-DAT-S", "P11"]), ["data_s"]),
    ({"type": "boolean"}, pa.array([True, None]), [True]),
    ({"type": "boolean"}, pa.array(["Y", "no", "T", "maybe"]), [True, False, True]),
    ({"type": "boolean"}, pa.array([1, 0, 2]), [True, False]),
    ({"type": "boolean", "values": {"SI": "true"}}, pa.array(["si", "n"]), [True, False]),
    ({"type": "date"}, pa.array([DAY, None]), [DAY]),
    ({"type": "date"}, pa.array(["2026-08-10", "10/08/2026"]), [DAY]),
    ({"type": "date"}, pa.array([NAIVE]), [DAY]),
    (
        {"type": "date", "format": "%d/%m/%Y"},
        pa.array(
            ["10/08/2026", " 10/8/2026 ", "2026-08-10", "31/02/2026", "10.08.2026", "10/08/26", "", None]
        ),
        [DAY, DAY],
    ),
    ({"type": "date", "format": "%m/%d/%Y", "nullable": True}, pa.array(["08/10/2026", " "]), [DAY, None]),
    ({"type": "date", "format": "%d/%m/%Y"}, pa.array(["1/12/2026"]), [dt.date(2026, 12, 1)]),
    ({"type": "date", "format": "%Y%m%d"}, pa.array(["20260810", "202608100", "2026081"]), [DAY]),
    ({"type": "date", "format": "%d.%m.%Y"}, pa.array(["10.08.2026", "10x08x2026"]), [DAY]),
    ({"type": "date", "format": "%d/%m/%Y"}, pa.array([DAY]), [DAY]),
    ({"type": "timestamp"}, pa.array(["2026-08-10 12:30:00", "soon"]), [NAIVE]),
    (
        {"type": "timestamp", "format": "%m/%d/%Y %H:%M:%S"},
        pa.array(["08/10/2026 12:30:00", "10/08/2026 12:30", "08/10/2026 25:30:00", "2026-08-10 12:30:00"]),
        [NAIVE],
    ),
    (
        {"type": "timestamp", "format": "%d-%m-%YT%H:%M", "timezone": "local"},
        pa.array(["10-08-2026T12:30"]),
        [NAIVE + dt.timedelta(hours=4)],
    ),
    ({"type": "timestamp"}, pa.array([NAIVE], pa.timestamp("us", "America/Lima")), [NAIVE]),
    ({"type": "timestamp", "timezone": "local"}, pa.array([NAIVE]), [NAIVE + dt.timedelta(hours=4)]),
    *(
        ({"type": "timestamp"}, pa.array([NAIVE], pa.timestamp(unit)), [NAIVE])
        for unit in ("s", "ms", "us", "ns")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1].type}")
def test_column(world: World, case: tuple[dict[str, Any], pa.Array, list[Any]]) -> None:
    fields, delivered, expected = case
    feed = feed_of(**fields)
    world.deliver(feed, pa.table({"ID": list(range(len(delivered))), "A": delivered}))
    outcome = world.land(feed)
    assert outcome.status == "landed", outcome.findings
    rows = sorted(world.rows(outcome), key=lambda row: row["id"])
    found = [row["a"] for row in rows]
    assert found == (pytest.approx(expected) if fields["type"] == "decimal" else expected)
    assert outcome.counts.quarantined_total == len(delivered) - len(expected)


@pytest.mark.parametrize(
    ("kind", "written", "told"),
    [
        ("date", "%d/%m/%y", "'%y' in the format '%d/%m/%y' is not known"),
        ("date", "%d/%m", "is not that of a date"),
        ("date", "%d/%m/%Y %H:%M", "is not that of a date"),
        ("date", "%d/%d/%Y", "occurs twice"),
        ("date", "%d/%m/%Y%", "'%' in the format"),
        ("date", "%d'%m'%Y", '"\'" in the format'),
        ("date", "", "is not that of a date"),
        ("timestamp", "%d/%m/%Y", "is not that of a timestamp"),
        ("timestamp", "%d/%m/%Y %H:%M:%S.%f", "'%f' in the format"),
        ("integer", "%d/%m/%Y", "`format` is for date and timestamp columns, and a is integer"),
    ],
)
def test_formats_beyond_the_subset_are_refused(kind: str, written: str, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ColumnContract(name="a", source="A", type=kind, format=written)  # type: ignore[arg-type]
    assert told in str(refused.value)


def test_a_geography_may_write_dates_in_its_own_way(world: World) -> None:
    feed = feed_of(type="date")
    own = {"cl": {"columns": {"a": {"format": "%d/%m/%Y"}}}}
    feed = FeedContract.model_validate({**feed.model_dump(), "geographies": own})
    world.deliver(feed, pa.table({"ID": [1, 2], "A": ["10/08/2026", "2026-08-10"]}))
    outcome = world.land(feed)
    assert [row["a"] for row in world.rows(outcome)] == [DAY]
    assert outcome.counts.quarantined == {"a: not a date": 1}
    own["cl"]["columns"]["a"]["format"] = "%d/%m/%Y %H:%M"
    with pytest.raises(ValidationError, match="is not that of a date"):
        FeedContract.model_validate({**feed.model_dump(), "geographies": own})


@given(moment=st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31)))  # noqa: DTZ001 - texts have no zone
def test_formats_say_what_strptime_says(moment: dt.datetime) -> None:
    written = "%d.%m.%Y_%H:%M:%S"
    text = moment.strftime(written)
    assert parse_time_format(written, "timestamp").read(text) == moment.replace(microsecond=0)


def test_the_sample_of_a_file_is_read_by_its_format(world: World) -> None:
    """Whether a daily file is of its day is asked before its rows are read; that question knows the format too."""
    feed = feed_of(type="date", format="%d/%m/%Y")
    changed = {"day_column": "a", "format": "csv", "file_pattern": "one_{day}.csv"}
    feed = FeedContract.model_validate({**feed.model_dump(), **changed})
    world.deliver(feed, b"ID,A\n1,08/10/2026\n2,08/10/2026\n")
    outcome = world.land(feed)
    assert outcome.status == "refused"
    assert "all its rows are of other days: from 2026-10-08 to 2026-10-08" in outcome.findings[0]


@pytest.mark.parametrize("dialect", ["bigquery", "pyspark"])
def test_formats_compile_for_other_engines(dialect: str) -> None:
    import ibis

    column = feed_of(type="timestamp", format="%d/%m/%Y %H:%M").column("a")
    table = ibis.table({"A": "string"}, name="raw")
    sql = compile_sql(table.select(translate_column(table, column, geography("cl")).output), dialect)
    assert "^[0-9]{1,2}[/]([0-9]{1,2})[/][0-9]{4}[ ][0-9]{1,2}[:][0-9]{1,2}$" in sql
    assert ("TRY_CAST(" if dialect == "pyspark" else "SAFE_CAST(") in sql
