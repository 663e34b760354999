"""Dagster's event log on a laptop: what it looks up of its schema, and how often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage

from resources.dagster_event_log import KeptConnectionEventLogStorage

Storage = ConsolidatedSqliteEventLogStorage


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what Dagster's own storage is asked for."""
    found: Counter[str] = Counter()
    has_table, has_column = Storage.has_table, Storage._has_asset_key_col_on_connection

    def count_table(self: Any, name: str) -> bool:
        found[name] += 1
        return bool(has_table(self, name))

    def count_column(self: Any, connection: Any, name: str) -> bool:
        found[name] += 1
        return bool(has_column(self, connection, name))

    monkeypatch.setattr(Storage, "has_table", count_table)
    monkeypatch.setattr(Storage, "_has_asset_key_col_on_connection", count_column)
    return found


def test_what_the_schema_has_is_looked_up_once(tmp_path: Path, asked: Counter[str]) -> None:
    storage = KeptConnectionEventLogStorage(str(tmp_path))
    asked.clear()
    assert all(storage.supports_asset_checks for _ in range(3))
    assert all(storage.has_asset_key_index_cols() for _ in range(3))
    assert asked == {"asset_check_executions": 1, "last_materialization_timestamp": 1}
    other = KeptConnectionEventLogStorage(str(tmp_path / "other"))
    assert other.has_table("asset_check_executions")
    assert asked["asset_check_executions"] == 2, "another file may have another schema"
    storage.dispose()
    other.dispose()


def test_what_it_lacks_is_looked_up_again_for_a_migration_may_bring_it(
    tmp_path: Path, asked: Counter[str]
) -> None:
    storage = KeptConnectionEventLogStorage(str(tmp_path))
    assert not storage.has_table("yet_to_come")
    assert not storage.has_asset_key_col("yet_to_come")
    with storage.index_connection() as connection:
        connection.exec_driver_sql("CREATE TABLE yet_to_come (id INTEGER)")
        connection.exec_driver_sql("ALTER TABLE asset_keys ADD COLUMN yet_to_come TEXT")
    assert storage.has_table("yet_to_come")
    assert storage.has_asset_key_col("yet_to_come")
    assert asked["yet_to_come"] == 4
    storage.dispose()
