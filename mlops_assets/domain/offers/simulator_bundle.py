"""A simulator as a folder of native files, and `simulator.json` with the SHA-256 of every file.

Belongs here: writing and reading. Does not belong here: what a simulator does (simulator.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlops_assets.domain.offers.contact_effect import Effect
from mlops_assets.domain.offers.decision_data import OfferAction, StateLayout
from mlops_assets.domain.offers.simulator import LevelMoves, Simulator
from mlops_assets.domain.offers.tree_bundle import TreeBundle, load_tree_bundle, save_tree_bundle

SIMULATOR_FILE = "simulator.json"
_ELIGIBLE = "eligible_"
_MOVES = ("mean", "place")
_ARRAYS = ("surprises", "risk_gap", "missing_risk", "scales", "lowest", "highest")


def save_simulator(folder: Path, simulator: Simulator, stamps: Mapping[str, Any] | None = None) -> str:
    """Write a simulator into a new or empty folder and return the SHA-256 of `simulator.json`.

    Raises:
        ModelIntegrityError: the folder holds something already.
    """
    header = {
        "levels": list(simulator.layout.levels),
        "choices": [asdict(choice) for choice in simulator.choices],
        "plans": [asdict(plan) for plan in simulator.plans],
        "contacts": {name: asdict(effect) for name, effect in simulator.contacts.items()},
        "stamps": dict(stamps or {}),
    }
    models = {
        **simulator.models,
        **{_ELIGIBLE + code: model for code, model in simulator.eligibility.items()},
        **{f"moves_{name}": getattr(simulator.moves, name) for name in _MOVES},
    }
    arrays = {name: getattr(simulator.moves, name) for name in _ARRAYS}
    arrays["extra_margin_usd"] = simulator.extra_margin_usd
    return save_tree_bundle(folder, SIMULATOR_FILE, TreeBundle(header, models, arrays))


def load_simulator(folder: Path, expected_sha256: str) -> Simulator:
    """Verify every byte of a stored simulator, then load it.

    Raises:
        ModelIntegrityError: a file is changed, missing, surplus or not readable; no loader has touched a changed one.
    """
    bundle = load_tree_bundle(folder, SIMULATOR_FILE, expected_sha256)
    header, models = bundle.header, bundle.models
    parts = {f"moves_{name}" for name in _MOVES}
    return Simulator(
        layout=StateLayout(tuple(header["levels"])),
        choices=tuple(OfferAction(**choice) for choice in header["choices"]),
        plans=tuple(OfferAction(**plan) for plan in header["plans"]),
        models={
            name: model
            for name, model in models.items()
            if name not in parts and not name.startswith(_ELIGIBLE)
        },
        eligibility={
            name.removeprefix(_ELIGIBLE): model
            for name, model in models.items()
            if name.startswith(_ELIGIBLE)
        },
        moves=LevelMoves(
            models["moves_mean"], models["moves_place"], *(bundle.arrays[name] for name in _ARRAYS)
        ),
        contacts={name: Effect(**effect) for name, effect in header["contacts"].items()},
        extra_margin_usd=bundle.arrays["extra_margin_usd"],
    )
