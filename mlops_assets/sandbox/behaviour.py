"""What a subscriber does in a day: answers offers, tops up, buys, uses, loses interest, leaves.

Belongs here: the one statement that turns table `today` as yesterday left it (the state at the end of the
day and everything that happened) into that of today. Does not belong here: traits
(population), constants (parameters), files (delivery).

The statement is a chain of stages, each documented with its formulas where it is defined. `h` is the
person's random key, `d` the key of the person's day, `l` that of the person's week.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.sandbox.campaign import (
    ANSWER_STAGE,
    OFFER_STAGE,
    PROPOSED_ANSWER_STAGE,
    PROPOSED_OFFER_STAGE,
    campaign_values,
)
from mlops_assets.sandbox.catalogue import BASE_PLAN, Plan, topup_amount_sql
from mlops_assets.sandbox.day_calendar import DayClock, DayMood
from mlops_assets.sandbox.events import ScriptedEvent
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.population import REGIONS
from mlops_assets.sandbox.sql_engine import SqlText, draw_evenly, fill, key_of, literal
from mlops_assets.sandbox.world_effects import world_values

# progress: 0 at the onset of a decline, 1 at its end. vigour = exp(-depth x progress^0.8): engagement left.
# leaves: a decline that ends in leaving, or abruptly with hazard abrupt x exp(effects).
# effects = price sensitivity + loyalty + contact fatigue + short tenure + expired plan + low balance.
# lull: a quiet week for other reasons (travel, second SIM), which looks like a decline and is none.
_PERSON_STAGE = """
person AS (
    SELECT p.*, hash(xor(p.h, $day_key)) AS d, hash(xor(p.h, hash(($ordinal + p.n % 7) // 7))) AS l,
        p.status = 'active' AS was_customer,
        coalesce(p.plan_expiry_date >= $day, false) AS has_valid_plan,
        coalesce(p.plan_expiry_date - $day, 0) AS days_left,
        coalesce($day - p.activation_date, 0) AS tenure_days,
        CASE WHEN p.decline_start IS NULL THEN 0e0
            ELSE clamp(($day - p.decline_start) / p.decline_days::DOUBLE, 0e0, 1e0) END AS progress,
        coalesce(c.allowance_kb, 0) AS plan_allowance_kb, c.family AS family_now,
        $wanted_plan AS wanted_plan
    FROM (SELECT $columns FROM today WHERE status IN ('active', 'prospect'))
        AS p LEFT JOIN catalogue c ON c.plan_code = p.plan_code
),
mind AS (
    SELECT q.*, coalesce(exp(-decline_depth * pow(progress, 8e-1)), 1e0) AS vigour,
        CASE WHEN uniform(l, 'lull') < $lull_share THEN $lull_factor ELSE 1e0 END AS lull,
        $price_sensitivity_effect * price_z + $loyalty_effect * loyalty_z
            + $fatigue_effect * least(fatigue, $fatigue_cap)
            + CASE WHEN tenure_days < $short_tenure_days THEN $short_tenure_effect ELSE 0e0 END
            + CASE WHEN days_left < -5 THEN $expired_effect ELSE 0e0 END
            + CASE WHEN balance_cents < 30 THEN $low_balance_effect ELSE 0e0 END AS leaving_effects,
        progress >= 1e0 AND coalesce(will_leave, false) AS ends_decline_leaving,
        w.price_usd_cents AS wanted_price, w.reference_cents AS wanted_reference,
        w.mood AS plan_mood
    FROM person q LEFT JOIN catalogue w ON w.plan_code = q.wanted_plan
),
fate AS (
    SELECT *, was_customer AND (ends_decline_leaving
        OR uniform(d, 'abrupt') < $abrupt_per_day * exp(leaving_effects)) AS leaves
    FROM mind
),
"""

# Renewal wish per day without a plan, or on its last day: renewal x vigour x fading
#   x (price / reference price) ^ (-elasticity x exp(slope x price sensitivity)).
# A wish without the money leads to a top-up with probability topup_to_renew, else to nothing.
_MONEY_STAGE = """
wish AS (
    SELECT *, status = 'prospect' AND (is_walk_in OR is_accepted
            OR uniform(d, 'activate') < $prospect_activation_per_day) AS activates,
        NOT is_accepted AND NOT leaves AND wanted_plan <> $base_plan AND was_customer
            AND (NOT has_valid_plan OR days_left = 0)
            AND uniform(d, 'renew') < $renewal * vigour * lull
                * CASE WHEN has_valid_plan THEN $early_renewal
                    ELSE exp(least(days_left, 0) / $renewal_fades_over_days) END
                * CASE WHEN wanted_price = wanted_reference THEN 1e0
                    ELSE pow(wanted_price::DOUBLE / wanted_reference,
                    -$price_elasticity * exp($price_sensitivity_slope * price_z)) END AS wants_renewal,
        NOT is_accepted AND NOT leaves AND has_valid_plan AND days_left >= 1
            AND allowance_left_kb < 8e-2 * plan_allowance_kb
            AND uniform(d, 'booster') < $booster_when_exhausted * vigour * lull AS wants_booster,
        CASE WHEN data_mb * least(days_left, 7) > 1500e0 THEN $big_booster ELSE $small_booster END
            AS booster_wanted
    FROM answer
),
need AS (
    SELECT w.*, CASE WHEN is_accepted THEN offered_price
            WHEN wants_renewal OR (activates AND wanted_plan <> $base_plan) THEN wanted_price
            WHEN wants_booster THEN b.price_usd_cents ELSE 0 END AS needed_cents,
        b.price_usd_cents AS booster_price, b.allowance_kb AS booster_kb,
        was_customer OR activates AS is_customer
    FROM wish w LEFT JOIN catalogue b ON b.plan_code = w.booster_wanted
),
wallet AS (
    SELECT *, CASE WHEN tops_up THEN $topup_amount ELSE 0 END AS topup_cents
    FROM (
        SELECT *, usual_topup_cents * exp(2e-1 * normal(d, 'amount')) AS usual_now,
            is_customer AND NOT leaves AND CASE
                WHEN activates OR (is_accepted AND needed_cents > balance_cents) THEN true
                WHEN needed_cents > balance_cents THEN uniform(d, 'topup') < $topup_to_renew
                WHEN wanted_plan = $base_plan AND balance_cents * 3 < usual_topup_cents
                    THEN uniform(d, 'topup') < $topup_low_balance * vigour * lull * 2e0 * presence * presence
                ELSE uniform(d, 'topup') < $topup_spontaneous * vigour * lull END AS tops_up
        FROM need
    )
),
bought AS (
    SELECT * EXCLUDE (usual_now, tops_up),
        CASE WHEN is_accepted THEN offered_plan
            WHEN (wants_renewal OR (activates AND wanted_plan <> $base_plan)) AND can_pay THEN wanted_plan
            WHEN wants_booster AND can_pay THEN booster_wanted END AS bought_plan,
        CASE WHEN is_accepted OR can_pay THEN needed_cents ELSE 0 END AS paid_cents
    FROM (SELECT *, balance_cents + topup_cents >= needed_cents AS can_pay FROM wallet)
),
line AS (
    SELECT b.* REPLACE (
            CASE WHEN is_main THEN bought_plan
                WHEN plan_expiry_date < $day - $reverts_to_base_days THEN $base_plan
                    ELSE b.plan_code END AS plan_code,
            CASE WHEN is_main THEN $day
                WHEN plan_expiry_date < $day - $reverts_to_base_days THEN NULL ELSE plan_start_date END
                    AS plan_start_date,
            CASE WHEN is_main THEN $day + CAST(valid_days AS INTEGER) - 1 + CASE WHEN has_valid_plan
                THEN 1 ELSE 0 END
                WHEN is_booster AND NOT has_valid_plan THEN $day + CAST(valid_days AS INTEGER) - 1
                WHEN plan_expiry_date < $day - $reverts_to_base_days THEN NULL
                ELSE plan_expiry_date END AS plan_expiry_date),
        CASE WHEN is_main THEN kb_bought + CASE WHEN has_valid_plan AND days_left <= 2
            THEN allowance_left_kb ELSE 0 END
            WHEN is_booster THEN kb_bought + CASE WHEN has_valid_plan THEN allowance_left_kb ELSE 0 END
            WHEN has_valid_plan THEN allowance_left_kb ELSE 0 END AS allowance_now_kb,
        has_valid_plan OR is_main OR is_booster AS has_plan_now,
        CASE WHEN is_main THEN family_bought IN ('combo', 'voice')
            ELSE has_valid_plan AND family_now IN ('combo', 'voice') END AS has_voice_plan,
        balance_cents + topup_cents - paid_cents AS funds_cents
    FROM (
        SELECT x.*, coalesce(f.family <> 'booster', false) AS is_main, coalesce(f.family = 'booster',
            false) AS is_booster,
            f.family AS family_bought, f.validity_days AS valid_days, f.allowance_kb AS kb_bought
        FROM bought x LEFT JOIN catalogue f ON f.plan_code = x.bought_plan
    ) AS b
),
"""

# level: AR(1), stationary standard deviation level_sd. desire = appetite x exp(level + weekend + weekday
#   + noise - half their variance) x vigour x lull x mood of the network x mood of the plan's people x events.
# data = desire up to the allowance and a throttled share of the rest; without a plan, as the balance allows.
_USAGE_STAGE = """
drive AS (
    SELECT * REPLACE (CAST($level_autocorrelation * level
            + $level_sd * sqrt(1e0 - $level_autocorrelation * $level_autocorrelation) * normal(d,
                'level') AS FLOAT) AS level),
        is_customer AND uniform(d, 'present') < presence * (1e-1 + 9e-1 * pow(vigour, 7e-1)) * (4e-1
            + 6e-1 * lull) AS is_present,
        vigour * lull * CASE WHEN leaves THEN 4e-1 WHEN activates THEN 6e-1 ELSE 1e0 END AS eagerness,
        $shift_video AS video_factor, $event_data AS event_data, $event_voice AS event_voice
    FROM line
),
desire AS (
    SELECT *, CASE WHEN is_present THEN 1024e0 * data_mb * eagerness * $mood_data * plan_mood * event_data
            * exp(level + $is_weekend * weekend_effect + $weekday_effect_sd * normal(h, $weekday)
                + $daily_noise_sd * normal(d, 'noise')
                - 5e-1 * ($level_sd * $level_sd + $daily_noise_sd * $daily_noise_sd)) ELSE 0e0 END
                    AS desired_kb,
        CASE WHEN is_present THEN calls_mean * sqrt(eagerness) * $mood_voice * event_voice
            * CASE WHEN has_voice_plan OR funds_cents > 10 THEN 1e0 ELSE 2e-1 END ELSE 0e0 END
                AS calls_expected,
        CASE WHEN is_present THEN sms_mean * sqrt(eagerness)
            * CASE WHEN has_plan_now OR funds_cents > 10 THEN 1e0 ELSE 2e-1 END ELSE 0e0 END AS sms_expected
    FROM drive
),
counted AS (
    SELECT *,
        CAST(CASE WHEN has_plan_now THEN least(desired_kb, allowance_now_kb
                + $throttled_share * greatest(desired_kb - allowance_now_kb, 0e0))
            ELSE least($payg_desire_share * desired_kb, funds_cents
                * 1024e0 / $payg_usd_cents_per_mb) END AS BIGINT)
            AS data_local_kb,
        CAST(least(geometric(calls_expected, uniform(d, 'calls')), 400e0) AS INTEGER) AS calls,
        CAST(least(geometric(sms_expected, uniform(d, 'sms')), 400e0) AS INTEGER) AS sms,
        CASE WHEN is_present AND uniform(l, 'roaming') < $roaming_share
            THEN CAST($roaming_mb_median * 1024e0 * exp(9e-1 * normal(d, 'roaming')) AS BIGINT)
                ELSE 0 END AS data_roaming_kb
    FROM desire
),
used AS (
    SELECT *, CAST(floor(calls * clamp(5.5e-1 + 1.5e-1 * normal(h, 'onnet'), 1e-1, 9.5e-1) + uniform(d,
        'onnet')) AS INTEGER)
            AS calls_onnet_raw,
        CAST(floor(sms * 6e-1 + uniform(d, 'sms onnet')) AS INTEGER) AS sms_onnet_raw,
        CASE WHEN calls = 0 THEN 0 ELSE CAST(calls * $call_seconds_median * exp(5e-1 * $call_seconds_sigma
            * $call_seconds_sigma + $call_seconds_sigma * normal(d, 'duration') / sqrt(calls))
                AS INTEGER) END AS call_seconds,
        CASE WHEN data_local_kb + data_roaming_kb + calls + sms = 0 THEN 0
            ELSE 1 + (uniform(d, 'records') < $second_record_share)::INTEGER
                + (uniform(d, 'records') < $third_record_share)::INTEGER END AS record_count
    FROM counted
),
"""

# onset: hazard onset x exp(effects), from tomorrow on; its reason is the strongest visible cause.
# fatigue: decays by fatigue_decay_per_day, a contact adds ignored_adds or accepted_adds.
_END_STAGE = """
closing AS (
    SELECT *, decline_start IS NOT NULL AND ((progress >= 1e0 AND NOT will_leave)
            OR (is_accepted AND uniform(d, 'rescue') < $rescued_by_accepted_offer)) AS recovers,
        was_customer AND decline_start IS NULL AND NOT leaves
            AND uniform(d, 'onset') < $onset_per_day * exp(leaving_effects) AS falls_out,
        CASE WHEN $fatigue_effect * least(fatigue, $fatigue_cap) > 7e-1 THEN 'fatigue'
            WHEN price_z > 1e0 THEN 'price' WHEN days_left < -5 THEN 'no_renewal'
            WHEN tenure_days < $short_tenure_days THEN 'disappointed' ELSE 'competitor' END AS cause,
        status = 'prospect' AND NOT activates AND uniform(d, 'forget') < $prospect_forgotten_per_day
            AS is_forgotten,
        device_type = 'feature_phone' AND is_customer AND uniform(d, 'upgrade') < 8e-4 AS upgrades,
        uniform(d, 'dna') < $dna_changed_share AS moves
    FROM used
)
SELECT $columns, $outcomes FROM (SELECT * REPLACE (
        CASE WHEN leaves THEN 'churned' WHEN is_customer THEN 'active' WHEN is_forgotten THEN 'forgotten'
            ELSE 'prospect' END AS status,
        CASE WHEN activates THEN $day ELSE activation_date END AS activation_date,
        CAST(greatest(0, allowance_now_kb - data_local_kb) AS BIGINT) AS allowance_left_kb,
        CAST(greatest(0e0, funds_cents * (1e0 - $other_services_share - $leftover_spent_share * progress)
            - CASE WHEN has_plan_now THEN 0e0 ELSE data_local_kb * $payg_usd_cents_per_mb / 1024e0 END
            - CASE WHEN has_voice_plan THEN 0e0 ELSE (calls - calls_onnet_raw / 2e0) * $call_usd_cents END
            - CASE WHEN has_plan_now THEN 0e0 ELSE sms * $sms_usd_cents END) AS INTEGER) AS balance_cents,
        CASE WHEN recovers THEN NULL WHEN falls_out THEN $day + 1 ELSE decline_start END AS decline_start,
        CASE WHEN falls_out THEN CAST($decline_days_min + floor(uniform(d, 'decline days')
            * $decline_days_span) AS SMALLINT)
            WHEN recovers THEN NULL ELSE decline_days END AS decline_days,
        CASE WHEN falls_out THEN CAST($decline_depth_min + uniform(d, 'decline depth')
            * $decline_depth_span AS FLOAT)
            WHEN recovers THEN NULL ELSE decline_depth END AS decline_depth,
        CASE WHEN falls_out THEN uniform(d, 'decline leaves') < $leaves_share
            WHEN recovers THEN false ELSE will_leave END AS will_leave,
        CASE WHEN falls_out THEN cause WHEN recovers THEN NULL
            WHEN leaves AND NOT ends_decline_leaving THEN 'abrupt' ELSE decline_reason END AS decline_reason,
        CAST($fatigue_decay_per_day * fatigue + CASE WHEN is_accepted THEN $accepted_adds
            WHEN is_contacted THEN $ignored_adds ELSE 0e0 END AS FLOAT) AS fatigue,
        CASE WHEN is_contacted THEN $day ELSE last_contact_date END AS last_contact_date,
        CASE WHEN leaves OR activates OR bought_plan IS NOT NULL OR topup_cents > 0 OR record_count > 0
            THEN $start_epoch + 3600 + CAST(uniform(d, 'updated') * 79200 AS BIGINT) ELSE updated_s END
                AS updated_s,
        CASE WHEN upgrades THEN 'smartphone' ELSE device_type END AS device_type,
        is_4g_capable OR upgrades AS is_4g_capable,
        CASE WHEN upgrades THEN data_mb / $feature_phone_data_factor ELSE data_mb END AS data_mb,
        CASE WHEN moves THEN $new_region ELSE region END AS region,
        false AS is_walk_in),
    least(calls, calls_onnet_raw) AS calls_onnet, calls - least(calls, calls_onnet_raw) AS calls_offnet,
    least(sms, sms_onnet_raw) AS sms_onnet, sms - least(sms, sms_onnet_raw) AS sms_offnet,
    n >= $new_from_n OR upgrades OR moves AS is_dna_news
FROM closing)
"""
_LATER_STAGES = f"{_MONEY_STAGE}{_USAGE_STAGE}{_END_STAGE}"
_STAGES = f"{_PERSON_STAGE}{OFFER_STAGE}{ANSWER_STAGE}{_LATER_STAGES}"
_PROPOSED_STAGES = f"{_PERSON_STAGE}{PROPOSED_OFFER_STAGE}{PROPOSED_ANSWER_STAGE}{_LATER_STAGES}"

# What the next day starts from, and what else the feeds and the truth need to know about today.
STATE_COLUMNS = """
    n, subscriber_id, h, is_walk_in, preferred_plan, data_mb, calls_mean, sms_mean, usual_topup_cents,
    presence, price_z, loyalty_z, receptivity_z, video_z, social_z, weekend_effect, stratum, age_years,
    region, device_type, is_4g_capable, level, status, activation_date, plan_code, plan_start_date,
    plan_expiry_date, allowance_left_kb, balance_cents, decline_start, decline_days, decline_depth,
    will_leave, decline_reason, fatigue, last_contact_date, updated_s
"""
_OUTCOME_COLUMNS = """
    d, is_contacted, contact_probability, rule_arm, offered_plan, discount, discount_cents, propensity,
    acceptance_probability, is_accepted, topup_cents, bought_plan, paid_cents, record_count,
    data_local_kb, data_roaming_kb, calls_onnet, calls_offnet, call_seconds, sms_onnet, sms_offnet,
    video_factor, is_dna_news, progress, tenure_days, days_left
"""
STATE_SQL = f"SELECT {STATE_COLUMNS} FROM today WHERE status IN ('active', 'prospect')"


@dataclass(frozen=True)
class DayContext:
    """All that the statements of one geography-day need to know.

    `new_from_n`: records numbered from here on appear for the first time today. `has_proposals`: table
    `proposals` holds what the platform proposes for today.
    """

    geography: Geography
    behaviour: BehaviourParameters
    seed: int
    day: dt.date
    clock: DayClock
    mood: DayMood
    plans: Sequence[Plan]
    events: Sequence[ScriptedEvent]
    new_from_n: int
    has_proposals: bool = False


def _topup_wanted_sql(behaviour: BehaviourParameters) -> str:
    """Return SQL for the cents a person wants on the account: what is missing, or the usual."""
    exact = literal(behaviour.money.exact_topup_share)
    return (
        f"greatest(CASE WHEN needed_cents > balance_cents AND uniform(d, 'exact') < {exact} THEN 0e0"
        " ELSE usual_now END, needed_cents - balance_cents)"
    )


def day_sql(context: DayContext) -> str:
    """Return the statement that lives one day: table `today` as yesterday left it in, the new one out."""
    behaviour = context.behaviour
    boosters = sorted((p for p in context.plans if p.family == "booster"), key=lambda p: p.allowance_kb)
    body = fill(
        _PROPOSED_STAGES if context.has_proposals else _STAGES,
        {"columns": SqlText(STATE_COLUMNS), "outcomes": SqlText(_OUTCOME_COLUMNS)},
        behaviour.population.model_dump(),
        behaviour.usage.model_dump(),
        behaviour.money.model_dump(),
        behaviour.churn.model_dump(),
        behaviour.campaign.model_dump(),
        behaviour.delivery.model_dump(),
        campaign_values(behaviour, context.plans),
        world_values(context.events, context.geography.code, context.day, context.plans),
        day=context.day,
        day_key=key_of(context.seed, context.geography.code, context.day.toordinal()),
        ordinal=context.day.toordinal(),
        base_plan=BASE_PLAN,
        small_booster=boosters[0].plan_code if boosters else None,
        big_booster=boosters[-1].plan_code if boosters else None,
        topup_amount=SqlText(topup_amount_sql(context.geography, behaviour, _topup_wanted_sql(behaviour))),
        mood_data=context.mood.data,
        mood_voice=context.mood.voice,
        is_weekend=float(context.mood.is_weekend),
        weekday=f"weekday {context.day.weekday()}",
        start_epoch=context.clock.start_s,
        new_from_n=context.new_from_n,
        new_region=draw_evenly(REGIONS, "d", "region"),
    )
    return f"CREATE OR REPLACE TABLE today AS\nWITH {body}"
