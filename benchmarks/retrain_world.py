"""Two use cases on the same tables, whose subscribers change their behaviour: what retrain_cost works with.

Belongs here: configuration, opening a data root, and how champions do on later days. Does not belong here: the two
ways of retraining (retrain_cost).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.measuring import PROJECT, BenchmarkFailedError
from benchmarks.operator_data import GEOGRAPHY, day_number
from benchmarks.subscriber_etl import days, open_site
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.config.models import ProjectConfig
    from mlops_assets.domain.learning.corpus import CorpusRequest
    from mlops_assets.domain.learning.dataset import Dataset

USE_CASES = ("churn", "purchases")
_SECOND = PROJECT / "benchmarks" / "purchases" / "purchases.yaml"
_ROUNDS = 400


def write_configs(folder: Path) -> Path:
    """Write the project's configuration with one geography's two use cases, churn as it is and the second one."""
    shutil.copytree(PROJECT_CONFIGS, folder)
    shutil.copyfile(_SECOND, folder / "use_cases" / _SECOND.name)
    for path in (folder / "use_cases").glob("[!_]*.yaml"):
        if path.stem not in USE_CASES:
            path.unlink()
    path = folder / "geographies.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    for code, entry in content["geographies"].items():
        entry["use_cases"] = list(USE_CASES) if code == GEOGRAPHY else []
        entry.pop("overrides", None)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def load_configs(configs: str) -> ProjectConfig:
    """Return that configuration, with its one geography only."""
    config = load_project([Path(configs)], "local")
    return config.model_copy(update={"geographies": {GEOGRAPHY: config.geographies[GEOGRAPHY]}})


def open_root(landing: str, home: str, configs: str) -> Workspace:
    """Open a data root whose landing zone lies elsewhere."""
    from mlops_assets.commands.workspace import Workspace

    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    linked = Path(home) / "landing"
    if not linked.exists():
        linked.symlink_to(landing)
    return Workspace.of_one_process(Path(home), load_configs(configs))


def build_days(landing: str, home: str, first: int, last: int) -> None:
    """Homologate the subscribers' feeds and build their tables, day by day."""
    site = open_site(landing, home, is_judging=False)
    for day in days(first, last):
        site.run_day(day)


def requests(workspace: Workspace, use_case: str) -> Iterator[CorpusRequest]:
    """Yield the corpus of each model of a use case."""
    from mlops_assets.domain.learning.corpus import CorpusRequest

    settings = workspace.config.use_cases[use_case][GEOGRAPHY]
    for name, spec in settings.models.items():
        yield CorpusRequest(use_case, name, settings.corpus, spec, GEOGRAPHY)


def describe_decisions(workspace: Workspace, use_case: str) -> dict[str, Any]:
    """Return, by model, what the newest decision rests on."""
    from mlops_assets.domain.learning.training import read_challenger, slot_of

    told = {}
    for request in requests(workspace, use_case):
        slot = slot_of(request)
        challenger, entry = (
            read_challenger(workspace.platform.lake, slot),
            workspace.platform.ledger.history(slot)[-1],
        )
        told[slot.model] = {
            "corpus_sha256": challenger.corpus_sha256,
            "label": next(row["algorithm"] for row in challenger.leaderboard if row["chosen"]),
            "outcome": entry.outcome,
            "gain": entry.evidence["figures"]["gain"],
        }
    return told


def compare_later(
    landing: str, home: str, peers: dict[str, str], configs: str, first: int, last: int
) -> dict[str, Any]:
    """Return how champions do on the newest as-of day that has complete labels on day `last`.

    Tables of the later days are built in `home`. Its champions and those of the peers, a data root a use case, are
    measured on the same rows, and so is the champion before.

    Returns:
        by model: metric, is_higher_better, figures `ours`, `coupled` and `stale`, ends of the paired 95 % interval of
        the gain of ours over the coupled one, rows and as-of day.
    """
    build_days(landing, home, first, last)
    ours, told = open_root(landing, home, configs), {}
    for use_case in USE_CASES:
        peer = open_root(landing, peers[use_case], configs)
        for request in requests(ours, use_case):
            told[request.model_name] = _compare(ours, peer, request, last)
    return told


def _compare(ours: Workspace, peer: Workspace, request: CorpusRequest, last: int) -> dict[str, Any]:
    import numpy as np

    from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap
    from mlops_assets.domain.learning.metrics import METRICS

    spec, rows = request.model, _later_rows(ours, request, last)
    slot = ModelSlot(request.use_case, request.model_name, GEOGRAPHY)
    first = ours.platform.ledger.history(slot)[0]
    champions = {"ours": (ours, None), "coupled": (peer, None), "stale": (ours, first)}
    evaluators = {
        name: EVALUATORS[spec.metric](rows.y, _score(root, slot, entry, rows), None)
        for name, (root, entry) in champions.items()
    }
    drawn = bootstrap([evaluators["ours"], evaluators["coupled"]], np.arange(rows.rows), _ROUNDS, 0)
    is_higher_better = METRICS[spec.metric].is_higher_better
    gains = drawn[0] - drawn[1] if is_higher_better else drawn[1] - drawn[0]
    low, high = np.quantile(gains, [0.025, 0.975])
    return {
        "metric": spec.metric, "is_higher_better": is_higher_better,
        **{name: evaluate(np.ones(rows.rows)) for name, evaluate in evaluators.items()},
        "gain_low": float(low), "gain_high": float(high), "rows": rows.rows, "as_of": str(np.max(rows.as_of)),
    }  # fmt: skip


def _later_rows(workspace: Workspace, request: CorpusRequest, last: int) -> Dataset:
    """Return the holdout of a corpus that ends on a later day."""
    from mlops_assets.domain.learning.corpus import build_corpus
    from mlops_assets.domain.learning.corpus_reader import load_corpus

    platform = workspace.platform
    first_day = platform.lake.days(request.corpus.table, GEOGRAPHY)[0]
    build_corpus(
        request, as_of_day=day_number(last), first_day=first_day, lake=platform.lake, engine=platform.engine
    )
    return load_corpus(request.partition, platform.lake, request.corpus, request.model)["holdout"]


def _score(workspace: Workspace, slot: ModelSlot, entry: LedgerEntry | None, rows: Dataset) -> np.ndarray:
    from mlops_assets.domain.learning.champions import load_version

    chosen = entry or workspace.platform.ledger.champion(slot)
    if chosen is None:
        raise BenchmarkFailedError(f"{slot.registered_name} has no champion")
    scorer = load_version(workspace.platform.registry, slot, chosen.version, chosen.bundle_sha256)
    return scorer.predict(rows.select(scorer.features))
