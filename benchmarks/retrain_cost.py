"""retrain_cost: CPU of retraining and deployment after drift, beside the coupled way to champions as good.

One geography with two use cases (churn, and three models of purchases: `purchases/purchases.yaml`) on the same tables.
Behaviour moves for good four weeks before the models are retrained; all of them have champions from before.

Ours: one process, as the drift sensors request it: for each use case the training job through Dagster, with corpora,
contests, gate, model cards, retraining reports and deployment, on tables that are there. As configured, champions are
continued (`warm_start`). A second run without that, every algorithm fitted from nothing, is told beside it.

The coupled way: a process for each use case, with its feeds and nothing else: it homologates all days again and
builds, of the tables, those that this use case needs (the feature snapshot on the as-of days of its corpora only), then
fits all configured algorithms of one model after the other, and decides. No orchestrator, cards, reports or deployment.

Both begin with the same champions and decide on the same corpora (equal content hashes), with two threads. Then the
champions of both are measured on the same rows of later days, which nobody has seen.

Belongs here: both ways and their comparison. Does not belong here: the steps (mlops_assets), the data (retrain_world).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import BenchmarkFailedError, Goal, Line, Measured, Usage, run_fresh
from benchmarks.operator_data import GEOGRAPHY, day_number, shifted_files, work_folder
from benchmarks.retrain_world import (
    USE_CASES,
    build_days,
    describe_decisions,
    open_root,
    requests,
    write_configs,
)

if TYPE_CHECKING:
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.domain.learning.corpus import CorpusRequest

NAME = "retrain_cost"
# Numbers of days: data of the first champions end, behaviour moves, data of the retraining end, what comes later ends.
FIRST_DAYS, SHIFT_NUMBER, DAYS, LATER_DAYS = 55, 56, 84, 98
SUBSCRIBERS, QUICK_SUBSCRIBERS = 50_000, 5_000
# Idle threads must not spin: on a busy machine that would be counted as work, and the coupled way has more of them.
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
# The champions of both ways count as equally good within this, of their metric, on later days.
_EQUAL_WITHIN = 0.01


def prepare(landing: str, home: str, configs: str) -> None:
    """Build the tables of all days, and the first champions on the data of their day."""
    build_days(landing, home, 1, DAYS)
    _train(open_root(landing, home, configs), FIRST_DAYS, shift="")


def retrain(landing: str, home: str, configs: str, *, is_shift: bool) -> dict[str, Any]:
    """Run both training jobs as the drift sensors request them, or, without a shift, as a person does."""
    workspace = open_root(landing, home, configs)
    _train(workspace, DAYS, shift=f"plan_usage/{day_number(SHIFT_NUMBER + 3)}" if is_shift else "")
    told = {use_case: describe_decisions(workspace, use_case) for use_case in USE_CASES}
    return {"decisions": told, "cpu_s": Usage.taken().cpu_s}


def _train(workspace: Workspace, last: int, *, shift: str) -> None:
    from mlops_assets.commands.replay import Replay

    with workspace.open_instance() as instance:
        replay = Replay(workspace, instance)
        for use_case in USE_CASES:
            outcome = replay.train(use_case, GEOGRAPHY, day_number(last), shift=shift)
            if not outcome.succeeded:
                raise BenchmarkFailedError(outcome.text())


def retrain_coupled(landing: str, home: str, configs: str, use_case: str) -> dict[str, Any]:
    """Homologate and build what the use case needs again, then train and decide, one model after the other."""
    workspace = open_root(landing, home, configs)
    needed = list(requests(workspace, use_case))
    build_needed(landing, home, needed)
    for request in needed:
        _train_directly(workspace, request)
    return {"decisions": {use_case: describe_decisions(workspace, use_case)}, "cpu_s": Usage.taken().cpu_s}


def build_needed(landing: str, home: str, needed: list[CorpusRequest]) -> None:
    """Build of all days what the corpora need, the corpus table itself on their as-of days only."""
    from benchmarks.subscriber_etl import days, open_site
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    site = open_site(landing, home, is_judging=False)
    table = needed[0].corpus.table
    wanted, feeds = _find_needed({table, *(_label_table(one) for one in needed)})
    as_of_days = _as_of_days(needed[0])
    for day in days(1, DAYS):
        site.land(feeds, day)
        site.build(
            [name for name in FEATURE_TABLES if name in wanted and (name != table or day in as_of_days)], day
        )


def _find_needed(tables: set[str]) -> tuple[set[str], list[str]]:
    """Return the tables and feeds behind some tables, themselves included."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    found, waiting = set(), list(tables)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += (
                [source.table for source in FEATURE_TABLES[name].inputs] if name in FEATURE_TABLES else []
            )
    feeds = sorted(name.removeprefix("feeds/") for name in found if name.startswith("feeds/"))
    return found, feeds


def _label_table(request: CorpusRequest) -> str:
    from mlops_assets.domain.learning.spec import EventLabel

    label = request.model.label
    if not isinstance(label, EventLabel):
        raise BenchmarkFailedError(f"{request.model_name} has no event label")
    return label.table


def _as_of_days(request: CorpusRequest) -> set[dt.date]:
    from mlops_assets.domain.learning.spec import EventLabel, TimeSplit
    from mlops_assets.domain.learning.splits import plan_time_split

    split, label = request.corpus.split, request.model.label
    if not isinstance(split, TimeSplit) or not isinstance(label, EventLabel):
        raise BenchmarkFailedError("the corpus is not split by days")
    first, last = day_number(1), day_number(DAYS)
    return set(plan_time_split(first, last, label.horizon_days, split, request.corpus.min_history_days).days)


