"""What one more remembered contact does to acceptance, to leaving and to the risk of leaving later.

Belongs here: three numbers and their standard errors, net of everything else that is known of a person. Does not belong
here: the models that the numbers correct (simulator_fit.py).

A tree grown for prediction shrinks a weak effect towards nothing, and it is the weak effect of a contact on later weeks
that decides whether contacting pays. So the effect is estimated by itself: outcome and memory of contacts are both
predicted from the state without its contact history, and what is left of one is regressed on what is left of the other
(Robinson 1988; Chernozhukov and others 2018, double machine learning). The effect is the same for everybody: that is an
assumption. Its sign is imposed: a contact never makes anybody more loyal or more willing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.tree_models import TreeSettings, fit_chance, fit_mean, shift_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS, _LARGEST = 8, 3.0


@dataclass(frozen=True)
class Effect:
    """Change for one more remembered contact, as it is used, and its standard error.

    `raw` is the estimate before its sign was imposed.
    """

    value: float
    standard_error: float
    raw: float


NO_EFFECT = Effect(0.0, 0.0, 0.0)


def estimate_on_odds(
    design: NDArray[np.float32],
    memory: Floats,
    hits: NDArray[np.bool_],
    *,
    sign: int,
    seed: int,
    threads: int,
) -> Effect:
    """Estimate the change of log-odds for one more remembered contact.

    Args:
        design: float32 [rows x columns], the state without its contact history.
        memory: float64 [rows], remembered contacts.
        hits: bool [rows].
        sign: 1 where more contacts can only make hits more frequent, -1 less frequent.
        seed: of the trees.
        threads: at most so many.
    """
    if hits.all() or not hits.any() or np.ptp(memory) == 0:
        return NO_EFFECT
    settings = TreeSettings(seed=seed, threads=threads)
    expected = fit_chance(design, hits, settings).predict(design)
    left = memory - fit_mean(design, memory, settings).predict(design)
    effect, information = 0.0, 1.0
    for _ in range(_STEPS):  # Newton's method on the likelihood
        chances = shift_odds(expected, effect * left)
        information = float((chances * (1 - chances) * left**2).sum())
        if information <= 0:
            return NO_EFFECT
        effect = float(
            np.clip(effect + float((left * (hits - chances)).sum()) / information, -_LARGEST, _LARGEST)
        )
    return _with_sign(effect, 1 / np.sqrt(information), sign)


def estimate_on_mean(
    design: NDArray[np.float32], memory: Floats, target: Floats, *, sign: int, seed: int, threads: int
) -> Effect:
    """Estimate the change of a mean for one more remembered contact; arguments as above, `target` float64 [rows]."""
    if len(target) == 0 or np.ptp(target) == 0 or np.ptp(memory) == 0:
        return NO_EFFECT
    settings = TreeSettings(seed=seed, threads=threads)
    rest = target - fit_mean(design, target, settings).predict(design)
    left = memory - fit_mean(design, memory, settings).predict(design)
    spread = float((left**2).sum())
    if spread <= 0:
        return NO_EFFECT
    effect = float((left * rest).sum()) / spread
    error = float(np.sqrt(((left * (rest - effect * left)) ** 2).sum())) / spread
    return _with_sign(effect, error, sign)


def _with_sign(effect: float, error: float, sign: int) -> Effect:
    return Effect(sign * max(0.0, sign * effect), float(error), effect)
