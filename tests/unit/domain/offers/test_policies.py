"""Policies: their choice, what they refuse, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.offers.decision_data import NO_OFFER_CHOICE, OfferAction, OfferStates, StateLayout
from mlops_assets.domain.offers.policies import (
    DistilledPolicy,
    PolicyError,
    build_constant_policy,
    decide,
)
from mlops_assets.domain.offers.policy_bundle import POLICY_FILE, load_policy, save_policy
from mlops_assets.domain.offers.state_design import build_design
from mlops_assets.domain.offers.tree_models import TreeSettings, constant_model, fit_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYOUT = StateLayout(("balance", "usage"))
SMALL = OfferAction("data_s", "data", 2.1, 1.25, 7, 2048.0)
LARGE = OfferAction("data_l", "data", 10.5, 6.4, 30, 18432.0, 0.1)
CHOICES = (NO_OFFER_CHOICE, SMALL, LARGE)


def states(rows: int = 400, seed: int = 1) -> OfferStates:
    values = np.random.default_rng(seed).normal(size=(rows, len(LAYOUT.columns))).astype(np.float32)
    return OfferStates(LAYOUT, values, np.arange(rows))


def policy() -> DistilledPolicy:
    """Return one that likes data_s where the balance is high, and data_l a little everywhere."""
    people = states()
    liking = np.where(people.column("balance") > 0, 1.0, -1.0)
    model = fit_mean(build_design(people), liking, TreeSettings(iterations=30))
    return DistilledPolicy(
        "agent",
        CHOICES,
        LAYOUT.columns,
        (constant_model("mean", [0.0]), model, constant_model("mean", [0.1])),
    )


def everything(rows: int) -> NDArray[np.bool_]:
    return np.ones((rows, len(CHOICES)), dtype=bool)


def test_the_best_allowed_offer_is_chosen() -> None:
    people = states(seed=2)
    is_rich = people.column("balance") > 0.1
    is_poor = people.column("balance") < -0.1
    chosen = decide(policy(), people, everything(people.rows))
    assert (chosen[is_rich] == 1).all()
    assert (chosen[is_poor] == 2).all()
    allowed = everything(people.rows)
    allowed[:, 2] = False
    allowed[:, 0] = False  # nobody can be denied having no offer
    assert (decide(policy(), people, allowed)[is_poor] == 0).all()
    assert (decide(policy(), people, np.zeros_like(allowed)) == 0).all()


def test_nothing_above_zero_is_no_offer() -> None:
    people = states(10)
    useless = build_constant_policy("best_single", CHOICES, LAYOUT.columns, [0.0, 0.0, -0.2])
    assert (decide(useless, people, everything(10)) == 0).all()


def test_nobody_and_unknown_levels_are_no_obstacle() -> None:
    assert decide(policy(), states().take(np.zeros(400, dtype=bool)), everything(0)).shape == (0,)
    unknown = states(5).values.copy()
    unknown[:, 0] = np.nan
    people = states(5).with_values(unknown)
    assert np.isfinite(policy().advantages(people)).all()


def test_other_columns_and_masks_are_refused() -> None:
    other = StateLayout(("balance",))
    people = OfferStates(other, np.zeros((3, len(other.columns)), np.float32), np.arange(3))
    with pytest.raises(PolicyError, match="where: usage"):
        policy().advantages(people)
    with pytest.raises(PolicyError, match="mask"):
        decide(policy(), states(3), np.ones((3, 2), dtype=bool))
    with pytest.raises(PolicyError, match="one model a choice"):
        DistilledPolicy("agent", CHOICES, LAYOUT.columns, (constant_model("mean", [0.0]),))


def test_explanations_add_up_to_the_advantage() -> None:
    people, asked = states(50, seed=3), policy()
    columns, shares = asked.explain(people, np.full(50, 1))
    offset = asked.advantages(people)[:, 1] - shares.sum(axis=1)
    assert np.allclose(offset, offset[0], atol=1e-5)
    assert columns[int(np.abs(shares).sum(axis=0).argmax())] == "balance"
    assert not asked.explain(people, np.zeros(50, dtype=np.int64))[1].any()


def test_a_stored_policy_is_the_same(tmp_path: Path) -> None:
    identity = save_policy(tmp_path / "policy", policy(), {"run": "r1"})
    loaded = load_policy(tmp_path / "policy", identity)
    people = states(seed=4)
    assert np.array_equal(loaded.advantages(people), policy().advantages(people))
    assert (loaded.kind, loaded.choices, loaded.columns) == ("agent", CHOICES, LAYOUT.columns)


@pytest.mark.parametrize("name", [POLICY_FILE, "choice_1.cbm"])
def test_a_changed_file_is_refused_before_it_is_loaded(tmp_path: Path, name: str) -> None:
    identity = save_policy(tmp_path, policy())
    (tmp_path / name).write_bytes(b"CBM1" + (tmp_path / name).read_bytes()[4:] + b" ")
    with pytest.raises(ModelIntegrityError, match="SHA-256"):
        load_policy(tmp_path, identity)


def test_surplus_files_and_full_folders_are_refused(tmp_path: Path) -> None:
    identity = save_policy(tmp_path, policy())
    with pytest.raises(ModelIntegrityError, match="not empty"):
        save_policy(tmp_path, policy())
    (tmp_path / "surplus.cbm").write_bytes(b"")
    with pytest.raises(ModelIntegrityError, match="surplus"):
        load_policy(tmp_path, identity)