def _train_directly(workspace: Workspace, request: CorpusRequest) -> None:
    from mlops_assets.domain.learning.corpus import build_corpus
    from mlops_assets.domain.learning.promotion import judge_challenger
    from mlops_assets.domain.learning.training import train_challenger

    platform = workspace.platform
    settings = workspace.config.use_cases[request.use_case][request.segment]
    threads = workspace.config.environment.executor.threads_per_step
    build_corpus(
        request, as_of_day=day_number(DAYS), first_day=day_number(1), lake=platform.lake, engine=platform.engine
    )  # fmt: skip
    stamps = {**platform.provenance.stamps(), "dagster_run_id": "none", "config_sha256": "none"}
    challenger = train_challenger(
        request, lake=platform.lake, registry=platform.registry, stamps=stamps, threads=threads
    )
    judge_challenger(
        challenger, request, lake=platform.lake, registry=platform.registry, ledger=platform.ledger,
        decided_at_utc=dt.datetime.now(dt.UTC), threads=threads, approval=settings.approval,
    )  # fmt: skip


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the ratio of the CPU seconds, and for each model how the champions of both ways do later."""
    started = Usage.taken()
    subscribers = QUICK_SUBSCRIBERS if quick else SUBSCRIBERS
    landing = str(shifted_files(subscribers, LATER_DAYS, SHIFT_NUMBER).landing)
    root = work_folder() / NAME
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    common = {"landing": landing, "configs": str(write_configs(root / "configs"))}
    homes = _make_homes(root, common)
    runs = {
        name: _run("retrain", {**common, "home": homes[name], "is_shift": name == "ours"})
        for name in ("ours", "cold")
    }
    runs |= {
        name: _run("retrain_coupled", {**common, "home": homes[name], "use_case": name}) for name in USE_CASES
    }
    _require_same_corpora(runs)
    later = run_fresh(
        "benchmarks.retrain_world:compare_later",
        {**common, "home": homes["ours"], "peers": {name: homes[name] for name in USE_CASES},
         "first": DAYS + 1, "last": LATER_DAYS},
    ).result  # fmt: skip
    shutil.rmtree(root)
    sizes = {"subscribers": subscribers, "days": DAYS, "use_cases": len(USE_CASES), "models": len(later)}
    shared = {"sizes": sizes, "seconds": Usage.taken().since(started).wall_s, "is_quick": quick}
    yield _tell_cost(runs, shared)
    yield from (_tell_later(model, found, shared) for model, found in later.items())


def _make_homes(root: Path, common: Mapping[str, Any]) -> dict[str, str]:
    """Return data roots with the same champions: of ours and of ours without warm start, with tables; else without."""
    homes = {name: str(root / name) for name in ("ours", "cold", *USE_CASES)}
    for home in homes.values():
        Path(home).mkdir()
    _run("prepare", {**common, "home": homes["ours"]})
    for name, home in homes.items():
        for kept in ("ledger", "mlflow") if name != "ours" else ():
            shutil.copytree(Path(homes["ours"]) / kept, Path(home) / kept)
    # Published files are never written again, so that links are as good as copies.
    shutil.copytree(Path(homes["ours"]) / "lake", Path(homes["cold"]) / "lake", copy_function=os.link)
    return homes


def _run(function: str, arguments: Mapping[str, Any]) -> Measured:
    return run_fresh(f"benchmarks.retrain_cost:{function}", arguments, _ENVIRONMENT)


def _decisions(runs: Mapping[str, Measured], name: str, use_case: str) -> dict[str, Any]:
    found: dict[str, Any] = runs[name].result["decisions"][use_case]
    return found


def _require_same_corpora(runs: Mapping[str, Measured]) -> None:
    for use_case in USE_CASES:
        hashes = [
            {model: one["corpus_sha256"] for model, one in _decisions(runs, name, use_case).items()}
            for name in ("ours", "cold", use_case)
        ]
        if hashes.count(hashes[0]) != len(hashes):
            raise BenchmarkFailedError(f"the corpora of {use_case} differ: {hashes}")


def _tell_cost(runs: Mapping[str, Measured], shared: Mapping[str, Any]) -> Line:
    """CPU is that of whole processes, their start included."""
    cpu_s = {name: float(one.result["cpu_s"]) for name, one in runs.items()}
    coupled = sum(cpu_s[use_case] for use_case in USE_CASES)
    told = {
        f"{use_case} {name}": _words(_decisions(runs, use_case if name == "coupled" else name, use_case))
        for use_case in USE_CASES
        for name in ("ours", "cold", "coupled")
    }
    return Line(
        NAME, cpu_s["ours"], "CPU s", Goal("ratio", 0.15), peer="each use case alone, from the feeds",
        peer_value=coupled, part="retraining and deployment",
        facts={
            "cold_ratio": cpu_s["cold"] / coupled, "wall_s": runs["ours"].wall_s,
            "peer_wall_s": sum(runs[one].wall_s for one in USE_CASES),
            **{f"cpu_s {name}": value for name, value in cpu_s.items()}, **told,
        },
        **shared,
    )  # fmt: skip


def _words(decisions: Mapping[str, Any]) -> str:
    return "; ".join(f"{model}: {one['label']} {one['outcome']}" for model, one in decisions.items())


def _tell_later(model: str, found: Mapping[str, Any], shared: Mapping[str, Any]) -> Line:
    is_higher_better = found["is_higher_better"]
    limit = 1 - _EQUAL_WITHIN if is_higher_better else 1 + _EQUAL_WITHIN
    kept = ("gain_low", "gain_high", "stale", "rows", "as_of")
    return Line(
        NAME, found["ours"], found["metric"], Goal("ratio", limit, is_at_most=not is_higher_better),
        peer="champion of the coupled way", peer_value=found["coupled"], part=f"later days, {model}",
        facts={name: found[name] for name in kept}, **shared,
    )  # fmt: skip
