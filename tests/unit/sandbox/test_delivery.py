"""Delivered files satisfy their contracts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract, Geography
from mlops_assets.domain.feeds.units import linear_conversion
from mlops_assets.sandbox.canonical_feeds import FEEDS
from tests.unit.sandbox.conftest import FIRST_DAY, Operator, contracts, geographies, one, query

DAYS = (0, 3, 9)


def _files(operator: Operator) -> Iterator[tuple[Geography, FeedContract, int, Path]]:
    for geography in operator.geographies:
        for contract in operator.contracts:
            for day in DAYS:
                path = operator.file(contract.name, day, geography.code)
                yield geography, contract.for_geography([geography.code]), day, path


def _table(contract: FeedContract, path: Path) -> str:
    if contract.format == "csv":
        return f"read_csv('{path}', delim='{contract.delimiter}', header=true, all_varchar=true)"
    return f"read_parquet('{path}')"


def _number_sql(column: ColumnContract, geography: Geography) -> str:
    """Return SQL for a numeric column in our unit."""
    value = f'CAST("{column.source}" AS DOUBLE)'
    if column.source_unit == "local_currency":
        return f"round({value} * {100 * geography.usd_per_unit})"
    if column.source_unit_column:
        kilobytes = "WHEN 'KB' THEN 1 WHEN 'MB' THEN 1024 WHEN 'GB' THEN 1048576"
        return f'{value} * CASE "{column.source_unit_column}" {kilobytes} END'
    factor, offset = linear_conversion(column.source_unit or column.unit or "count", column.unit or "count")
    return f"{value} * {factor} + {offset}"


def _violations_sql(column: ColumnContract, geography: Geography, table: str) -> str:
    source, bad = f'"{column.source}"', []
    if not column.nullable:
        bad.append(f"{source} IS NULL")
    if column.values:
        bad.append(f"{source} NOT IN ({', '.join(repr(code) for code in column.values)})")
    if column.code_map:
        bad.append(f"{source} NOT IN ({', '.join(repr(code) for code in geography.plan_codes)})")
    if column.type in ("integer", "decimal"):
        number = _number_sql(column, geography)
        bad += [f"{number} < {column.minimum - 1e-6}"] if column.minimum is not None else []
        bad += [f"{number} > {column.maximum + 1e-6}"] if column.maximum is not None else []
    if column.type in ("date", "timestamp"):
        bad.append(f"{source} IS NOT NULL AND try_cast({source} AS {column.type}) IS NULL")
    return f"SELECT count(*) FILTER ({' OR '.join(bad) or 'false'}) FROM {table}"  # noqa: S608 - a test's own


def test_every_feed_of_every_day_and_geography_is_delivered(delivered: Operator) -> None:
    assert sorted(FEEDS) == sorted(contract.name for contract in delivered.contracts)
    assert [path for *_, path in _files(delivered) if not path.exists()] == []
    assert list(delivered.landing.rglob("*.part")) == []


def test_files_satisfy_their_contracts(delivered: Operator) -> None:
    faults = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for geography, contract, day, path in _files(delivered):
            table = _table(contract, path)
            present = [row[0] for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()]
            expected = {c.source for c in contract.columns} | {
                c.source_unit_column for c in contract.columns
            } - {None}
            if set(present) != expected:
                faults.append(f"{path.name}: columns {set(present) ^ expected}")
                continue
            rows = connection.execute(f"FROM {table} LIMIT {max(contract.min_rows, 1)}").fetchall()
            if len(rows) < contract.min_rows:
                faults.append(f"{path.name}: {len(rows)} rows")
            for column in contract.columns:
                bad = connection.execute(_violations_sql(column, geography, table)).fetchone()
                if bad != (0,):
                    faults.append(f"{path.name}: {column.name} has {bad} bad values on day {day}")
    assert faults == []


def test_events_lie_on_the_local_day_of_the_file_or_the_day_before(delivered: Operator) -> None:
    for geography, contract, day, path in _files(delivered):
        if contract.day_column is None:
            continue
        column = contract.column(contract.day_column)
        local = f'CAST("{column.source}" AS TIMESTAMP)'
        if column.timezone == "utc":
            hours = dt.datetime(2026, 1, 8, tzinfo=ZoneInfo(geography.timezone)).utcoffset()
            local = f"{local} - INTERVAL {-int(hours.total_seconds() // 3600) if hours else 0} HOUR"
        date = FIRST_DAY + dt.timedelta(days=day)
        sql = """SELECT count(*), count(*) FILTER (d = '{date}'), count(*) FILTER (d = DATE '{date}' - 1)
            FROM (SELECT ({local})::DATE AS d FROM {table})"""
        rows = query(sql, date=date, local=local, table=_table(contract, path))[0]
        assert rows[0] == rows[1] + rows[2], path.name
        assert rows[2] <= max(5, 0.01 * rows[0]), path.name


def test_units_are_mixed_row_by_row_and_shared_by_the_columns_of_a_row(delivered: Operator) -> None:
    usage = delivered.landing / "cl" / "usage_*.parquet"
    shares = dict(query("SELECT DATA_UNIT, count(*) / sum(count(*)) OVER () FROM {f} GROUP BY 1", f=usage))
    assert shares == {
        "MB": pytest.approx(0.72, abs=0.02),
        "GB": pytest.approx(0.18, abs=0.02),
        "KB": pytest.approx(0.10, abs=0.02),
    }
    # Applications fit into the total in every row, which fails as soon as two columns differ in unit.
    sql = """SELECT count(*) FROM {f}
        WHERE APP_FB + APP_WA + APP_YT + APP_TT + APP_IG > DATA_LOCAL_VOL * 1.001 + 5"""
    assert one(sql, f=usage) == 0
    medians = dict(query("SELECT DATA_UNIT, median(DATA_LOCAL_VOL) FROM {f} GROUP BY 1", f=usage))
    assert medians["MB"] / medians["GB"] == pytest.approx(1024, rel=0.2)


def test_duplicates_are_older_versions_at_the_configured_share(delivered: Operator) -> None:
    usage = delivered.landing / "pe" / "consumo_*.parquet"
    rows, keys = query("SELECT count(*), count(DISTINCT (NUMERO, FECHA_EVENTO)) FROM {f}", f=usage)[0]
    assert (rows - keys) / keys == pytest.approx(0.005, abs=0.0025)
    worse = """SELECT count(*) FROM (SELECT NUMERO, FECHA_EVENTO, arg_min(CALL_SECS, INGEST_TS) AS early,
        arg_max(CALL_SECS, INGEST_TS) AS late FROM {f} GROUP BY ALL HAVING count(*) > 1) WHERE early > late"""
    assert one(worse, f=usage) == 0


def test_late_records_have_the_configured_share(delivered: Operator) -> None:
    usage = delivered.landing / "pe" / "consumo_*.parquet"
    sql = r"""SELECT avg((FECHA_EVENTO::DATE < day)::INTEGER) FROM (
        SELECT *, strptime(regexp_extract(filename, '_(\d{{8}})', 1), '%Y%m%d')::DATE AS day FROM {f})"""
    assert one(sql, f=usage) == pytest.approx(0.003, abs=0.0015)


def test_money_is_round_in_local_currency(delivered: Operator) -> None:
    amounts = one("SELECT list(DISTINCT AMOUNT::INTEGER) FROM {f}", f=delivered.file("topups", 3))
    assert {amount % 100 for amount in amounts} <= {0, 50}


def test_third_geography_takes_over_the_form_of_the_one_it_is_like(tmp_path: Path) -> None:
    peru = geographies("pe")[0]
    ecuador = peru.model_copy(
        update={
            "code": "ec",
            "timezone": "America/Guayaquil",
            "currency": "USD",
            "usd_per_unit": 1.0,
            "like": "pe",
        }
    )
    operator = Operator(tmp_path, contracts("usage", "plans"), [ecuador])
    operator.start(days=1)
    names = {path.name for path in (operator.landing / "ec").iterdir()}
    assert names == {"consumo_20260105.parquet", "plans_20260105.csv"}
    assert "DATOS_LOCAL" in [
        row[0] for row in query("DESCRIBE FROM {f}", f=operator.landing / "ec" / "consumo_20260105.parquet")
    ]


def test_geography_without_a_base_plan_is_refused(tmp_path: Path) -> None:
    chile = geographies("cl")[0].model_copy(update={"plan_codes": {"X": "data_s"}})
    operator = Operator(tmp_path, contracts("usage"), [chile])
    with pytest.raises(ConfigError, match="prepaid_base"):
        operator.start()
