"""A monitor and the table that it watches: what does not fit is said with file, line and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import ConfigError
from tests.unit.config.conftest import Edit

LTE = Path(__file__).resolve().parents[3] / "benchmarks" / "lte_cells" / "configs"
MONITOR = "quality/lte_cells.yaml"


@pytest.fixture
def with_snapshot(configs: Path) -> Path:
    """A copy of the project's configuration with a monitor of a snapshot feed."""
    for folder in ("feeds", "quality"):
        shutil.copytree(LTE / folder, configs / folder, dirs_exist_ok=True)
    return configs


def test_snapshot_monitors_are_told_from_daily_ones(with_snapshot: Path) -> None:
    config = load_project([with_snapshot], "local")
    assert [spec.name for spec in config.snapshot_monitors()] == ["lte_cells"]
    assert [spec.name for spec in config.daily_monitors()] == ["plan_usage"]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            MONITOR,
            "day_column: day\n",
            "",
            [
                "lte_cells.yaml:5",
                "`day_column` is missing",
                "feeds/lte_cells_hourly: day",
                "`day_column: day`",
            ],
        ),
        (
            MONITOR,
            "day_column: day\n",
            "day_column: started_at\n",
            ["lte_cells.yaml:6", "'started_at' is no date column", "`day_column: day`"],
        ),
        (MONITOR, "day_column: day\n", "day_column: date\n", ["'date' is no date column"]),
        (MONITOR, "series_by: [cell]", "series_by: [cells]", ["unknown column", "did you mean 'cell'?"]),
        (MONITOR, "value: traffic_mb", "value: traffic", ["unknown column", "did you mean 'traffic_mb'?"]),
        (MONITOR, "value: traffic_mb", "value: cell", ["cell is a text column", "expected: a number"]),
        (MONITOR, "unit: MB", "unit: second", ["cannot become MB", "a unit of volume"]),
        (MONITOR, "table: feeds/lte_cells_hourly", "table: feeds/lte_cells", ["unknown table"]),
        (
            MONITOR,
            "gap: unknown\n",
            "gap: unknown\nis_per_subscriber: true\n",
            ["lte_cells.yaml:11", "`is_per_subscriber` is not for snapshots"],
        ),
        (
            MONITOR,
            "gap: unknown\n",
            "gap: unknown\nfeatures: {tables: [feeds/usage]}\n",
            ["`features.tables` is not for snapshots"],
        ),
        (
            "quality/plan_usage.yaml",
            "unit: KB\n",
            "unit: KB\nday_column: day\n",
            ["plan_usage.yaml:10", "etl/plan_usage_daily is a daily table", "remove `day_column`"],
        ),
        (
            "quality/plan_usage.yaml",
            "unit: KB\n",
            "unit: KB\nforecast: {horizon_days: 6}\n",
            ["ranges of plan_usage reach 6 days ahead", "retraining.monitors", "at least 7 days"],
        ),
        (
            "feeds/lte_cells_hourly.yaml",
            'type: date, format: "%d/%m/%Y"',
            'type: date, format: "%d/%m/%y"',
            ["lte_cells_hourly.yaml:10", "'%y' in the format '%d/%m/%y' is not known"],
        ),
    ],
)
def test_what_does_not_fit_is_told(
    with_snapshot: Path, edit: Edit, file: str, old: str, new: str, expected: list[str]
) -> None:
    edit(file, old, new)
    with pytest.raises(ConfigError) as found:
        load_project([with_snapshot], "local")
    for text in expected:
        assert text in str(found.value)
