"""How outcomes look in Dagster."""

from mlops_assets.assets.presentation import record_table


def test_a_column_has_the_type_of_its_values() -> None:
    records = [{"check": "gain", "passed": True, "rows": 3, "share": 0.5}]
    columns = record_table(records).schema.columns  # type: ignore[attr-defined]
    assert {one.name: one.type for one in columns} == {
        "check": "string",
        "passed": "bool",
        "rows": "int",
        "share": "float",
    }
