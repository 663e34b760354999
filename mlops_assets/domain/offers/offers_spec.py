"""What a use case says about its offers: state, simulator, agent, exploration, promotion; beside the catalogue.

    offers:
      catalogue: {plans: [{plan_code: data_m, discounts: [0, 0.1]}], contact_policy: {contacts_max: 1}}
      state:
        features: [balance_main_acc, data_local_mb]
        scores: [topup_propensity, churn/churn_risk]
      agent: {contact_cost_usd: 0.01}
      exploration: {control_share: 0.1, random_share: 0.05, epsilon: 0.1}

Belongs here: the typed shape and what can be checked without other files. Does not belong here: reading YAML
(mlops_assets.config) or any computation.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mlops_assets.domain.learning.spec import ColumnName
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from mlops_assets.domain.offers.performance_spec import PerformanceSpec

# `model` of the same use case, or `use_case/model`.
ModelReference = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,62}/)?[a-z][a-z0-9_]{0,62}$")]


class OfferStateSpec(Record):
    """What the agent knows of a person beside the clocks and the contact history, which are always there.

    Attributes:
        features: columns of the use case's corpus table.
        scores: models whose champions' scores are part of the state; their champions must exist before an agent
            can be trained.
    """

    features: tuple[ColumnName, ...] = ()
    scores: tuple[ModelReference, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> OfferStateSpec:
        for names in (self.features, self.scores):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"listed twice: {', '.join(twice)}")
        return self


class OfferAgentSpec(Record):
    """How policies are learned.

    Attributes:
        name: of the model slot that policies compete for.
        history_weeks: weekly as-of days of the decision log to learn from, the newest ones.
        holdout_weeks: of them, the newest, which only the simulator's check sees.
        state_days_min: days of the four weeks before a week that must be there for it to be learned from; while
            windows of a month still fill, a state says something else than later.
        people_max: people sampled from the log, by hash.
        horizon_weeks: how long a policy is followed in the simulator.
        weekly_discount: of value from one week to the next; at 0.97 an agent spams.
        iterations: of fitted value iteration.
        starting_states: states for which values are iterated.
        draws: successors drawn for each state and outcome.
        contact_cost_usd: what a contact costs, whatever its answer.
        seed: of everything random.
    """

    name: ColumnName = "offer_agent"
    history_weeks: int = Field(8, ge=2, le=104)
    holdout_weeks: int = Field(1, ge=1, le=20)
    state_days_min: int = Field(27, ge=1, le=28)
    people_max: int = Field(20_000, ge=500)
    horizon_weeks: int = Field(104, ge=4, le=260)
    weekly_discount: float = Field(0.99, gt=0.5, lt=1.0)
    iterations: int = Field(40, ge=1, le=400)
    starting_states: int = Field(4_000, ge=200)
    draws: int = Field(2, ge=1, le=20)
    contact_cost_usd: float = Field(0.01, ge=0.0)
    seed: int = Field(7, ge=0)

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> OfferAgentSpec:
        if self.holdout_weeks >= self.history_weeks:
            raise ValueError("`holdout_weeks` leaves no week of `history_weeks` to learn from")
        return self


class ExplorationSpec(Record):
    """How daily offers keep learning; strata are persistent, by a keyed hash of the customer.

    Attributes:
        control_share: customers who are never contacted; incremental margin is measured against them.
        random_share: customers with a random offer at the rate of `random_contact_share`.
        random_contact_share: chance that a customer of the random stratum who may be contacted is, on a day.
        epsilon: chance that any other customer's decision is drawn at random from what is eligible.
    """

    control_share: float = Field(0.10, ge=0.01, le=0.5)
    random_share: float = Field(0.05, ge=0.0, le=0.5)
    random_contact_share: float = Field(0.02, gt=0.0, le=1.0)
    epsilon: float = Field(0.05, gt=0.0, le=0.5)


class SimulatorCheckSpec(Record):
    """When a simulator describes the held-out weeks well enough to train in.

    Each figure (acceptance, purchases, margin, churn, contacts) may miss what happened by `max_error_share` of it, or
    by `max_standard_errors` of what happened, whichever is more.

    Attributes:
        min_contacts: fewer contacts in the held-out weeks judge nothing.
        min_acceptances: fewer acceptances in the held-out weeks judge nothing.
    """

    max_error_share: float = Field(0.15, gt=0.0, le=1.0)
    max_standard_errors: float = Field(3.0, gt=0.0, le=10.0)
    min_contacts: int = Field(200, ge=1)
    min_acceptances: int = Field(20, ge=1)


class PolicyGateSpec(Record):
    """When a policy replaces the one before, or becomes the first.

    Attributes:
        min_gain_usd: of value per customer over the horizon, over every simpler policy.
        confidence: of the paired intervals.
        judged_people: customers followed in the judging simulator.
        contact_rate_tolerance: share by which a policy's contact rate may lie outside that of the logs.
        off_policy: limits of the evaluation on logged decisions.
        off_policy_min_gain_usd: lower bound, per decision, that the newcomer's gain must reach on a policy's own log.
    """

    min_gain_usd: float = 0.0
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    judged_people: int = Field(4_000, ge=200)
    contact_rate_tolerance: float = Field(0.1, ge=0.0, le=1.0)
    off_policy: OffPolicySpec = OffPolicySpec()
    off_policy_min_gain_usd: float = -0.01


class OffersSpec(Record):
    """Everything about the offers of a use case.

    Attributes:
        catalogue: what may be offered, to whom, how often.
        state: what a decision rests on.
        agent: how policies are learned.
        exploration: what is left to chance.
        simulator_check: when a learned world is believed.
        gate: when a policy is promoted.
        performance: when offers bring less than expected.
    """

    catalogue: OfferCatalogueSpec
    state: OfferStateSpec = OfferStateSpec()
    agent: OfferAgentSpec = OfferAgentSpec()
    exploration: ExplorationSpec = ExplorationSpec()
    simulator_check: SimulatorCheckSpec = SimulatorCheckSpec()
    gate: PolicyGateSpec = PolicyGateSpec()
    performance: PerformanceSpec = PerformanceSpec()
