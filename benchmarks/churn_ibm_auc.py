"""churn_ibm_auc: a foreign data set by YAML alone, through feed, corpus, leaderboard, gate and ledger.

Belongs here: repeated holdout over split seeds. The peer is a plain logistic regression on the same splits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from benchmarks.measuring import PROJECT, BenchmarkSkippedError, Goal, Line, Usage, run_fresh
from benchmarks.operator_data import work_folder

NAME = "churn_ibm_auc"
FILE = "telco_customer_churn.csv"
CONFIGS = PROJECT / "benchmarks" / "churn_ibm" / "configs"


def public_data() -> Path:
    """Return the public file; BenchmarkSkippedError where it is absent."""
    folder = Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / FILE).exists():
        raise BenchmarkSkippedError(f"{FILE} is not in {folder}; name its folder in MLOPS_PUBLIC_DATA")
    return folder / FILE


def train(home: str, configs: str) -> dict[str, float]:
    """Run snapshot feed, corpus, leaderboard and gate; return the holdout metric of champion and linear model."""
    from mlops_assets.commands.replay import Replay
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
    from mlops_assets.domain.ports import ModelSlot

    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    workspace = Workspace.of_one_process(Path(home), load_project([PROJECT_CONFIGS, Path(configs)], "local"))
    with workspace.open_instance() as instance:
        outcome = Replay(workspace, instance).train("churn_ibm", "all", None)
    champion = workspace.platform.ledger.champion(ModelSlot("churn_ibm", "churn_ibm", "all"))
    if champion is None:
        raise RuntimeError(outcome.text())
    return {"champion": champion.evidence["figures"]["challenger"]["metric"]}


def _seeded_configs(folder: Path, seed: int, algorithms: str | None) -> Path:
    shutil.copytree(CONFIGS, folder)
    path = folder / "use_cases" / "churn_ibm.yaml"
    text = path.read_text().replace("{kind: hash,", f"{{kind: hash, seed: {seed},")
    if algorithms:
        start, end = text.index("    algorithms:\n"), text.index("    gate:")
        text = text[:start] + f"    algorithms: {algorithms}\n" + text[end:]
    path.write_text(text)
    return folder


def _holdout(seed: int, algorithms: str | None) -> float:
    home = work_folder() / f"churn_ibm_{seed}_{'peer' if algorithms else 'ours'}"
    shutil.rmtree(home, ignore_errors=True)
    (home / "landing" / "all").mkdir(parents=True)
    shutil.copy(public_data(), home / "landing" / "all" / FILE)
    configs = _seeded_configs(home / "configs", seed, algorithms)
    result = run_fresh("benchmarks.churn_ibm_auc:train", {"home": str(home), "configs": str(configs)}).result
    shutil.rmtree(home)
    return float(result["champion"])


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the mean holdout ROC AUC of the champion over split seeds."""
    started, seeds = Usage.taken(), range(2 if quick else 5)
    ours = [_holdout(seed, None) for seed in seeds]
    linear = [_holdout(seed, "{linear: {}, dummy: {}}") for seed in seeds]
    yield Line(
        NAME,
        fmean(ours),
        "ROC AUC",
        Goal("value", 0.83 if quick else 0.84, is_at_most=False),
        {"rows": 7043, "splits": len(seeds)},
        Usage.taken().since(started).wall_s,
        peer="logistic regression alone",
        peer_value=fmean(linear),
        is_quick=quick,
        facts={"lowest": min(ours), "highest": max(ours)},
    )
