"""32 processes approve 32 challengers of one slot at once: one wins, 31 are told that they are stale.

Belongs here: the race, over one ledger and a real MLflow store, and the count. Does not belong here: the rules.
Beside it, in the same store: 32 processes that set MLflow's alias without a ledger; each is told that it won.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkFailedError, Goal, Line, run_fresh
from mlops_assets.domain.errors import StaleChampionError
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

SLOT = ModelSlot("churn", "churn_risk", "cl")
RACERS = 32
ROUNDS, QUICK_ROUNDS = 5, 1
PATIENCE_S = 300.0
_FIGURES = {"metric": "roc_auc", "challenger": {"metric": 0.8}, "baseline": {"metric": 0.7}}


def run(*, quick: bool) -> Iterator[Line]:
    """Yield one line: the rounds in which anything but one winner and 31 stale challengers came out."""
    start, rounds = time.perf_counter(), QUICK_ROUNDS if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        bundle_sha256 = run_fresh("benchmarks.promotion_race:prepare", {"home": folder}).result
        arguments = {"home": folder, "rounds": rounds, "bundle_sha256": bundle_sha256}
        found = run_fresh("benchmarks.promotion_race:race", arguments).result
    yield Line(
        name="promotion_race",
        value=float(found["rounds_wrong"]),
        unit="rounds with other than one winner",
        goal=Goal("value", 0.0),
        sizes={"processes": RACERS, "rounds": rounds},
        seconds=time.perf_counter() - start,
        is_quick=quick,
        facts={key: value for key, value in found.items() if key != "rounds_wrong"},
    )


def prepare(home: str) -> str:
    """Register a constant model as RACERS + 1 versions and make the first champion; return its hash."""
    from mlops_assets.domain.learning.algorithms import Signature
    from mlops_assets.domain.learning.algorithms.dummy import DummyModel
    from mlops_assets.domain.learning.bundle import Scorer, save_bundle
    from mlops_assets.domain.learning.exposure import exposure_to_keys

    signature = Signature("binary", ("tenure_days",), (), (), None)
    scorer = Scorer("dummy", DummyModel(signature, (0.2,)), None, exposure_to_keys(["x"]))
    bundle = Path(home) / "bundle"
    bundle_sha256 = save_bundle(bundle, scorer)
    _, registry, ledger = _stores(home)
    for number in range(RACERS + 1):
        with registry.run(SLOT.use_case, f"racer {number}", {}) as tracked:
            tracked.folder(bundle, "bundle")
        registry.register(SLOT.registered_name, tracked.run_id, "bundle", bundle_sha256, {})
    ledger.record(_entry("first", "promoted", "1", None, bundle_sha256))
    registry.project_aliases(SLOT.registered_name, "1", None)
    return bundle_sha256


def race(home: str, rounds: int, bundle_sha256: str) -> dict[str, Any]:
    """Race and count; the parent imports MLflow and opens nothing, so that its forks start at once and clean."""
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - for the forks

    wrong, told, disagreements, wall_s = 0, Counter[str](), 0, []
    for number in range(rounds):
        champion = _stores(home)[2].champion(SLOT)
        if champion is None:
            raise BenchmarkFailedError("the champion is gone")
        versions = [str(v) for v in range(1, RACERS + 2) if str(v) != champion.version]
        for version in versions:
            entry = _entry(f"{number:04d}-{version}", "pending", version, champion.version, bundle_sha256)
            _stores(home)[2].record(entry)
        started = time.perf_counter()
        outcomes = Counter(_in_processes(_approve, [(home, f"{number:04d}-{v}") for v in versions]))
        wall_s.append(time.perf_counter() - started)
        (aliases,) = _in_processes(_aliases, [(home, "")])
        pointer = _stores(home)[2].champion(SLOT)
        is_agreeing = pointer is not None and aliases == pointer.version != champion.version
        disagreements += not is_agreeing
        wrong += outcomes != {"won": 1, "stale": RACERS - 1} or not is_agreeing
        told += outcomes
    _stores(home)[2].verify()
    alias_only = Counter(_in_processes(_set_alias, [(home, str(v)) for v in range(1, RACERS + 1)]))
    return {
        "rounds_wrong": wrong,
        "won": told["won"],
        "stale": told["stale"],
        "other": sum(told.values()) - told["won"] - told["stale"],
        "pointer_and_alias_differ": disagreements,
        "median_round_s": sorted(wall_s)[len(wall_s) // 2],
        "told_they_won_by_alias_alone": alias_only["won"],
    }


def _stores(home: str) -> tuple[Any, Any, Any]:
    from resources.lake import LocalLake
    from resources.mlflow_registry import MlflowRegistry
    from resources.promotion_ledger import SqlitePromotionLedger

    root = Path(home)
    registry = MlflowRegistry(f"sqlite:///{root}/mlflow/mlflow.db", root / "mlflow" / "artifacts")
    return LocalLake(root / "lake"), registry, SqlitePromotionLedger(root / "ledger" / "ledger.db")


def _entry(
    decision_id: str, outcome: str, version: str, previous: str | None, bundle_sha256: str
) -> LedgerEntry:
    from mlops_assets.domain.learning.approval import ApprovalSpec, note_terms
    from mlops_assets.domain.learning.gate import hash_figures

    now = dt.datetime.now(dt.UTC)
    terms = note_terms(ApprovalSpec(mode="manual"), now)
    return LedgerEntry(
        decision_id=decision_id,
        slot=SLOT,
        outcome=outcome,
        version=version,
        bundle_sha256=bundle_sha256,
        previous_version=previous,
        decided_by="gate",
        decided_at_utc=now,
        as_of_day=None,
        evidence_sha256=hash_figures(_FIGURES),
        reasons=("a race",),
        evidence={"algorithm": "dummy", "figures": _FIGURES, "checks": [], "approval": terms},
    )


def _in_processes(work: Any, arguments: list[tuple[str, str]]) -> list[str]:
    """Run `work(barrier, home, what)` in one process per argument, all at once; return what each said."""
    forks = multiprocessing.get_context("fork")
    barrier, answers = forks.Barrier(len(arguments)), forks.Queue()
    processes = [
        forks.Process(target=_answer, args=(answers, work, barrier, *argument)) for argument in arguments
    ]
    for process in processes:
        process.start()
    said = [answers.get(timeout=PATIENCE_S) for _ in processes]
    for process in processes:
        process.join(PATIENCE_S)
    return said


def _answer(answers: Any, work: Any, barrier: Any, home: str, what: str) -> None:
    try:
        said = work(barrier, home, what)
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}"[:400])
        raise
    answers.put(said)


def _approve(barrier: Any, home: str, decision_id: str) -> str:
    from mlops_assets.domain.learning.approval import ApprovalSpec, Verdict
    from mlops_assets.domain.learning.decisions import decide_pending

    lake, registry, ledger = _stores(home)
    registry.open()
    verdict = Verdict(decision_id, True, f"racer {decision_id}", "to win", dt.datetime.now(dt.UTC))
    rules = ApprovalSpec(mode="manual")
    barrier.wait(PATIENCE_S)
    try:
        decide_pending(verdict, rules, None, lake=lake, registry=registry, ledger=ledger)
    except StaleChampionError:
        return "stale"
    return "won"


def _set_alias(barrier: Any, home: str, version: str) -> str:
    registry = _stores(home)[1]
    registry.open()
    barrier.wait(PATIENCE_S)
    registry.project_aliases(SLOT.registered_name, version, None)
    return "won"


def _aliases(barrier: Any, home: str, _: str) -> str:
    barrier.wait(PATIENCE_S)
    return str(_stores(home)[1].aliases(SLOT.registered_name).get("champion"))
