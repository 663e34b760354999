"""How outcomes look in Dagster."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.assets.presentation import preview, record_table
from mlops_assets.domain.feeds.preview import MASK
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake


def test_a_column_has_the_type_of_its_values() -> None:
    records = [{"check": "gain", "passed": True, "rows": 3, "share": 0.5}]
    columns = record_table(records).schema.columns  # type: ignore[attr-defined]
    assert {one.name: one.type for one in columns} == {
        "check": "string",
        "passed": "bool",
        "rows": "int",
        "share": "float",
    }


def test_a_preview_shows_nothing_that_identifies_a_person(tmp_path: Path) -> None:
    """Ids among the keys, and what is called like a person's number whatever it is; other keys are shown."""
    lake = LocalLake(tmp_path / "lake")
    row = {"sale_id": 7, "phone": "56912345678", "imei": "356938035643809", "plan_code": "data_m", "mb": 1.5}
    partition = PartitionId("feeds/sales", "cl", dt.date(2026, 9, 1))
    with lake.write(partition, "a" * 16) as writer:
        pq.write_table(pa.Table.from_pylist([row]), writer.file("data"))
        writer.commit(row_count=1)
    engine = DuckDbEngine(1, "500MB", tmp_path / "spill", [tmp_path])
    shown = preview(lake, engine, partition, ["sale_id", "phone", "plan_code"])
    (record,) = shown.records  # type: ignore[attr-defined]
    assert record.data == row | dict.fromkeys(("sale_id", "phone", "imei"), MASK)
