"""How likely a week's action was under the policy that took it, where the log says only a part of it.

A campaign log holds, for each contact, the chance of that offer on that day; of people left alone it says nothing.

| week | chance of the action |
|---|---|
| left alone, with a proposal of ours on all seven days | product of the seven chances of no offer |
| contacted on a day with a proposal of ours | w p / c with c the chance of any offer that day, w = 1 - (1 - c)^7 |
| left alone by the campaign's own rules | 1 - w(state), estimated |
| contacted by them | w(state) min(1, p / c), with c = 1 - (1 - w)^(1/7) |
| the campaign did otherwise than proposed, or logged no chance or 0 | NaN: not known |

p is the logged chance. w(state), the chance of a contact within a week, is a small CatBoost classifier of the state: it
sees what the rules see, history of contacts included, and smooths over strata that no state shows. The second and
fourth line take every day of the week to be as the day of the contact.

Belongs here: this arithmetic and the estimate. Does not belong here: reading logs (offer_weeks.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import STEP_DAYS, OfferStates
from mlops_assets.domain.offers.offer_weeks import WeekOutcomes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TREES, _DEPTH, _LEARNING_RATE, _SEED = 80, 4, 0.1, 7
_ROWS_MIN = 50  # with fewer rows of either kind the share of all is the estimate


def weekly_chances(outcomes: WeekOutcomes, states: OfferStates, *, threads: int = 1) -> Floats:
    """Return the chance of what was done to each person in a week, float64 [people], NaN where it is not known.

    Args:
        outcomes: of the weeks, one row a person-week.
        states: at the start of each.
        threads: most threads the estimate uses.
    """
    is_contacted = outcomes.contacts > 0
    is_own = np.where(is_contacted, np.isfinite(outcomes.own_on_day), outcomes.own_days >= STEP_DAYS)
    chance = np.full(len(is_contacted), np.nan)
    left_alone = is_own & ~is_contacted
    chance[left_alone] = outcomes.own_no_contact[left_alone]
    proposed = is_own & is_contacted
    daily = outcomes.own_on_day[proposed]
    chance[proposed] = _of_contact(1 - (1 - daily) ** STEP_DAYS, daily, outcomes.propensity[proposed])
    # Weeks of which we decided some days only have no one policy.
    by_rules = ~is_own & (outcomes.own_days == 0)
    if by_rules.any():
        weekly = estimate_contact_chances(states.take(by_rules), is_contacted[by_rules], threads=threads)
        daily = 1 - (1 - weekly) ** (1 / STEP_DAYS)
        contacted = _of_contact(weekly, daily, outcomes.propensity[by_rules])
        chance[by_rules] = np.where(is_contacted[by_rules], contacted, 1 - weekly)
    chance[outcomes.is_overridden] = np.nan
    return chance


def _of_contact(weekly: Floats, daily: Floats, logged: Floats) -> Floats:
    """Return the chance of the week's contact; NaN where the log gives no chance, or one of 0."""
    is_usable = (logged > 0) & (daily > 0)
    share = np.divide(logged, daily, out=np.full(len(logged), np.nan), where=is_usable)
    chances: Floats = weekly * np.minimum(share, 1.0)
    return chances


def estimate_contact_chances(
    states: OfferStates, is_contacted: NDArray[np.bool_], *, threads: int = 1
) -> Floats:
    """Return the chance of a contact within the week by the state at its start, float64 [rows], inside (0, 1)."""
    rows, contacts = len(is_contacted), int(is_contacted.sum())
    share = (contacts + 0.5) / (rows + 1.0)
    if min(contacts, rows - contacts) < _ROWS_MIN:
        return np.full(rows, share)
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(
        iterations=_TREES,
        depth=_DEPTH,
        learning_rate=_LEARNING_RATE,
        random_seed=_SEED,
        thread_count=threads,
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(states.values, is_contacted.astype(np.int8))
    chances: Floats = model.predict_proba(states.values, thread_count=threads)[:, 1]
    edge = 0.5 / (rows + 1.0)
    clipped: Floats = np.clip(chances, edge, 1 - edge)
    return clipped
