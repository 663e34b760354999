"""From a frozen decision log and its two worlds to a registered policy.

Belongs here: the order of learning, judging, tracking, bundling and registering. Does not belong here: the rungs
(ladder.py, agent.py), the decision (policy_promotion.py) or Dagster.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.training import BUNDLE_FOLDER, Challenger, note_challenger
from mlops_assets.domain.offers.decision_log import FrozenLog, read_log
from mlops_assets.domain.offers.ladder import (
    JudgedLadder,
    JudgedPolicy,
    build_ladder,
    judge_ladder,
    make_horizon,
)
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policy_bundle import save_policy
from mlops_assets.domain.offers.policy_court import choose_people
from mlops_assets.domain.offers.policy_versions import (
    WORLD_SHA256_STAMP,
    WORLD_VERSION_STAMP,
    world_name,
)
from mlops_assets.domain.offers.simulator_fit import split_customers
from mlops_assets.domain.offers.simulator_support import find_support
from mlops_assets.domain.offers.worlds import (
    JUDGING,
    TRAINING,
    WorldsOutcome,
    fetch_world,
    load_world,
    read_worlds,
)
from mlops_assets.domain.ports import Lake, ModelRegistry, ModelSlot, RegisteredVersion, RunLogger

POLICY_TRAINING_VERSION = "2"
WORLD_FOLDER = "world"


def train_policy(
    slot: ModelSlot,
    spec: OffersSpec,
    *,
    lake: Lake,
    registry: ModelRegistry,
    stamps: Mapping[str, Any],
    threads: int = 1,
) -> Challenger:
    """Learn every rung of the ladder in one world, judge all in the other, register the chosen one, note it.

    Args:
        slot: use case, agent and segment.
        spec: of the offers.
        lake: holds log and worlds, receives the challenger's note.
        registry: tracks one run per rung under one parent, and keeps the policy.
        stamps: where the code comes from (run id, commit, configuration and lock hashes), JSON values.
        threads: most threads a fit uses.

    Raises:
        TableInputError: log or worlds have not been built.
        LearningError: the worlds do not describe the held-out weeks, or were learned from another log.
        ModelIntegrityError: a file of a world is not what was learned.
    """
    log, worlds = read_log(slot, lake), read_worlds(slot, lake)
    _require_sound(slot, log, worlds)
    stamps = {**stamps, **_log_stamps(slot, log, worlds)}
    tags = {name: str(value) for name, value in stamps.items()}
    with registry.run(slot.use_case, f"{slot.model} {slot.segment}", tags) as parent:
        ladder = _climb(slot, spec, log, lake, threads)
        for rung in ladder.rungs:
            _track(registry, slot, rung, tags, parent.run_id)
        registered, sha256 = _register(slot, ladder, stamps, lake, registry, parent)
    challenger = Challenger(
        slot=slot,
        version=registered.version,
        bundle_sha256=sha256,
        run_id=parent.run_id,
        algorithm=ladder.chosen,
        reason=ladder.reason,
        corpus_sha256=log.sha256,
        as_of_day=log.last_day,
        leaderboard=tuple(_row(rung, ladder) for rung in ladder.rungs),
        importances={},
        stamps=stamps,
    )
    note_challenger(lake, challenger)
    return challenger


def _require_sound(slot: ModelSlot, log: FrozenLog, worlds: WorldsOutcome) -> None:
    """The blocking check stops a run; this stops whoever asks for the policy alone."""
    if reasons := worlds.failures_with(log):
        raise LearningError(
            "no policy may be learned in these simulators",
            where=f"{slot.registered_name}: {'; '.join(reasons)}",
            expected="simulators that describe the held-out weeks of the log",
            remedy="materialise the simulator asset again; if its check fails, look at its figures",
        )


def _log_stamps(slot: ModelSlot, log: FrozenLog, worlds: WorldsOutcome) -> dict[str, Any]:
    inputs = log.manifest.facts["input_champions"]
    return {
        "use_case": slot.use_case,
        "model": slot.model,
        "segment": slot.segment,
        "transitions_sha256": log.sha256,
        "simulator_sha256": worlds.sha256[TRAINING],
        WORLD_SHA256_STAMP: worlds.sha256[JUDGING],
        "input_champions": ", ".join(f"{name} {version}" for name, version in sorted(inputs.items())),
    }


def _climb(slot: ModelSlot, spec: OffersSpec, log: FrozenLog, lake: Lake, threads: int) -> JudgedLadder:
    learned_from, _ = split_customers(log.learned, spec.agent.seed)
    cap = spec.catalogue.contact_policy
    policies = build_ladder(
        load_world(slot, TRAINING, lake), learned_from.states, cap, spec.agent, threads=threads
    )
    return judge_ladder(
        load_world(slot, JUDGING, lake),
        policies,
        choose_people(log, spec),
        cap,
        support=find_support(log.learned),
        horizon=make_horizon(spec.agent),
        gate=spec.gate,
        threads=threads,
    )


def _track(
    registry: ModelRegistry,
    slot: ModelSlot,
    rung: JudgedPolicy,
    tags: Mapping[str, str],
    parent_run_id: str,
) -> None:
    state = {"state": "refused", "reason": "; ".join(rung.problems)[:400]} if rung.problems else {}
    name = f"{slot.model} {slot.segment} {rung.kind}"
    with registry.run(slot.use_case, name, {**tags, "state": "judged", **state}, parent_run_id) as run:
        run.params({"policy": rung.kind})
        run.metrics(_figures(rung))


def _figures(rung: JudgedPolicy) -> dict[str, float]:
    value = rung.value
    return {
        "value_usd": value.mean_usd,
        "contacts_per_week": value.contact_rate,
        "acceptance": value.acceptance,
        "alive_share": value.alive_share,
    }


def _register(
    slot: ModelSlot,
    ladder: JudgedLadder,
    stamps: Mapping[str, Any],
    lake: Lake,
    registry: ModelRegistry,
    run: RunLogger,
) -> tuple[RegisteredVersion, str]:
    chosen, tags = ladder.find(ladder.chosen), {name: str(value) for name, value in stamps.items()}
    world = _register_world(slot, lake, registry, run, tags)
    stamps = {**stamps, WORLD_VERSION_STAMP: world.version}
    with tempfile.TemporaryDirectory(prefix="mlops-policy-") as folder:
        bundle = Path(folder) / BUNDLE_FOLDER
        sha256 = save_policy(bundle, chosen.policy, stamps)
        run.folder(bundle, BUNDLE_FOLDER)
    run.params({"policy": ladder.chosen, "reason": ladder.reason})
    run.metrics(_figures(chosen))
    tags |= {"algorithm": ladder.chosen, WORLD_VERSION_STAMP: world.version}
    return registry.register(slot.registered_name, run.run_id, BUNDLE_FOLDER, sha256, tags), sha256


def _register_world(
    slot: ModelSlot, lake: Lake, registry: ModelRegistry, run: RunLogger, tags: Mapping[str, str]
) -> RegisteredVersion:
    """Register the judging world beside the policy: the lake keeps that of the newest training only."""
    with tempfile.TemporaryDirectory(prefix="mlops-policy-") as folder:
        world, sha256 = fetch_world(slot, JUDGING, lake, Path(folder) / WORLD_FOLDER)
        run.folder(world, WORLD_FOLDER)
    return registry.register(world_name(slot), run.run_id, WORLD_FOLDER, sha256, tags)


def _row(rung: JudgedPolicy, ladder: JudgedLadder) -> dict[str, Any]:
    """Return a rung as the ladder report reads it; the gain is the one over making no offers."""
    gain = rung.gains.get("no_offer")
    return {
        "kind": rung.kind,
        "is_chosen": rung.kind == ladder.chosen,
        "value_usd": rung.value.mean_usd,
        "gain_usd": gain.mean_usd if gain else None,
        "gain_low_usd": gain.low_usd if gain else None,
        "gain_high_usd": gain.high_usd if gain else None,
        "contacts_per_week": rung.value.contact_rate,
        "acceptance": rung.value.acceptance,
        "refusal": "; ".join(rung.problems),
    }
