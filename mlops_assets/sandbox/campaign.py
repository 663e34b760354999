"""The operator's campaign system, and how people answer it.

Belongs here: whom it contacts with which offer (and the probability of that, which it logs), and the latent
acceptance. Does not belong here: what an accepted offer changes (behaviour).

Contact: persistent strata (control never, random at a low constant rate, rules at a higher one that rises
near the plan's expiry), with a cool-down. Arm: with probability epsilon uniform over everything sold, else
the rules' arm. Propensity = P(contact) x P(arm) x P(discount), known exactly.

With proposals of the platform for the day (table `proposals`), people named in them are out of the rules: a proposed
offer is sent, dropped or replaced by a random one, at fixed shares; people whom it would leave alone are contacted by
the rules at a small part of their rate. The propensity logged is then the proposal's.

Acceptance: logit = intercept + receptivity + mismatch |log(need / allowance)| + price relative to the usual
top-up (steeper for the price sensitive) + discount + fatigue + what the person has at the moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.sandbox.catalogue import BASE_PLAN, Plan
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.sql_engine import SqlText, draw_evenly, literal

_CONTACT_PROBABILITY = """CASE WHEN stratum = 'control' OR is_walk_in
        OR last_contact_date >= $day - $cooldown_days THEN 0e0
            WHEN status = 'prospect' THEN $prospect_contact_per_day
            WHEN stratum = 'random' THEN $random_contact_per_day
            WHEN plan_expiry_date IS NOT NULL AND days_left BETWEEN -3 AND 3
                THEN $rules_contact_per_day * $near_expiry_factor
            ELSE $rules_contact_per_day END"""
OFFER_STAGE = f"""
reach AS (
    SELECT *, {_CONTACT_PROBABILITY} AS contact_probability
    FROM fate
),
offer AS (
    SELECT *, CASE WHEN is_contacted THEN CASE WHEN uniform(d, 'explore') < $epsilon THEN $random_arm
            ELSE rule_arm END END AS offered_plan,
        CASE WHEN is_contacted THEN $discount_draw ELSE 0e0 END AS discount
    FROM (
        SELECT *, uniform(d, 'contact') < contact_probability AS is_contacted,
            CASE WHEN uniform(d, 'contact') < contact_probability THEN $rule_arm END AS rule_arm
        FROM reach
    )
),
"""

_OWN_PROPENSITY = """contact_probability * ($epsilon / $arm_count + CASE WHEN offered_plan = rule_arm
            THEN 1e0 - $epsilon ELSE 0e0 END)
            * $discount_share"""
_PROPENSITY_WITH_PROPOSALS = f"""CASE handling WHEN 'as proposed' THEN proposed_propensity
            WHEN 'different' THEN (1e0 - $proposed_sent_share - $proposed_dropped_share) / $arm_count
                * $discount_share
            ELSE {_OWN_PROPENSITY} END"""

ANSWER_STAGE = f"""
offered AS (
    SELECT o.*, CAST(round(k.price_usd_cents * (1e0 - discount)) AS INTEGER) AS offered_price,
        k.price_usd_cents - CAST(round(k.price_usd_cents * (1e0 - discount)) AS INTEGER) AS discount_cents,
        {_OWN_PROPENSITY} AS propensity,
        CASE WHEN is_contacted THEN sigmoid($accept_intercept + $accept_receptivity * receptivity_z
            + $accept_need_mismatch * CASE WHEN k.family = 'booster' THEN 5e-1 ELSE 1e0 END
                * abs(ln((data_mb * 1024e0 * k.validity_days + 51200e0) / (k.allowance_kb + 51200e0)))
            + $accept_price * offered_price_raw / usual_topup_cents * exp(3.5e-1 * price_z)
            + $accept_discount * discount + $accept_fatigue * fatigue
            + CASE WHEN k.family <> 'booster' AND has_valid_plan AND days_left > 2
                THEN $accept_plan_running ELSE 0e0 END
            + CASE WHEN k.family = 'booster' AND has_valid_plan AND allowance_left_kb < 1.5e-1
                * plan_allowance_kb
                THEN $accept_allowance_low ELSE 0e0 END
            + CASE WHEN offered_plan = wanted_plan THEN $accept_same_plan ELSE 0e0 END
            + $accept_decline * coalesce(decline_depth, 0e0) * progress) ELSE 0e0 END
                AS acceptance_probability
    FROM (SELECT i.*, j.price_usd_cents * (1e0 - discount) AS offered_price_raw
          FROM offer i LEFT JOIN catalogue j ON j.plan_code = i.offered_plan) AS o
    LEFT JOIN catalogue k ON k.plan_code = o.offered_plan
),
answer AS (
    SELECT *, is_contacted AND NOT leaves AND uniform(d, 'accept') < acceptance_probability
        AND offered_price <= balance_cents + $largest_topup_cents AS is_accepted
    FROM offered
),
"""

PROPOSED_OFFER_STAGE = f"""
reach AS (
    SELECT *, {_CONTACT_PROBABILITY} * CASE WHEN proposed_to IS NULL THEN 1e0 ELSE $own_contact_share END
            AS contact_probability
    FROM fate LEFT JOIN proposals ON proposed_to = subscriber_id
),
offer AS (
    SELECT *, CASE handling WHEN 'as proposed' THEN proposed_plan WHEN 'different' THEN $random_arm
            WHEN 'own' THEN CASE WHEN uniform(d, 'explore') < $epsilon THEN $random_arm ELSE rule_arm END
            END AS offered_plan,
        CASE handling WHEN 'as proposed' THEN proposed_discount WHEN 'different' THEN $discount_draw
            WHEN 'own' THEN $discount_draw ELSE 0e0 END AS discount
    FROM (
        SELECT *, coalesce(handling IN ('as proposed', 'different', 'own'), false) AS is_contacted,
            CASE WHEN handling = 'own' THEN $rule_arm END AS rule_arm
        FROM (
            SELECT *, CASE WHEN proposed_plan IS NOT NULL THEN CASE
                    WHEN uniform(d, 'handling') < $proposed_sent_share THEN 'as proposed'
                    WHEN uniform(d, 'handling') < $proposed_sent_share + $proposed_dropped_share THEN 'dropped'
                    ELSE 'different' END
                WHEN uniform(d, 'contact') < contact_probability THEN 'own' END AS handling
            FROM reach
        )
    )
),
"""
PROPOSED_ANSWER_STAGE = ANSWER_STAGE.replace(_OWN_PROPENSITY, _PROPENSITY_WITH_PROPOSALS)

# What marketing believes to be right, in order; the first rule whose plan is sold and whose condition holds.
_RULES: tuple[tuple[str, str], ...] = (
    ("status = 'prospect'", "data_s"),
    (
        "has_valid_plan AND plan_allowance_kb > 0 AND allowance_left_kb < 2e-1 * plan_allowance_kb",
        "booster_1gb",
    ),
    ("has_valid_plan AND plan_code = 'data_s'", "data_m"),
    ("has_valid_plan AND plan_code = 'data_m'", "data_l"),
    ("has_valid_plan AND plan_code = 'data_l'", "booster_3gb"),
    ("has_valid_plan AND plan_code = 'voice_s'", "combo_m"),
    ("plan_code = 'combo_m'", "combo_m"),
    ("plan_code = 'voice_s'", "voice_s"),
    ("plan_code = 'data_m'", "data_m"),
    ("plan_code = 'data_l'", "data_m"),
)


def campaign_values(behaviour: BehaviourParameters, plans: Sequence[Plan]) -> dict[str, object]:
    """Return what the campaign's stages need beside the plain parameters."""
    arms = [plan.plan_code for plan in plans if plan.plan_code != BASE_PLAN]
    discounts = behaviour.campaign.discounts
    shares = behaviour.campaign.discount_shares
    rules = " ".join(f"WHEN {condition} THEN {literal(plan)}" for condition, plan in _RULES if plan in arms)
    default = "data_s" if "data_s" in arms else arms[0]
    bounds = [sum(shares[: i + 1]) for i in range(len(shares))]
    draw = " ".join(
        f"WHEN uniform(d, 'discount') < {literal(b)} THEN {literal(x)}"
        for b, x in zip(bounds, discounts, strict=True)
    )
    share = " ".join(
        f"WHEN discount = {literal(x)} THEN {literal(s)}" for x, s in zip(discounts, shares, strict=True)
    )
    return {
        "arm_count": float(len(arms)),
        "rule_arm": SqlText(f"(CASE {rules} ELSE {literal(default)} END)"),
        "random_arm": draw_evenly(arms, "d", "arm"),
        "discount_draw": SqlText(f"(CASE {draw} ELSE {literal(discounts[-1])} END)"),
        "discount_share": SqlText(f"(CASE {share} ELSE 0e0 END)"),
        "largest_topup_cents": round(100 * behaviour.money.denominations_usd[-1] * 0.95),
    }
