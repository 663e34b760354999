"""Panels of daily series that the kernel's benchmarks run on.

- `sandbox`: what the sandbox operator's subscribers really used, MB by plan, region and geography; simulated once
  (`SUBSCRIBERS` a geography, no scripted events) and kept in the benchmarks' folder.
- `synthetic`: documented formulas, thousands of series where a size is wanted and not a behaviour.
- `lte_daily`, `lte_hourly`: public traffic of five LTE cells over one year, MB per cell and day, and per cell and
  hour of the day.

Belongs here: making and reading panels. Does not belong here: what is measured on them.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.measuring import PROJECT, BenchmarkSkippedError
from benchmarks.operator_data import work_folder
from mlops_assets.config.loader import load_project
from mlops_assets.domain.quality.panel import Panel, assemble_panel
from mlops_assets.sandbox.behaviour import DayContext
from mlops_assets.sandbox.events import ScriptedEvent
from mlops_assets.sandbox.geography_world import GeographyWorld, first_geography_state
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.sql_engine import open_engines

LTE_FILE = "lte_cells_hourly.csv"
SUBSCRIBERS, QUICK_SUBSCRIBERS = 4_000, 2_000
FIRST_DAY = dt.date(2026, 1, 5)
_DEVICES = 40
_SEED = 11
_DAY = dt.timedelta(days=1)
_TOTALS = """
SELECT plan_code, region, sum(data_local_kb + data_roaming_kb) / 1024e0 AS mb
FROM today WHERE status <> 'prospect' GROUP BY plan_code, region ORDER BY plan_code, region
"""
_HOURS = 24

Row = tuple[dt.date, str, float]


class _ObservedWorld(GeographyWorld):
    """A geography whose days are looked at directly, without writing and reading files."""

    def observe_day(self, events: Sequence[ScriptedEvent]) -> list[Row]:
        """Live a day and return its volumes by plan and region."""
        context: DayContext = self._live(events)
        found = self.connection.execute(_TOTALS).fetchall()
        self._turn()
        code = self.geography.code
        return [(context.day, f"{plan}/{region}/{code}", mb) for plan, region, mb in found]


def sandbox_panel(*, days: int, subscribers: int = SUBSCRIBERS, seed: int = _SEED) -> Panel:
    """Return the sandbox operator's volumes by plan, region and geography; simulated when absent."""
    file = work_folder() / f"kernel_panel_{subscribers}_{days}_{seed}.npz"
    if not file.exists():
        _write_panel(_simulate(days, subscribers, seed), file)
    with np.load(file) as found:
        first = dt.date.fromisoformat(str(found["first_day"]))
        names, values = found["series"].tolist(), found["values_mb"]
    return Panel(tuple(first + n * _DAY for n in range(len(values))), tuple(names), values)


def _simulate(days: int, subscribers: int, seed: int) -> Panel:
    work_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kernel_panel_", dir=work_folder()) as folder:
        return _panel_of(_live(Path(folder), days, subscribers, seed), "zero")


def _live(folder: Path, days: int, subscribers: int, seed: int) -> list[Row]:
    """Let every geography live its days and return the volumes."""
    config = load_project()
    rows: list[Row] = []
    engines = open_engines(list(config.geographies), [folder], threads=1, memory_limit="1GB", spill=folder)
    for code, geography in config.geographies.items():
        world = _ObservedWorld(
            connection=engines[code], root=folder, landing=folder, geography=geography, contracts=[],
            behaviour=BehaviourParameters(), seed=seed,
            state=first_geography_state(
                BehaviourParameters(), first_day=FIRST_DAY, subscribers=subscribers, devices=_DEVICES
            ),
        )  # fmt: skip
        world.start([])
        for _ in range(days):
            rows.extend(world.observe_day([]))
        engines[code].close()
    return rows


def _panel_of(rows: Sequence[Row], gap: Literal["zero", "unknown"]) -> Panel:
    days, series, values = zip(*rows, strict=True)
    return assemble_panel(
        days, series, values, delivered_days=set(days), first_day=min(days), last_day=max(days),
        gap=gap,
    )  # fmt: skip


