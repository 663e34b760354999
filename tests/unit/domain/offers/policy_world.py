"""A small decision log whose truth is simple: one offer is welcome, one is not, and the campaign draws lots.

Belongs here: the log, policies and settings that tests of policies share. Does not belong here: the sandbox's world,
which benchmarks use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.domain.offers.decision_data import (
    CLOCKS,
    NO_OFFER_CHOICE,
    OfferAction,
    OfferStates,
    StateLayout,
    Transitions,
    advance_clocks,
)
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policies import DistilledPolicy, PolicyKind, build_constant_policy

LAYOUT = StateLayout(("balance",))
WELCOME = OfferAction("data_m", "data", 5.0, 4.0, 7, 1024.0)
UNWELCOME = OfferAction("voice_s", "voice", 3.0, 0.5, 7, 0.0)
CHOICES = (NO_OFFER_CHOICE, WELCOME, UNWELCOME)
ACCEPTANCE = np.array([0.0, 0.3, 0.05])
CONTACT_SHARE = 0.3


def make_spec(**blocks: Any) -> OffersSpec:
    """Return settings for small numbers; `gate`, `agent` and the like are laid over them."""
    found: dict[str, Any] = {
        "catalogue": {
            "plans": [{"plan_code": "data_m"}, {"plan_code": "voice_s"}],
            "contact_policy": {"contacts_max": 1, "window_days": 14},
        },
        "agent": {"horizon_weeks": 6, "history_weeks": 4, "holdout_weeks": 1, "contact_cost_usd": 0.05},
        "simulator_check": {"min_contacts": 20, "min_acceptances": 5, "max_error_share": 0.4},
        "gate": {
            "judged_people": 400,
            "off_policy": {"min_effective_rows": 50, "min_positives": 20, "bootstrap_rounds": 100},
        },
    }
    for name, block in blocks.items():
        found[name] = {**found.get(name, {}), **block}
    return OffersSpec.model_validate(found)


def make_log(
    people: int = 800, weeks: int = 4, seed: int = 3, *, acceptance: np.ndarray[Any, Any] = ACCEPTANCE
) -> Transitions:
    """Return what a campaign that draws lots logs: a plan is bought without offer in one week of five."""
    random = np.random.default_rng(seed)
    values = np.zeros((people, len(LAYOUT.columns)), dtype=np.float32)
    values[:, LAYOUT.index("balance")] = random.uniform(0, 10, people)
    values[:, [LAYOUT.index(name) for name in CLOCKS]] = (3.0, 200.0, 60.0)
    states, parts = OfferStates(LAYOUT, values, np.arange(people)), []
    for week in range(weeks):
        part = _live(states, week, random, acceptance)
        parts.append(part)
        stays = ~part.is_churned
        states = OfferStates(LAYOUT, part.next_values[stays], states.customers[stays])
    return join(parts)


def _live(
    states: OfferStates, week: int, random: np.random.Generator, acceptance: np.ndarray[Any, Any]
) -> Transitions:
    rows = states.rows
    chances = np.array([1 - CONTACT_SHARE, CONTACT_SHARE / 2, CONTACT_SHARE / 2])
    actions = random.choice(3, rows, p=chances)
    accepted = random.random(rows) < acceptance[actions]
    organic = np.where(random.random(rows) < 0.2, 1, 0)
    net = np.array([choice.net_margin_usd for choice in CHOICES])
    bought = accepted.astype(int) + (organic > 0)
    later = advance_clocks(
        states, contacted=actions > 0, accepted=accepted, plans_bought=bought, boosters_bought=0 * bought,
        validity_days=np.where(bought > 0, 7, 0),
    )  # fmt: skip
    later[:, LAYOUT.index("balance")] = np.clip(
        later[:, LAYOUT.index("balance")] + random.normal(0, 0.5, rows), 0, 10
    )
    later[:, LAYOUT.index("days_to_expiry")] += random.integers(-1, 2, rows)
    return Transitions(
        states=states, actions=actions, choices=CHOICES, eligible=np.ones((rows, 3), dtype=np.bool_),
        propensities=chances[actions], is_accepted=accepted, organic_plan=organic, plans=(WELCOME,),
        margin_usd=accepted * net[actions] + (organic > 0) * WELCOME.margin_usd,
        is_churned=random.random(rows) < 0.02, next_values=later, weeks=np.full(rows, week),
    )  # fmt: skip


def join(parts: list[Transitions]) -> Transitions:
    """Return the rows of several weeks as one log."""
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (
            "actions", "eligible", "propensities", "is_accepted", "organic_plan", "margin_usd", "is_churned",
            "next_values", "weeks",
        )
    }  # fmt: skip
    states = OfferStates(
        LAYOUT,
        np.concatenate([part.states.values for part in parts]),
        np.concatenate([part.states.customers for part in parts]),
    )
    return Transitions(states=states, choices=CHOICES, plans=(WELCOME,), **columns)


def make_policy(kind: PolicyKind = "best_single", *advantages: float) -> DistilledPolicy:
    """Return a policy that tells everybody the same; by default it makes the welcome offer."""
    return build_constant_policy(kind, CHOICES, LAYOUT.columns, advantages or (0.0, 1.0, 0.0))
