"""A small campaign log of the sandbox's offer world, and a simulator of it, made once."""

from __future__ import annotations

from functools import cache

from mlops_assets.domain.offers.decision_data import Transitions
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_fit import fit_simulator
from mlops_assets.sandbox.offer_people import OfferWorld, build_offer_world
from mlops_assets.sandbox.offer_world import log_campaign

WEEKS = 5


@cache
def tired_world() -> OfferWorld:
    """Return the world in which contacts annoy strongly."""
    return build_offer_world(3.0)


@cache
def campaign_log() -> Transitions:
    """Return five weeks of some 4,000 customers."""
    return log_campaign(tired_world(), 5_000, WEEKS, 31)


@cache
def learned_world() -> Simulator:
    """Return a simulator fitted to all weeks but the newest."""
    log = campaign_log()
    return fit_simulator(log.take(log.weeks < WEEKS - 1))
