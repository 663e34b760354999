"""The learned world behind gymnasium's interface: a vector of people, a step is a week.

Belongs here: spaces, resets, terminations. Does not belong here: the world (simulator.py), what a policy is worth in it
(policy_value.py), which takes leaving as an expectation where this draws it.

Observations are state values, unknown levels as NaN; `info["action_mask"]` says which actions are allowed by
eligibility and contact cap. An action that is not allowed is taken as no offer, and `info["refused"]` says so. A person
who left, or reached the horizon, is replaced by another one at the next step (`AutoresetMode.NEXT_STEP`), reward 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import DecisionDataError, OfferStates
from mlops_assets.domain.offers.policy_value import Horizon
from mlops_assets.domain.offers.simulator import DRAWS, Simulator, find_allowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Step = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]


class OfferVectorEnv(VectorEnv[Any, Any, Any]):
    """People of a simulator, followed in parallel.

    Args:
        simulator: the world.
        people: states to start from, drawn with replacement.
        cap: contact policy.
        horizon: weeks of an episode, contact cost; its discount is left to who learns.
        num_envs: people followed at once.

    Raises:
        DecisionDataError: there are no people to start from.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self, simulator: Simulator, people: OfferStates, cap: ContactPolicy, horizon: Horizon, num_envs: int
    ) -> None:
        if people.rows == 0:
            raise DecisionDataError("there is nobody to start from", remedy="give states of people")
        self.num_envs = num_envs
        shape = (len(people.layout.columns),)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(len(simulator.choices))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._simulator, self._people, self._cap, self._horizon = simulator, people, cap, horizon
        self._states = people.take(np.zeros(num_envs, dtype=np.int64))
        self._week = np.zeros(num_envs, dtype=np.int64)
        self._is_over = np.zeros(num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - the interface has it
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start with other people; the same seed starts with the same ones and repeats all that follows."""
        super().reset(seed=seed)
        self._states = self._draw_people(self.num_envs)
        self._week[:] = 0
        self._is_over[:] = False
        return self._states.values.copy(), self._describe(np.zeros(self.num_envs, dtype=bool))

    def step(self, actions: NDArray[Any]) -> Step:
        """Let a week pass; returns observations, rewards in US dollars, terminations, truncations, info."""
        asked = np.asarray(actions, dtype=np.int64)
        if not self.action_space.contains(np.asarray(actions)):
            raise DecisionDataError(
                "these are no actions", where=str(asked.shape), expected=str(self.action_space)
            )
        allowed = self._find_allowed()
        refused = ~allowed[np.arange(self.num_envs), asked] & ~self._is_over
        taken = np.where(refused, 0, asked)
        chance = self.np_random.random((self.num_envs, DRAWS + 1))
        done = self._simulator.step(self._states, taken, chance[:, :DRAWS])
        fresh = self._is_over.copy()
        gained = done.margin_usd - self._horizon.contact_cost_usd * (taken != 0)
        left = (chance[:, DRAWS] < done.leave_chance) & ~fresh
        self._week = np.where(fresh, 0, self._week + 1)
        ended = (self._week >= self._horizon.weeks) & ~left & ~fresh
        values = done.states.values
        if fresh.any():
            values[fresh] = self._draw_people(int(fresh.sum())).values
        self._states = done.states.with_values(values)
        self._is_over = left | ended
        return values.copy(), np.where(fresh, 0.0, gained), left, ended, self._describe(refused)

    def _draw_people(self, count: int) -> OfferStates:
        return self._people.take(self.np_random.integers(0, self._people.rows, count))

    def _find_allowed(self) -> NDArray[np.bool_]:
        return find_allowed(self._simulator, self._states, self._cap)

    def _describe(self, refused: NDArray[np.bool_]) -> dict[str, Any]:
        return {"action_mask": self._find_allowed().astype(np.int8), "refused": refused}
