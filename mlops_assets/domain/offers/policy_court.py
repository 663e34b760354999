"""The court of a slot, from the lake: judging world, people that no policy was learned with, log, whose log it is.

Belongs here: bringing these together. Does not belong here: judging (policy_evidence.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from mlops_assets.domain.offers.decision_data import OfferStates
from mlops_assets.domain.offers.decision_log import FrozenLog, read_log
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.performance_record import find_first_policy_day
from mlops_assets.domain.offers.policy_evidence import Court
from mlops_assets.domain.offers.simulator_fit import split_customers
from mlops_assets.domain.offers.simulator_support import find_support, find_support_problems
from mlops_assets.domain.offers.worlds import JUDGING, load_world, read_worlds
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelSlot


def open_court(slot: ModelSlot, spec: OffersSpec, history: Sequence[LedgerEntry], *, lake: Lake) -> Court:
    """Return where a slot's policies are judged.

    Args:
        slot: use case, agent and segment.
        spec: seed, people to follow, tolerances.
        history: decisions of the slot, oldest first.
        lake: holds log and worlds.

    Raises:
        TableInputError: log or worlds have not been built.
        ModelIntegrityError: a file of the judging world is not what was learned.
    """
    log, worlds = read_log(slot, lake), read_worlds(slot, lake)
    support = find_support(log.learned)
    return Court(
        simulator=load_world(slot, JUDGING, lake),
        simulator_sha256=worlds.sha256[JUDGING],
        failures=worlds.failures_with(log),
        find_refusals=partial(
            find_support_problems, support=support, tolerance=spec.gate.contact_rate_tolerance
        ),
        start=choose_people(log, spec),
        log=log.transitions,
        own_since_week=log.first_week_from(find_first_policy_day(history)),
        holdout_first_day=worlds.holdout_first_day,
        holdout_last_day=worlds.holdout_last_day,
    )


def choose_people(log: FrozenLog, spec: OffersSpec) -> OfferStates:
    """Return states of the newest week of customers that no policy was learned with, at most `judged_people`."""
    training, _ = split_customers(log.learned, spec.agent.seed)
    newest = log.transitions.weeks == log.transitions.weeks.max()
    unseen = ~np.isin(log.transitions.states.customers, training.states.customers)
    rows = np.flatnonzero(newest & unseen)
    random = np.random.default_rng(spec.agent.seed)
    chosen = random.permutation(len(rows))[: spec.gate.judged_people]
    return log.transitions.states.take(np.sort(rows[chosen]))
