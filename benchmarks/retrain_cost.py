"""retrain_cost: CPU of a retraining after drift, with deployment, beside the coupled way to the same model.

Ours is the training job of one segment through Dagster: corpus, leaderboard, gate, reports, deployment, on tables
that are there. The coupled way is what a prototype does: it has the feeds and nothing else, so for the same corpus it
homologates every day of them again, builds every table again, and then trains, one step after another. Both end with a
decision on a challenger of the same corpus (same content hash) with the same holdout figures.

Belongs here: both ways and their comparison. Does not belong here: the steps (mlops_assets).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import BenchmarkFailedError, Goal, Line, run_fresh
from benchmarks.operator_data import GEOGRAPHY, day_number, feed_files, one_geography, work_folder
from benchmarks.subscriber_etl import days, open_site
from mlops_assets.domain.ports import ModelSlot

if TYPE_CHECKING:
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.domain.learning.corpus import CorpusRequest

NAME = "retrain_cost"
FIRST_DAYS, DAYS = 42, 56  # of the first champion, and of the retraining
SUBSCRIBERS, QUICK_SUBSCRIBERS = 50_000, 5_000
SLOT = ModelSlot("churn", "churn_risk", GEOGRAPHY)


def prepare(landing: str, home: str, last: int) -> None:
    """Build the tables of all days, and the first champion on the data of its day."""
    site = open_site(landing, home, is_judging=False)
    for day in days(1, last):
        site.run_day(day)
    train(landing, home, FIRST_DAYS)


def train(landing: str, home: str, last: int) -> dict[str, Any]:
    """Run the training job as the drift sensor's request does."""
    from mlops_assets.commands.replay import Replay

    workspace = _open(landing, home)
    with workspace.open_instance() as instance:
        outcome = Replay(workspace, instance).train(SLOT.use_case, SLOT.segment, day_number(last))
    if not outcome.succeeded:
        raise BenchmarkFailedError(outcome.text())
    return _result(workspace)


def train_coupled(landing: str, home: str, last: int) -> dict[str, Any]:
    """Homologate and build all days again, then train and decide, without an orchestrator."""
    site = open_site(landing, home, is_judging=False)
    for day in days(1, last):
        site.run_day(day)
    workspace = _open(landing, home)
    _train_directly(workspace, day_number(last))
    return _result(workspace)


def _open(landing: str, home: str) -> Workspace:
    from mlops_assets.commands.workspace import Workspace

    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    linked = Path(home) / "landing"
    if not linked.exists():
        linked.symlink_to(landing)
    return Workspace.of_one_process(Path(home), one_geography())


def _train_directly(workspace: Workspace, as_of_day: dt.date) -> None:
    from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus
    from mlops_assets.domain.learning.promotion import judge_challenger
    from mlops_assets.domain.learning.training import train_challenger

    settings, platform = workspace.config.use_cases[SLOT.use_case][SLOT.segment], workspace.platform
    request: CorpusRequest = CorpusRequest(
        SLOT.use_case, SLOT.model, settings.corpus, settings.models[SLOT.model], SLOT.segment
    )
    threads = workspace.config.environment.executor.threads_per_step
    first = platform.lake.days(request.corpus.table, SLOT.segment)[0]
    build_corpus(request, as_of_day=as_of_day, first_day=first, lake=platform.lake, engine=platform.engine)
    stamps = {**platform.provenance.stamps(), "dagster_run_id": "none", "config_sha256": "none"}
    challenger = train_challenger(
        request, lake=platform.lake, registry=platform.registry, stamps=stamps, threads=threads
    )
    judge_challenger(
        challenger, request, lake=platform.lake, registry=platform.registry, ledger=platform.ledger,
        decided_at_utc=dt.datetime.now(dt.UTC), threads=threads, approval=settings.approval,
    )  # fmt: skip


def _result(workspace: Workspace) -> dict[str, Any]:
    from mlops_assets.domain.learning.training import read_challenger

    challenger = read_challenger(workspace.platform.lake, SLOT)
    entry = workspace.platform.ledger.history(SLOT)[-1]
    return {
        "corpus_sha256": challenger.corpus_sha256,
        "algorithm": challenger.algorithm,
        "metric": entry.evidence["figures"]["challenger"]["metric"],
        "decisions": len(workspace.platform.ledger.history(SLOT)),
        "outcome": entry.outcome,
    }


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the CPU seconds of both ways, after checking that they made the same model."""
    subscribers = QUICK_SUBSCRIBERS if quick else SUBSCRIBERS
    files = feed_files(subscribers, DAYS)
    root = work_folder() / NAME
    shutil.rmtree(root, ignore_errors=True)
    homes = {name: str(root / name) for name in ("ours", "coupled")}
    for home in homes.values():
        Path(home).mkdir(parents=True)
    landing = str(files.landing)
    run_fresh("benchmarks.retrain_cost:prepare", {"landing": landing, "home": homes["ours"], "last": DAYS})
    # Both know the champion that the challenger is compared with, and nothing else is given to the coupled way.
    for kept in ("ledger", "mlflow"):
        shutil.copytree(Path(homes["ours"]) / kept, Path(homes["coupled"]) / kept)
    ours = run_fresh(
        "benchmarks.retrain_cost:train", {"landing": landing, "home": homes["ours"], "last": DAYS}
    )
    coupled = run_fresh(
        "benchmarks.retrain_cost:train_coupled", {"landing": landing, "home": homes["coupled"], "last": DAYS}
    )
    shutil.rmtree(root)
    if ours.result != coupled.result:
        raise BenchmarkFailedError(f"the two ways differ: {ours.result} and {coupled.result}")
    yield Line(
        NAME, ours.cpu_s, "CPU s", Goal("ratio", 0.15),
        {"subscribers": subscribers, "days": DAYS, "use_cases": 1, "segments": 1}, ours.wall_s + coupled.wall_s,
        peer="everything from the feeds again", peer_value=coupled.cpu_s, is_quick=quick,
        facts={"wall_s": ours.wall_s, "peer_wall_s": coupled.wall_s, **ours.result},
    )  # fmt: skip
