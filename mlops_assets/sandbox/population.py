"""Who the subscribers are: latent traits that never change, and the state in which they start.

Belongs here: the SQL that creates records of table `today` (at the start, and new ones every day).
Does not belong here: what they do from day to day (behaviour).

Traits of record `n` depend on (seed, geography, n) only. Formulas:
- data appetite (MB/day) = segment median x exp(sigma z), times a factor for feature phones and routers;
  calls, SMS and the usual top-up likewise, the top-up correlated with the data appetite.
- presence = sigmoid(mean + sd z): probability of using anything on an ordinary day.
- price sensitivity, loyalty, receptivity, video and social affinity are standard normal.
- stratum of the campaign system: control, random or rules, persistent.
"""

from __future__ import annotations

import datetime as dt

from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.sandbox.catalogue import BASE_PLAN, Plan
from mlops_assets.sandbox.parameters import BehaviourParameters, SegmentTraits
from mlops_assets.sandbox.sql_engine import SqlText, fill, key_of, literal

REGIONS = ("metropolitan", "north", "coast", "central", "south")
_DIAL_PREFIX = {"cl": 569, "pe": 519, "co": 573, "ar": 549, "ec": 593, "bo": 591}

# 7368787 and 10^8 have no common divisor, so that numbers look random and are unique.
_NEW_RECORDS = """
WITH drawn AS (
    SELECT CAST(i AS INTEGER) AS n, hash(xor(hash(i), $world_key)) AS h, $is_walk_in AS is_walk_in
    FROM range($first_n, $end_n) AS t(i)
), chosen AS (
    SELECT *, $segment AS preferred_plan, normal(h, 'data') AS z_data,
        CASE WHEN uniform(h, 'device') < $feature_phone_share THEN 'feature_phone'
             WHEN uniform(h, 'device') > 1e0 - $router_share THEN 'router' ELSE 'smartphone' END
                 AS device_type
    FROM drawn
)
SELECT n, $prefix::BIGINT * 100000000 + (n::BIGINT * 7368787 + 31415927) % 100000000 AS subscriber_id, h,
    is_walk_in,
    preferred_plan,
    CAST($data_median * exp($data_appetite_sigma * z_data) * CASE device_type
        WHEN 'feature_phone' THEN $feature_phone_data_factor WHEN 'router' THEN $router_data_factor
        ELSE 1e0 END AS FLOAT) AS data_mb,
    CAST($calls_median * exp($calls_sigma * normal(h, 'calls')) AS FLOAT) AS calls_mean,
    CAST($sms_median * exp($sms_sigma * normal(h, 'sms')) AS FLOAT) AS sms_mean,
    CAST(100e0 * $topup_median * exp($topup_sigma * (6e-1 * z_data + 8e-1 * normal(h, 'topup'))) AS FLOAT)
        AS usual_topup_cents,
    CAST(sigmoid($presence_logit_mean + $presence_logit_sd * normal(h, 'presence')) AS FLOAT) AS presence,
    CAST(normal(h, 'price') AS FLOAT) AS price_z,
    CAST(normal(h, 'loyalty') AS FLOAT) AS loyalty_z,
    CAST(normal(h, 'receptivity') AS FLOAT) AS receptivity_z,
    CAST(normal(h, 'video') AS FLOAT) AS video_z,
    CAST(normal(h, 'social') AS FLOAT) AS social_z,
    CAST($weekend_effect_sd * normal(h, 'weekend') AS FLOAT) AS weekend_effect,
    CASE WHEN uniform(h, 'stratum') < $control_share THEN 'control'
         WHEN uniform(h, 'stratum') < $control_share + $random_share THEN 'random' ELSE 'rules' END
             AS stratum,
    CAST(round(clamp(34e0 + 14e0 * normal(h, 'age') + 4e0 * abs(normal(h, 'age2')), 16e0, 88e0)) AS TINYINT)
        AS age_years,
    $region AS region, device_type,
    device_type = 'router' OR (device_type = 'smartphone' AND uniform(h, 'lte') < 8.8e-1) AS is_4g_capable,
    CAST(normal(h, 'level') * $level_sd AS FLOAT) AS level
FROM chosen
"""

