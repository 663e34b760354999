"""The two learned worlds of a segment: one in which policies are learned, one in which they are judged.

Each is learned from its own half of the customers, so that a policy cannot win by what its world got wrong. Both are
checked against the newest weeks, which neither has seen.

Belongs here: fitting both, their checks, keeping them in the lake and reading them back verified. Does not belong here:
the simulator itself, or policies.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.gate import finite_or_none
from mlops_assets.domain.learning.lake_tables import simulator_table
from mlops_assets.domain.offers.decision_log import FrozenLog, log_partition
from mlops_assets.domain.offers.folder_archive import pack_folder, unpack_folder
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_bundle import load_simulator, save_simulator
from mlops_assets.domain.offers.simulator_check import SimulatorCheck, check_simulator
from mlops_assets.domain.offers.simulator_fit import fit_simulator, split_customers
from mlops_assets.domain.ports import Lake, Manifest, ModelSlot, PartitionId

WORLDS_VERSION = "1"
TRAINING, JUDGING = "training", "judging"
WORLDS = (TRAINING, JUDGING)


@dataclass(frozen=True)
class WorldsOutcome:
    """What is known of both worlds.

    Attributes:
        sha256: by world.
        figures: rows of the checks, JSON values: simulator, name, predicted, observed, allowed_error, holds.
        failures: in words; empty if both hold.
        log_sha256: content of the log that they were learned from.
        holdout_first_day, holdout_last_day: as-of day of the first week of the checks, last day of them, ISO days.
    """

    sha256: Mapping[str, str]
    figures: tuple[Mapping[str, Any], ...]
    failures: tuple[str, ...]
    log_sha256: str
    holdout_first_day: str
    holdout_last_day: str

    @property
    def holds(self) -> bool:
        """Whether policies may be learned in them."""
        return not self.failures

    def failures_with(self, log: FrozenLog) -> tuple[str, ...]:
        """Return why no policy may be learned or judged in them with this log, in words; empty if it may."""
        if self.log_sha256 != log.sha256:
            return ("the simulators were learned from another log than the one that is kept", *self.failures)
        return self.failures


def worlds_partition(slot: ModelSlot) -> PartitionId:
    """Return the lake partition of a slot's worlds."""
    return PartitionId(simulator_table(slot.use_case), slot.segment)


def build_worlds(
    slot: ModelSlot, log: FrozenLog, spec: OffersSpec, *, lake: Lake, threads: int = 1
) -> WorldsOutcome:
    """Learn both worlds from a log, check them and keep them, whether they hold or not.

    Args:
        slot: use case, agent and segment.
        log: person-weeks; the newest weeks are held out.
        spec: seed, contact policy and limits of the check.
        lake: receives the worlds.
        threads: most threads; the two worlds are learned beside each other.

    Raises:
        DecisionDataError: a half has too few contacts to learn from.
    """
    halves = split_customers(log.learned, spec.agent.seed)
    with ThreadPoolExecutor(min(threads, len(WORLDS))) as pool:
        learn = partial(fit_simulator, seed=spec.agent.seed, threads=max(1, threads // len(WORLDS)))
        simulators = list(pool.map(learn, halves))
    held_out = log.held_out
    build_key = stable_hash([log.sha256, spec.agent, spec.simulator_check, WORLDS_VERSION])
    with (
        lake.write(worlds_partition(slot), build_key) as writer,
        tempfile.TemporaryDirectory(prefix="mlops-worlds-") as folder,
    ):
        sha256, checks = {}, {}
        for name, simulator in zip(WORLDS, simulators, strict=True):
            sha256[name] = save_simulator(Path(folder) / name, simulator)
            pack_folder(Path(folder) / name, writer.file(name, ".tar"))
            checks[name] = check_simulator(simulator, held_out, spec.simulator_check)
        facts = _facts(log, sha256, checks)
        manifest = writer.commit(
            row_count=0, inputs={str(log_partition(slot)): log.manifest.build_key}, facts=facts
        )
    return _outcome(manifest)


def _facts(log: FrozenLog, sha256: Mapping[str, str], checks: Mapping[str, SimulatorCheck]) -> dict[str, Any]:
    return {
        "sha256": dict(sha256),
        "figures": [row for name, check in checks.items() for row in _rows(name, check)],
        "failures": [
            f"{name} simulator: {check.explain()}" for name, check in checks.items() if not check.is_passed
        ],
        "log_sha256": log.sha256,
        "holdout_first_day": log.holdout_first_day.isoformat(),
        "holdout_last_day": log.last_day.isoformat(),
    }


def _rows(name: str, check: SimulatorCheck) -> Iterator[dict[str, Any]]:
    for one in check.figures:
        yield {
            "simulator": name,
            "name": one.name,
            "predicted": finite_or_none(float(one.predicted)),
            "observed": finite_or_none(float(one.observed)),
            "allowed_error": finite_or_none(float(one.limit)),
            "holds": bool(one.is_passed),
        }


def _outcome(manifest: Manifest) -> WorldsOutcome:
    facts = manifest.facts
    return WorldsOutcome(
        sha256=dict(facts["sha256"]),
        figures=tuple(facts["figures"]),
        failures=tuple(facts["failures"]),
        log_sha256=facts["log_sha256"],
        holdout_first_day=facts["holdout_first_day"],
        holdout_last_day=facts["holdout_last_day"],
    )


def read_worlds(slot: ModelSlot, lake: Lake) -> WorldsOutcome:
    """Return what is known of a slot's worlds.

    Raises:
        TableInputError: none have been built.
    """
    manifest = lake.manifest(worlds_partition(slot))
    if manifest is None:
        raise TableInputError(
            "there is no simulator",
            where=str(worlds_partition(slot)),
            remedy="materialise the simulator asset",
        )
    return _outcome(manifest)


def find_refused_day(slot: ModelSlot, lake: Lake) -> dt.date | None:
    """Return the last day of the log whose worlds are kept if they do not hold; None if they do, or are none."""
    manifest = lake.manifest(worlds_partition(slot))
    worlds = None if manifest is None else _outcome(manifest)
    return None if worlds is None or worlds.holds else dt.date.fromisoformat(worlds.holdout_last_day)


def load_world(slot: ModelSlot, name: str, lake: Lake) -> Simulator:
    """Fetch, verify and load one of a slot's worlds.

    Raises:
        TableInputError: none have been built.
        ModelIntegrityError: a file differs from its hash; nothing was loaded.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-worlds-") as folder:
        return load_simulator(*fetch_world(slot, name, lake, Path(folder) / name))


def fetch_world(slot: ModelSlot, name: str, lake: Lake, folder: Path) -> tuple[Path, str]:
    """Unpack one of a slot's worlds into a new folder; return the folder and the hash that it has to have.

    Raises:
        TableInputError: none have been built.
        StorageError: the archive cannot be unpacked.
    """
    expected = read_worlds(slot, lake).sha256[name]
    return unpack_folder(lake.path(worlds_partition(slot), name), folder), expected
