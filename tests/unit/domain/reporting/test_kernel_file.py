"""The operator's kernel file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.reporting.csv_text import neutralise_cell, write_csv
from mlops_assets.domain.reporting.kernel_file import COLUMNS, build_kernel_file, write_kernel_csv
from tests.unit.domain.reporting.sample_anomalies import DAY, make_kernel

TOMORROW = DAY + dt.timedelta(days=1)


def make_day(low_mb: float | None, high_mb: float | None, **changes: Any) -> dict[str, Any]:
    return {"series": "P", "target_day": TOMORROW, "low_mb": low_mb, "high_mb": high_mb, **changes}


def test_one_row_per_plan_and_day_in_the_operators_columns() -> None:
    rows = [*make_kernel("P30"), *reversed(make_kernel("P10"))]
    table = build_kernel_file(pa.Table.from_pylist(rows), day=DAY)
    assert table.column_names == [
        "Plan",
        "Date",
        "Day",
        "Forecast_Low (mb)",
        "Forecast_High (mb)",
    ]
    assert table.num_rows == 60
    assert table["Plan"].to_pylist() == ["P10"] * 30 + ["P30"] * 30
    assert table["Date"].to_pylist()[:30] == [DAY + dt.timedelta(days=ahead) for ahead in range(1, 31)]
    assert table["Day"].to_pylist()[:4] == ["Thursday", "Friday", "Saturday", "Sunday"]


def test_the_csv_reads_as_the_operator_expects() -> None:
    text = write_kernel_csv(build_kernel_file([make_day(380.001, 524.999)], day=DAY, horizon_days=1))
    assert text == (
        "Plan,Date,Day,Forecast_Low (mb),Forecast_High (mb)\nP,2024-02-15,Thursday,380.00,525.00\n"
    )


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_rounding_never_puts_a_value_outside(one: float, other: float) -> None:
    low, high = sorted((one, other))
    table = build_kernel_file([make_day(low, high)], day=DAY, horizon_days=1)
    published = table[COLUMNS[3]][0].as_py(), table[COLUMNS[4]][0].as_py()
    assert low - 0.011 <= published[0] <= low
    assert high <= published[1] <= high + 0.011


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_series_without_a_range_has_empty_cells(nothing: float | None) -> None:
    table = build_kernel_file([make_day(nothing, nothing)], day=DAY, horizon_days=1)
    assert write_kernel_csv(table).splitlines()[1] == "P,2024-02-15,Thursday,,"


def test_without_plans_the_headings_remain() -> None:
    table = build_kernel_file([], day=DAY)
    assert write_kernel_csv(table) == ",".join(COLUMNS) + "\n"
    assert table.schema.field("Date").type == pa.date32()


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"series": "P", "target_day": TOMORROW, "low_mb": 1.0}], "lack `high_mb`"),
        ([make_day(2.0, 1.0)], "no usable range"),
        ([make_day(-1.0, 1.0)], "no usable range"),
        ([make_day(1.0, math.inf)], "no usable range"),
        ([make_day(1.0, None)], "no usable range"),
        ([make_day(1.0, 2.0), make_day(1.0, 2.0)], "coming days once"),
        ([make_day(1.0, 2.0, target_day=DAY)], "coming days once"),
    ],
)
def test_a_kernel_that_cannot_be_right_is_refused(rows: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(TableInputError, match=what) as caught:
        build_kernel_file(rows, day=DAY, horizon_days=1)
    assert caught.value.remedy


def test_a_missing_day_is_named_with_its_plan() -> None:
    with pytest.raises(TableInputError, match="series `P10`, 29 rows"):
        build_kernel_file(make_kernel("P10")[:-1], day=DAY)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+A1", "-cmd", "@SUM(A1)", " =1", "\t=1", "\r=1", "\n1", "\uff1d1", "\0=1", "-1+2", "-nan"],
)
def test_formulas_are_neutralised(cell: str) -> None:
    assert neutralise_cell(cell).startswith("'")


@pytest.mark.parametrize("cell", ["P10", "-1.5", "+3", "380.00", "", "a=b", "2024-02-15"])
def test_ordinary_cells_stay_as_they_are(cell: str) -> None:
    assert neutralise_cell(cell) == cell


def test_a_plan_code_cannot_run_anything_in_a_spreadsheet() -> None:
    plan = '=HYPERLINK("x","y"),\n2'
    table = build_kernel_file([make_day(1.0, 2.0, series=plan)], day=DAY, horizon_days=1)
    rows = list(csv.reader(io.StringIO(write_kernel_csv(table))))
    assert rows[1] == [f"'{plan}", "2024-02-15", "Thursday", "1.00", "2.00"]
    assert table["Plan"][0].as_py() == plan


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells"):
        write_csv(["a", "b"], [["x"]])