def _write_panel(panel: Panel, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"part_{file.name}")
    np.savez(
        part, first_day=panel.days[0].isoformat(), series=np.array(panel.series), values_mb=panel.values_mb
    )
    part.replace(file)


def synthetic_panel(*, days: int, series: int, seed: int = 1) -> Panel:
    """Return lognormal levels times weekday profile, slow walk, common shocks and heavy-tailed noise.

    ln y = level + weekday[family] + trend + random walk (0.6 % a day) + common AR(1) (0.6; 3 %) + own AR(1)
    (0.35; Student t with 5 degrees of freedom, 7 % in the median) - month-end cap + ten holidays a year (25 %).
    """
    chance = np.random.default_rng(seed)
    weekdays = (FIRST_DAY.weekday() + np.arange(days)) % 7
    family = chance.integers(0, 5, series)
    profile = chance.normal(0, 0.1, (5, 7))
    profile[:, 5:] += chance.uniform(0, 0.3, (5, 1))
    spread = np.exp(chance.normal(np.log(0.07), 0.4, series))
    own = _autoregressive(chance.standard_t(5, (days, series)) * spread * np.sqrt(3 / 5), 0.35)
    shared = _autoregressive(chance.normal(0, 0.03, (days, 1)), 0.6)
    holidays = np.zeros(days)
    holidays[chance.choice(days, days // 35, replace=False)] = chance.normal(0, 0.25, days // 35)
    month_day = np.array([(FIRST_DAY + n * _DAY).day for n in range(days)])
    cap = -0.12 * chance.uniform(0, 1, series) * (month_day > 26)[:, None]
    log_mb = (
        np.log(10 ** chance.uniform(3, 6, series))
        + profile[family][:, weekdays].T
        + chance.normal(0.0004, 0.0006, series) * np.arange(days)[:, None]
        + np.cumsum(chance.normal(0, 0.006, (days, series)), axis=0)
        + shared + own + cap + holidays[:, None]
    )  # fmt: skip
    names = tuple(f"plan{kind}_{number:05d}" for number, kind in enumerate(family))
    return Panel(tuple(FIRST_DAY + n * _DAY for n in range(days)), names, np.exp(log_mb))


def _autoregressive(shocks: np.ndarray, factor: float) -> np.ndarray:
    for number in range(1, len(shocks)):
        shocks[number] += factor * shocks[number - 1]
    return shocks


def lte_panel(*, by_hour: bool) -> Panel:
    """Return traffic of the public LTE cells in MB by day, or by day for every hour.

    DATE is day first (DATETIME is month first, and not used). Hours that occur twice, as when the clocks go
    back, are averaged; a day with missing hours counts as 24 times the mean of the others.
    """
    cells: dict[tuple[dt.date, str, int], list[float]] = {}
    for row in _lte_rows():
        day = dt.datetime.strptime(row["DATE"], "%d/%m/%Y").replace(tzinfo=dt.UTC).date()
        cells.setdefault((day, row["CELLNAME"], int(row["HOUR"])), []).append(float(row["VALUE"]))
    hours: dict[tuple[dt.date, str], list[float]] = {}
    rows: list[Row] = []
    for (day, cell, hour), found in cells.items():
        hours.setdefault((day, cell), []).append(float(np.mean(found)))
        rows.append((day, f"{cell}/{hour:02d}h", float(np.mean(found))))
    if not by_hour:
        rows = [(day, cell, _HOURS * float(np.mean(found))) for (day, cell), found in hours.items()]
    return _panel_of(rows, "unknown")


def _lte_rows() -> list[dict[str, str]]:
    folder = Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / LTE_FILE).exists():
        raise BenchmarkSkippedError(f"{LTE_FILE} is not in {folder}; name its folder in MLOPS_PUBLIC_DATA")
    with (folder / LTE_FILE).open(newline="") as file:
        return list(csv.DictReader(file))