_AT_START = """
CREATE OR REPLACE TABLE today AS
SELECT r.* EXCLUDE (is_prospect, has_plan, expiry),
    CASE WHEN is_prospect THEN 'prospect' ELSE 'active' END AS status,
    CASE WHEN NOT is_prospect THEN $day::DATE - CAST(1 - $tenure_mean_days * ln(uniform(h, 'tenure'))
        AS INTEGER)
        END AS activation_date,
    CASE WHEN is_prospect THEN $base_plan ELSE preferred_plan END AS plan_code,
    CASE WHEN has_plan THEN expiry - CAST(c.validity_days AS INTEGER) + 1 END AS plan_start_date,
    CASE WHEN has_plan THEN expiry END AS plan_expiry_date,
    CASE WHEN has_plan AND expiry >= $day
        THEN CAST(c.allowance_kb * greatest(0e0, (expiry - $day) / c.validity_days::DOUBLE
            - 3e-1 * uniform(h, 'left')) AS BIGINT) ELSE 0 END AS allowance_left_kb,
    CASE WHEN is_prospect THEN 0
        ELSE CAST(usual_topup_cents * 8e-1 * pow(uniform(h, 'balance'), 2) AS INTEGER) END AS balance_cents,
    CASE WHEN NOT is_prospect AND uniform(h, 'decline') < $declining_share_at_start
        THEN $day::DATE - CAST(uniform(h, 'decline at') * 2e1 AS INTEGER) END AS decline_start,
    $decline_columns,
    CAST(greatest(0e0, 1.5e0 * normal(h, 'fatigue')) * (stratum <> 'control')::INTEGER AS FLOAT) AS fatigue,
    NULL::DATE AS last_contact_date,
    $start_epoch - CAST(86400 * 1e1 * uniform(h, 'updated') AS BIGINT) AS updated_s
FROM (
    SELECT *, uniform(h, 'prospect') < $prospect_share AS is_prospect,
        preferred_plan <> $base_plan AND NOT uniform(h, 'prospect') < $prospect_share AS has_plan,
        $day::DATE + CAST(floor((uniform(h, 'phase') - 2.5e-1) * $phase_days) AS INTEGER) AS expiry
    FROM ($records)
) AS r LEFT JOIN catalogue c ON c.plan_code = r.preferred_plan
ORDER BY n
"""

_ENTRANTS = """
INSERT INTO today BY NAME
SELECT *, 'prospect' AS status, NULL::DATE AS activation_date, $base_plan AS plan_code,
    NULL::DATE AS plan_start_date, NULL::DATE AS plan_expiry_date, 0::BIGINT AS allowance_left_kb,
    0 AS balance_cents, NULL::DATE AS decline_start, $decline_columns, 0::FLOAT AS fatigue,
    NULL::DATE AS last_contact_date, $start_epoch AS updated_s
FROM ($records)
"""
_DECLINE_AT_START = """
    CAST($decline_days_min + floor($decline_days_span * uniform(h, 'decline days')) AS SMALLINT)
        AS decline_days,
    CAST($decline_depth_min + $decline_depth_span * uniform(h, 'decline depth') AS FLOAT) AS decline_depth,
    uniform(h, 'decline leaves') < $leaves_share AS will_leave, 'competitor' AS decline_reason
"""
_NO_DECLINE = """
    NULL::SMALLINT AS decline_days, NULL::FLOAT AS decline_depth, false AS will_leave,
    NULL::VARCHAR AS decline_reason
"""


