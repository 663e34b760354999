"""engine_equality: the graph's statements on DuckDB and on Spark over the same days, compared row by row.

Two geographies, one of which sets its clocks forward within the days; some delivered rows are spoilt, so that there
is a quarantine. Each statement is run by both engines on the same files the first times that it occurs; then days are
built by Spark alone, in a lake of its own, and both lakes are compared.

Belongs here: the operator, the replay, the counts. Does not belong here: comparing (table_equality, twin_engine).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkFailedError, BenchmarkSkippedError, Goal, Line, run_fresh
from benchmarks.short_project import POLICY_READY_NUMBER, write_short_project
from benchmarks.table_equality import compare_lakes
from benchmarks.twin_engine import TwinEngine, remember_expressions
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.engine_config import EngineConfig
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.sandbox.events import ScriptedEvent
from resources.spark_session import missing_for_spark

FIRST_DAY = dt.date(2026, 9, 4)
TRANSITION_DAY = dt.date(2026, 9, 6)  # Chile sets its clocks forward at midnight
SUBSCRIBERS, QUICK_SUBSCRIBERS = 500, 150
DAYS, QUICK_DAYS = 12, 3
RUNS_A_STATEMENT, QUICK_RUNS = 3, 1
LEARNING_SUBSCRIBERS, QUICK_LEARNING_SUBSCRIBERS, QUICK_LEARNING_DAYS = 1_500, 600, 13
DEVICES = 500
_PARTS = {"statements": "compare_statements", "learning": "compare_learning", "tables": "compare_tables"}
_SPOILT_FEED, _SPOILT_COLUMN, _SPOILT_SHARE = "dna", "age_years", 0.004
_NOT_TABLES = ("model/", "champion/", "scores/", "reports/")
_SEED = 23


def run(*, quick: bool) -> Iterator[Line]:
    """Yield a line a part: rows that differ by statement, by statement while models learn, and by table."""
    if missing := missing_for_spark():
        raise BenchmarkSkippedError(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        for part, function in _PARTS.items():
            start = time.perf_counter()
            found = run_fresh(
                f"benchmarks.engine_equality:{function}", {"folder": folder, "quick": quick}
            ).result
            yield Line(
                name="engine_equality",
                part=part,
                value=float(found.pop("differing_rows")),
                unit="rows that differ",
                goal=Goal("value", 0.0),
                sizes=_sizes(part, quick=quick),
                seconds=time.perf_counter() - start,
                is_quick=quick,
                facts=found,
            )


def compare_statements(folder: str, quick: bool) -> dict[str, Any]:  # noqa: FBT001 - arguments travel as JSON
    """Replay the days on DuckDB with Spark beside it; return what was compared and what differs."""
    home = Path(folder) / "twin"
    deliver_days(home, quick=quick)
    first, last = FIRST_DAY, FIRST_DAY + dt.timedelta(days=_days(quick=quick) - 1)
    found = _replay_twice(_Homes(home), first, last, most_runs=QUICK_RUNS if quick else RUNS_A_STATEMENT)
    if not found["quarantined_rows"]:
        raise BenchmarkFailedError("nothing was quarantined: the comparison is void")
    return found


def compare_learning(folder: str, quick: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    """The same for days on which models are trained and score, policies are learned and offers are made."""
    from tests.integration import small_operator as operator

    homes = _Homes(Path(folder) / "learning", Path(folder) / "learning_configs")
    if quick:
        operator.shorten_churn(operator.copy_configs(homes.configs))
    else:
        write_short_project(homes.configs)
    days, subscribers = _learning_days(quick=quick), _learning_subscribers(quick=quick)
    operator.deliver(
        homes.home,
        homes.configs,
        subscribers=subscribers,
        days=days,
        devices=DEVICES,
        behaviour=operator.RESTLESS,
    )
    last = operator.FIRST_DAY + dt.timedelta(days=days - 1)
    found = _replay_twice(homes, operator.FIRST_DAY, last, most_runs=1)
    if not any("population" in name for name in found["functions"]):
        raise BenchmarkFailedError("nobody was scored: the comparison is void")
    return found


@dataclasses.dataclass(frozen=True)
class _Homes:
    """A data root and its configuration."""

    home: Path
    configs: Path = PROJECT_CONFIGS

    def open(self, engine: str) -> Workspace:
        """Open it with an engine of this kind and one core: all steps run in this process, where they are seen."""
        workspace = open_home(self.home, engine, self.configs)
        executor = workspace.config.environment.executor.model_copy(update={"cores": 1})
        return Workspace(self.home, workspace.config.with_environment(executor=executor))


def _replay_twice(homes: _Homes, first: dt.date, last: dt.date, *, most_runs: int) -> dict[str, Any]:
    """Replay days on DuckDB with Spark beside it."""
    with remember_expressions() as compiled:
        workspace = homes.open("duckdb")
        spark = homes.open("spark").platform.engine
        twin = TwinEngine(workspace.platform.engine, spark, compiled, homes.home / "tmp", most_runs=most_runs)
        vars(workspace)["platform"] = dataclasses.replace(workspace.platform, engine=twin)
        quarantined = replay(workspace, first, last)
    if not twin.runs:
        raise BenchmarkFailedError("no statement was run: the comparison is void")
    return {
        "differing_rows": sum(difference.rows for difference in twin.differences),
        "statements": len(twin.runs),
        "functions": sorted(name.removeprefix("mlops_assets.domain.") for name in compiled.compiled_in),
        "rows": twin.rows,
        "quarantined_rows": quarantined,
        "differences": sorted({f"{d.what}: {d.where[:200]}" for d in twin.differences})[:10],
        "first_seconds": round(twin.first_s, 2),
        "second_seconds": round(twin.second_s, 2),
    }


def compare_tables(folder: str, quick: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    """Build the day of the transition twice, by one engine each, and compare every table of both lakes."""
    homes = {kind: Path(folder) / kind for kind in ("duckdb", "spark")}
    deliver_days(homes["duckdb"], quick=True)  # every table is there on the first day
    shutil.copytree(homes["duckdb"], homes["spark"])
    first = TRANSITION_DAY if quick else FIRST_DAY
    for kind, home in homes.items():
        replay(open_home(home, kind), first, TRANSITION_DAY)
    found = compare_lakes(homes["duckdb"] / "lake", homes["spark"] / "lake", _NOT_TABLES)
    if not found.rows:
        raise BenchmarkFailedError("no table was built: the comparison is void")
    return {
        "differing_rows": found.differing_rows,
        "tables": len(found.tables),
        "files": found.files,
        "rows": found.rows,
        "differences": [f"{d.where}: {d.what}" for d in found.differences[:10]],
    }


def deliver_days(home: Path, *, quick: bool) -> None:
    """Let two small operators live, and spoil some rows of what they deliver as CSV."""
    from mlops_assets.commands.sandbox import sandbox_arguments
    from mlops_assets.sandbox.simulation import init_sandbox

    events: list[ScriptedEvent] = []
    init_sandbox(
        **sandbox_arguments(open_home(home, "duckdb")),
        subscribers=QUICK_SUBSCRIBERS if quick else SUBSCRIBERS,
        days=_days(quick=quick),
        first_day=FIRST_DAY,
        seed=_SEED,
        events=events,
    )
    config = open_home(home, "duckdb").config
    for code in config.geographies:
        contract = config.feeds[_SPOILT_FEED].for_geography(config.geography_chain(code))
        for path in sorted((home / "landing" / code).glob(f"{_SPOILT_FEED}_*.csv")):
            _spoil(path, contract.column(_SPOILT_COLUMN).source, contract.delimiter)


def _spoil(path: Path, column: str, delimiter: str) -> None:
    """Give few rows an age that is no number: fewer than the share for which a file is refused."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    place = header.split(delimiter).index(column)
    for number in range(0, len(rows), round(1 / _SPOILT_SHARE)):
        cells = rows[number].split(delimiter)
        cells[place] = "old"
        rows[number] = delimiter.join(cells)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def open_home(home: Path, engine: str, configs: Path = PROJECT_CONFIGS) -> Workspace:
    """Return the workspace of a data root with an engine of this kind."""
    workspace = Workspace.of_one_process(home, load_project([configs], "local"))
    chosen = EngineConfig.model_validate({"kind": engine})
    return Workspace(home, workspace.config.with_environment(engine=chosen))


def replay(workspace: Workspace, first: dt.date, last: dt.date) -> int:
    """Run days and return how many rows were quarantined; a day that fails ends the benchmark."""
    from mlops_assets.commands.replay import Replay

    with workspace.covering(last).open_instance() as instance:
        results = Replay(workspace, instance).run(first, last, lambda _: None)
    if failed := [str(result.day) for result in results if result.status == "failed"]:
        raise BenchmarkFailedError(f"days failed: {', '.join(failed)}")
    return sum(result.quarantined_rows for result in results)


def _sizes(part: str, *, quick: bool) -> dict[str, int]:
    if part == "learning":
        return {"subscribers": _learning_subscribers(quick=quick), "days": _learning_days(quick=quick)}
    return {"subscribers": QUICK_SUBSCRIBERS if quick else SUBSCRIBERS, "days": _days(quick=quick)}


def _learning_days(*, quick: bool) -> int:
    return QUICK_LEARNING_DAYS if quick else POLICY_READY_NUMBER + 2


def _learning_subscribers(*, quick: bool) -> int:
    return QUICK_LEARNING_SUBSCRIBERS if quick else LEARNING_SUBSCRIBERS


def _days(*, quick: bool) -> int:
    return QUICK_DAYS if quick else DAYS
