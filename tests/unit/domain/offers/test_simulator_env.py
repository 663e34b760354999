"""The environment: gymnasium's interface, seeds, masks, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_observation_space
from gymnasium.vector import AutoresetMode

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import DecisionDataError
from mlops_assets.domain.offers.policy_value import Horizon
from mlops_assets.domain.offers.simulator_env import OfferVectorEnv
from tests.unit.domain.offers.offer_log import campaign_log, learned_world

if TYPE_CHECKING:
    from numpy.typing import NDArray


def environment(num_envs: int = 40, weeks: int = 6) -> OfferVectorEnv:
    states = campaign_log().states
    return OfferVectorEnv(learned_world(), states, ContactPolicy(), Horizon(weeks=weeks), num_envs)


def test_spaces_fit_what_is_returned() -> None:
    env = environment()
    check_observation_space(env.single_observation_space)
    observations, info = env.reset(seed=1)
    assert observations.shape == env.observation_space.shape
    assert observations.dtype == env.observation_space.dtype
    assert info["action_mask"].shape == (40, len(learned_world().choices))
    env.action_space.seed(1)
    observations, rewards, terminations, truncations, _ = env.step(env.action_space.sample())
    assert observations.shape == env.observation_space.shape
    assert rewards.shape == terminations.shape == truncations.shape == (40,)
    assert isinstance(env.single_action_space, gymnasium.spaces.Discrete)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


def test_the_same_seed_repeats_everything() -> None:
    def lived(seed: int) -> NDArray[Any]:
        env, found = environment(), []
        env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(4):
            observations, rewards, *_ = env.step(env.action_space.sample())
            found.append(np.column_stack([observations, rewards]))
        return np.nan_to_num(np.stack(found))

    assert np.array_equal(lived(3), lived(3))
    assert not np.array_equal(lived(3), lived(4))


def test_what_the_mask_forbids_is_not_done() -> None:
    env = environment()
    env.reset(seed=2)
    offer = np.ones(40, dtype=np.int64)
    _, _, _, _, first = env.step(offer)
    observations, _, _, _, second = env.step(offer)
    contacted = ~first["refused"]
    assert contacted.any()
    assert second["refused"][contacted].all()  # one contact in four weeks
    newest = learned_world().layout.index("offers_week_1")
    assert not observations[contacted, newest].any()
    assert (second["action_mask"][:, 0] == 1).all()


def test_people_are_replaced_after_their_end() -> None:
    env = environment(num_envs=200, weeks=3)
    env.reset(seed=5)
    quiet = np.zeros(200, dtype=np.int64)
    left = np.zeros(200, dtype=bool)
    for week in range(3):
        _, rewards, terminations, truncations, _ = env.step(quiet)
        if week == 2:
            assert (terminations | truncations)[~left].sum() > 150
            assert not (terminations & truncations).any()
        left = terminations | truncations
    _, rewards, terminations, truncations, _ = env.step(quiet)
    assert not rewards[left].any()
    assert not (terminations | truncations)[left].any()


def test_bad_input_is_refused() -> None:
    env = environment()
    env.reset(seed=1)
    with pytest.raises(DecisionDataError, match="no actions"):
        env.step(np.full(40, 99))
    nobody = campaign_log().states.take(np.zeros(campaign_log().rows, dtype=bool))
    with pytest.raises(DecisionDataError, match="nobody"):
        OfferVectorEnv(learned_world(), nobody, ContactPolicy(), Horizon(), 3)
