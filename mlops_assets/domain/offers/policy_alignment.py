"""A policy among the choices of another catalogue than the one it was learned with.

Belongs here: which of its offers are still there. Does not belong here: learning offers anew.
"""

from __future__ import annotations

from dataclasses import replace

from mlops_assets.domain.offers.decision_data import OfferAction
from mlops_assets.domain.offers.policies import DistilledPolicy
from mlops_assets.domain.offers.tree_models import constant_model


def align_policy(policy: DistilledPolicy, choices: tuple[OfferAction, ...]) -> DistilledPolicy:
    """Return the policy with its advantages in the order of other choices.

    An offer that it does not know is worth nothing to it, one that is gone cannot be made any more.

    Args:
        policy: any.
        choices: `no_offer` first.
    """
    known = {
        (one.plan_code, one.discount_share): model
        for one, model in zip(policy.choices, policy.models, strict=True)
    }
    nothing = constant_model("mean", [0.0])
    models = tuple(known.get((one.plan_code, one.discount_share), nothing) for one in choices)
    return replace(policy, choices=choices, models=models)
