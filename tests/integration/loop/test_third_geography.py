"""A third geography: six lines of YAML, and the graph of all three; the others' data stay as they are."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from mlops_assets.config.run_plan import day_log_partition
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import GEOGRAPHIES, copy_configs, day_number

COLOMBIA = """  co:
    name: Colombia
    timezone: America/Bogota
    currency: COP
    usd_per_unit: 0.00025
    like: pe
"""
NEW_DAY = day_number(3)


def changed_lines(old: Path, new: Path) -> list[str]:
    """Return the lines that differ between two config folders, with their sign."""
    files = sorted({p.relative_to(root) for root in (old, new) for p in root.rglob("*") if p.is_file()})
    texts = [
        [(root / f).read_text().splitlines() if (root / f).exists() else [] for root in (old, new)]
        for f in files
    ]
    lines = [
        line for before, after in texts for line in difflib.unified_diff(before, after, n=0, lineterm="")
    ]
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


def published(home: Path, geographies: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Return time and text of every manifest of these geographies: a partition that is reused keeps both."""
    return {
        path.relative_to(home).as_posix(): (path.stat().st_mtime_ns, path.read_text())
        for path in sorted((home / "lake").rglob("manifest.json"))
        if path.parts[-3] in geographies
    }


def test_third_geography_by_six_lines(home: Path, tmp_path: Path, mlops: CommandLine) -> None:
    configs = copy_configs(tmp_path / "configs")
    mlops.use(home, configs)
    assert mlops("run").status == 0
    before = published(home, GEOGRAPHIES)
    old = Path(shutil.copytree(configs, tmp_path / "old"))
    with (configs / "geographies.yaml").open("a") as file:
        file.write(COLOMBIA)
    added = changed_lines(old, configs)
    assert len(added) <= 6
    assert all(line.startswith("+") for line in added)

    told = mlops("sandbox", "day")
    assert told.status == 0, told
    assert sorted(line.split()[1] for line in told.out.splitlines()) == ["cl", "co", "pe"]
    told = mlops("run", "--from", NEW_DAY, "--to", NEW_DAY)
    assert (told.status, told.days) == (0, [(str(NEW_DAY), "built")]), told
    lake = LocalLake(home / "lake")
    for table in FEATURE_TABLES:
        for geography in (*GEOGRAPHIES, "co"):
            assert lake.manifest(PartitionId(table, geography, NEW_DAY)) is not None, (table, geography)
    features = lake.manifest(PartitionId("etl/subscriber_features", "co", NEW_DAY))
    assert features is not None
    assert features.row_count > 100
    assert lake.manifest(day_log_partition(NEW_DAY)) is not None

    # The days before know nothing of the newcomer, and are not run again because of it.
    told = mlops("run", "--from", day_number(2), "--to", day_number(2))
    assert told.days == [(str(day_number(2)), "unchanged")], told
    after = published(home, GEOGRAPHIES)
    assert {where: after[where] for where in before} == before
