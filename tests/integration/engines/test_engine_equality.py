"""A day on which clocks change, built by Spark alone, is the day that DuckDB builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring import run_fresh

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.usefixtures("spark")
def test_tables_of_both_engines_are_equal(tmp_path: Path) -> None:
    arguments = {"folder": str(tmp_path), "quick": True}
    found = run_fresh("benchmarks.engine_equality:compare_tables", arguments).result
    assert found["differing_rows"] == 0, found["differences"]
    assert found["tables"] >= 20
    assert found["rows"] > 1000
