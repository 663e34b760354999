"""A world of four situations and three actions whose truth is known, and logs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SITUATIONS, ACTIONS = 4, 3
CHANCE = np.array([[0.1, 0.5, 0.3], [0.4, 0.2, 0.1], [0.3, 0.3, 0.6], [0.05, 0.25, 0.45]])
LOGGING = np.array([[0.5, 0.2, 0.3], [0.2, 0.4, 0.4], [0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3]])
TARGET = np.array([[0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.0, 0.2, 0.8]])
TRUTH = float((TARGET * CHANCE).sum(axis=1).mean())
LOGGED_TRUTH = float((LOGGING * CHANCE).sum(axis=1).mean())
SPEC = OffPolicySpec(bootstrap_rounds=200)


@dataclass(frozen=True)
class World:
    """A log, and for each of its rows what the log does not say."""

    log: LoggedDecisions
    situations: NDArray[np.int64]

    @property
    def target(self) -> Floats:
        return TARGET[self.situations]

    @property
    def logging(self) -> Floats:
        return LOGGING[self.situations]

    @property
    def chances(self) -> Floats:
        return CHANCE[self.situations]


def live(rows: int, seed: int, *, rows_a_customer: int = 1, spread: float = 0.0) -> World:
    """Return a random log; customers keep their situation and a liking of their own, normal with `spread`."""
    random = np.random.default_rng(seed)
    customers = np.arange(rows) // rows_a_customer
    situations = random.integers(0, SITUATIONS, rows)[customers]
    actions = (random.random((rows, 1)) > LOGGING[situations].cumsum(axis=1)).sum(axis=1)
    liking = random.normal(0, spread, rows)[customers] if spread else 0.0
    rewards = (random.random(rows) < CHANCE[situations, actions]) + liking
    log = LoggedDecisions.with_whole_propensities(
        actions, rewards.astype(np.float64), LOGGING[situations], customers
    )
    return World(log, situations)