def start_sql(
    geography: Geography,
    behaviour: BehaviourParameters,
    plans: list[Plan],
    *,
    seed: int,
    records: int,
    day: dt.date,
    start_epoch: int,
) -> str:
    """Return the statement that creates table `today` with `records` rows before its first day."""
    decline = fill(_DECLINE_AT_START, behaviour.churn.model_dump())
    return fill(
        _AT_START,
        behaviour.population.model_dump(),
        day=day,
        base_plan=BASE_PLAN,
        start_epoch=start_epoch,
        decline_columns=SqlText(decline),
        phase_days=SqlText(
            _of_plan(plans, {p.plan_code: p.validity_days * 1.35 for p in plans}, "preferred_plan")
        ),
        records=SqlText(
            _records_sql(geography, behaviour, plans, seed=seed, first_n=0, end_n=records, walk_in_n=0)
        ),
    )


def entrants_sql(
    geography: Geography,
    behaviour: BehaviourParameters,
    plans: list[Plan],
    *,
    seed: int,
    first_n: int,
    prospects: int,
    walk_ins: int,
    start_epoch: int,
) -> str:
    """Return the statement that adds new prospects, and walk-ins who will become customers today."""
    end_n = first_n + prospects + walk_ins
    records = _records_sql(
        geography, behaviour, plans, seed=seed, first_n=first_n, end_n=end_n, walk_in_n=first_n + walk_ins
    )
    return fill(
        _ENTRANTS,
        base_plan=BASE_PLAN,
        start_epoch=start_epoch,
        decline_columns=SqlText(_NO_DECLINE),
        records=SqlText(records),
    )


def _records_sql(
    geography: Geography,
    behaviour: BehaviourParameters,
    plans: list[Plan],
    *,
    seed: int,
    first_n: int,
    end_n: int,
    walk_in_n: int,
) -> str:
    segments = _segments_sold(behaviour, plans)
    return fill(
        _NEW_RECORDS,
        behaviour.population.model_dump(),
        behaviour.campaign.model_dump(include={"control_share", "random_share"}),
        level_sd=behaviour.usage.level_sd,
        world_key=key_of(seed, geography.code, "population"),
        first_n=first_n,
        end_n=end_n,
        is_walk_in=SqlText(f"i < {walk_in_n}"),
        prefix=_DIAL_PREFIX.get(geography.code, 500 + sum(geography.code.encode()) % 100),
        segment=SqlText(_draw({s.plan_code: s.share for s in segments}, "segment")),
        data_median=SqlText(
            _of_plan(plans, {s.plan_code: s.data_mb_per_day for s in segments}, "preferred_plan")
        ),
        calls_median=SqlText(
            _of_plan(plans, {s.plan_code: s.calls_per_day for s in segments}, "preferred_plan")
        ),
        sms_median=SqlText(_of_plan(plans, {s.plan_code: s.sms_per_day for s in segments}, "preferred_plan")),
        topup_median=SqlText(_of_plan(plans, {s.plan_code: s.topup_usd for s in segments}, "preferred_plan")),
        region=SqlText(_draw(dict(zip(REGIONS, (0.38, 0.13, 0.17, 0.19, 0.13), strict=True)), "region")),
    )


def _segments_sold(behaviour: BehaviourParameters, plans: list[Plan]) -> list[SegmentTraits]:
    sold = {plan.plan_code for plan in plans}
    return [segment for segment in behaviour.segments if segment.plan_code in sold]


def _draw(shares: dict[str, float], purpose: str) -> str:
    """Return SQL that draws a text with the given shares (they are scaled to sum to one)."""
    total, bound, cases = sum(shares.values()), 0.0, []
    for text, share in shares.items():
        bound += share / total
        cases.append(f"WHEN uniform(h, {literal(purpose)}) < {literal(bound)} THEN {literal(text)}")
    return f"(CASE {' '.join(cases)} ELSE {literal(next(reversed(shares)))} END)"


def _of_plan(plans: list[Plan], values: dict[str, float], column: str) -> str:
    """Return SQL that looks up a number by plan code; 1.0 where there is none."""
    cases = " ".join(
        f"WHEN {literal(p.plan_code)} THEN {literal(float(values[p.plan_code]))}"
        for p in plans
        if p.plan_code in values
    )
    return f"(CASE {column} {cases} ELSE 1e0 END)"
