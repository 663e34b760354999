"""lte_fleet_auc: 33 real LTE cells as a fleet by YAML alone, through feed, corpus, pooled model, groups and ledger.

Belongs here: the run and the ROC AUC of what is served on the holdout. The peer is the pooled model on the same rows.
The data have no dates: parts are drawn at random by a hash, and the fleet's note says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    PROJECT,
    BenchmarkFailedError,
    BenchmarkSkippedError,
    Goal,
    Line,
    Usage,
    run_fresh,
)
from benchmarks.operator_data import work_folder

NAME = "lte_fleet_auc"
FILE = "lte_cells_unusual.csv"
CONFIGS = PROJECT / "benchmarks" / "lte_fleet" / "configs"
QUICK_CELLS = 5


def public_data() -> Path:
    """Return the public file; BenchmarkSkippedError where it is absent."""
    folder = Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / FILE).exists():
        raise BenchmarkSkippedError(f"{FILE} is not in {folder}; name its folder in MLOPS_PUBLIC_DATA")
    return folder / FILE


def train(home: str, configs: str) -> dict[str, Any]:
    """Train by the job of the use case and return what is served on the holdout, and what the note says."""
    from benchmarks.fleet_serving import measure_served
    from mlops_assets.commands.replay import Replay
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
    from mlops_assets.domain.learning.corpus import CorpusRequest
    from mlops_assets.domain.learning.fleet_note import read_fleet
    from mlops_assets.domain.learning.fleet_training import FleetStores
    from mlops_assets.domain.learning.training import slot_of

    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    workspace = Workspace.of_one_process(Path(home), load_project([PROJECT_CONFIGS, Path(configs)], "local"))
    with workspace.open_instance() as instance:
        outcome = Replay(workspace, instance).train("lte_fleet", "all", None)
    settings = workspace.config.use_cases["lte_fleet"]["all"]
    request = CorpusRequest("lte_fleet", "unusual", settings.corpus, settings.models["unusual"], "all")
    platform = workspace.platform
    if platform.ledger.champion(slot_of(request)) is None:
        raise BenchmarkFailedError(outcome.text())
    served = measure_served(
        request, FleetStores(platform.lake, platform.registry, platform.ledger), "roc_auc"
    )
    facts = read_fleet(platform.lake, slot_of(request))[2].facts
    return {"served": served.served, "pooled": served.pooled, "outcomes": facts["outcomes"],
            "caveat": facts["caveat"]}  # fmt: skip


def _prepare(home: Path, *, quick: bool) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    (home / "landing" / "all").mkdir(parents=True)
    shutil.copytree(CONFIGS, home / "configs")
    lines = public_data().read_text().splitlines(keepends=True)
    if quick:
        cells = sorted({line.split(",")[1] for line in lines[1:]})[:QUICK_CELLS]
        lines = lines[:1] + [line for line in lines[1:] if line.split(",")[1] in cells]
        feed = home / "configs" / "feeds" / "lte_cells_unusual.yaml"
        feed.write_text(feed.read_text().replace("min_rows: 36000", "min_rows: 1000"))
    (home / "landing" / "all" / FILE).write_text("".join(lines))
    return home / "configs"


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the ROC AUC of the served predictions on the holdout of all cells."""
    started, home = Usage.taken(), work_folder() / "lte_fleet"
    configs = _prepare(home, quick=quick)
    found = run_fresh("benchmarks.lte_fleet_auc:train", {"home": str(home), "configs": str(configs)}).result
    shutil.rmtree(home)
    if "no dates" not in found["caveat"]:
        raise BenchmarkFailedError("the fleet's note does not say that the data have no dates")
    yield Line(
        NAME,
        found["served"],
        "ROC AUC",
        Goal("value", 0.97 if quick else 0.99, is_at_most=False),
        {"cells": QUICK_CELLS if quick else 33, "split": "random by hash"},
        Usage.taken().since(started).wall_s,
        peer="pooled model alone",
        peer_value=found["pooled"],
        is_quick=quick,
        facts={"outcomes": found["outcomes"], "caveat": found["caveat"]},
    )
