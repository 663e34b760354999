"""The numbers of the behavioural model, with their units.

Belongs here: every constant that says how subscribers, campaigns, deliveries and devices behave. Does not
belong here: the formulas that use them (population, behaviour, fleet, delivery), which name these fields.

Orders of magnitude are those of a prepaid operator in Latin America: hundreds of MB a day for data users,
plans between 2 and 11 US dollars, monthly churn near 5 %.
"""

from __future__ import annotations

from pydantic import Field

from mlops_assets.domain.model_base import Record


class SegmentTraits(Record):
    """People who prefer one plan: their share and the medians of their appetites.

    `share` of the base, `data_mb_per_day`, `calls_per_day`, `sms_per_day` medians, `topup_usd` usual amount.
    """

    plan_code: str
    share: float = Field(gt=0.0, le=1.0)
    data_mb_per_day: float
    calls_per_day: float
    sms_per_day: float
    topup_usd: float


SEGMENTS: tuple[SegmentTraits, ...] = (
    SegmentTraits(
        plan_code="prepaid_base",
        share=0.20,
        data_mb_per_day=90,
        calls_per_day=1.2,
        sms_per_day=0.5,
        topup_usd=2,
    ),
    SegmentTraits(
        plan_code="data_s", share=0.27, data_mb_per_day=290, calls_per_day=0.8, sms_per_day=0.2, topup_usd=2
    ),
    SegmentTraits(
        plan_code="data_m", share=0.19, data_mb_per_day=440, calls_per_day=0.9, sms_per_day=0.2, topup_usd=5
    ),
    SegmentTraits(
        plan_code="data_l", share=0.10, data_mb_per_day=680, calls_per_day=1.0, sms_per_day=0.2, topup_usd=10
    ),
    SegmentTraits(
        plan_code="combo_m", share=0.14, data_mb_per_day=360, calls_per_day=2.4, sms_per_day=0.3, topup_usd=10
    ),
    SegmentTraits(
        plan_code="voice_s", share=0.10, data_mb_per_day=70, calls_per_day=3.2, sms_per_day=0.7, topup_usd=3
    ),
)


class PopulationParameters(Record):
    """Who there is. Sigmas are standard deviations of natural logarithms, z-scores have mean 0 and sd 1."""

    prospect_share: float = 0.07  # of all records at the start
    data_appetite_sigma: float = 0.70
    calls_sigma: float = 0.70
    sms_sigma: float = 0.80
    topup_sigma: float = 0.35
    presence_logit_mean: float = 2.3  # logit of the probability of using anything on a day
    presence_logit_sd: float = 0.9
    weekend_effect_sd: float = 0.18  # personal effect of Saturday and Sunday, log
    weekday_effect_sd: float = 0.08  # personal effect of each weekday, log
    feature_phone_share: float = 0.09
    router_share: float = 0.03
    feature_phone_data_factor: float = 0.06
    router_data_factor: float = 3.0
    tenure_mean_days: float = 520.0
    declining_share_at_start: float = 0.03
    burn_in_days: int = 10  # simulated before the first delivered day


class UsageParameters(Record):
    """How much is used. Volumes follow desire x level x common factors, limited by allowance or balance."""

    level_autocorrelation: float = 0.80  # of the personal log level from day to day
    level_sd: float = 0.38
    daily_noise_sd: float = 0.30
    throttled_share: float = 0.12  # of the desire beyond the allowance that a throttled line still carries
    payg_desire_share: float = 0.30  # of the desire used without a plan
    payg_usd_cents_per_mb: float = 0.35
    call_usd_cents: float = 3.0
    call_seconds_median: float = 75.0
    call_seconds_sigma: float = 0.8
    sms_usd_cents: float = 1.5
    other_services_share: float = 0.03  # of the balance that goes into other services on a day
    leftover_spent_share: float = 0.12  # more of it at the end of a decline
    roaming_share: float = 0.004  # of subscribers in a given week
    roaming_mb_median: float = 60.0
    second_record_share: float = 0.28  # active subscriber-days with two usage records or more
    third_record_share: float = 0.06
    lull_share: float = 0.012  # of subscribers who start a quiet week in a given week (holidays, second SIM)
    lull_factor: float = 0.30


class MoneyParameters(Record):
    """Top-ups, renewals and boosters. Probabilities per day."""

    renewal: float = 0.50  # expired or last day of the plan, with enough balance
    renewal_fades_over_days: float = 25.0  # the wish to renew falls by e over so many expired days
    topup_to_renew: float = 0.62  # wish to renew and not enough balance
    early_renewal: float = 0.30  # on the last day of validity, relative to `renewal`
    exact_topup_share: float = 0.6  # of top-ups for a purchase that cover just what is missing
    topup_low_balance: float = 0.13  # pay-as-you-go, balance below a third of the usual top-up
    topup_spontaneous: float = 0.008
    booster_when_exhausted: float = 0.16
    price_elasticity: float = 1.6  # of renewals, before personal price sensitivity
    price_sensitivity_slope: float = 0.35  # change of log elasticity per z of price sensitivity
    reverts_to_base_days: int = 20  # expired days after which the line counts as prepaid_base
    denominations_usd: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0)


class ChurnParameters(Record):
    """Leaving. An onset starts a decline of 1-4 weeks, which ends with leaving or with recovery.

    Onset hazard per customer-day: `onset_per_day * exp(sum of effects)`; without decline, customers leave
    at `abrupt_per_day` with the same effects (a competitor's offer at the corner): nobody sees it coming.
    """

    onset_per_day: float = 0.00126
    abrupt_per_day: float = 0.00012
    price_sensitivity_effect: float = 0.35  # per z
    loyalty_effect: float = -0.45  # per z
    fatigue_effect: float = 0.16  # per remembered contact, at most `fatigue_cap` of them
    fatigue_cap: float = 8.0
    short_tenure_effect: float = 0.55  # fewer than `short_tenure_days` days a customer
    short_tenure_days: int = 90
    expired_effect: float = 0.60  # plan expired for more than 5 days
    low_balance_effect: float = 0.25  # less than 30 US cents on the account
    decline_days_min: int = 7
    decline_days_span: int = 22
    decline_depth_min: float = 0.9  # log reduction of engagement at the end of the decline
    decline_depth_span: float = 1.8
    leaves_share: float = 0.80  # the others recover
    rescued_by_accepted_offer: float = 0.35  # probability that an accepted offer ends a decline


class CampaignParameters(Record):
    """The campaign system: whom it contacts, with what, and how people answer.

    Persistent strata: `control_share` is never contacted, `random_share` at a constant low rate, the rest by
    rules. The arm is random with probability `epsilon`, else the rules' arm; the discount is random. The
    logged propensity is the product contact x arm x discount.

    Of the offers that the platform proposes, `proposed_sent_share` are sent as they are, `proposed_dropped_share` not
    at all (no capacity, number not reached), the rest with another offer. Of its own contacts with people for whom the
    platform proposes nothing, the campaign keeps `own_contact_share`.
    """

    control_share: float = 0.10
    random_share: float = 0.15
    random_contact_per_day: float = 0.015
    rules_contact_per_day: float = 0.040
    near_expiry_factor: float = 1.8
    prospect_contact_per_day: float = 0.015
    cooldown_days: int = 3
    epsilon: float = 0.20
    discounts: tuple[float, ...] = (0.0, 0.10, 0.25)
    discount_shares: tuple[float, ...] = (0.5, 0.3, 0.2)
    proposed_sent_share: float = 0.93
    proposed_dropped_share: float = 0.05
    own_contact_share: float = 0.02
    push_share: float = 0.45
    fatigue_decay_per_day: float = 0.93
    ignored_adds: float = 1.0
    accepted_adds: float = 0.3
    # logit of acceptance
    accept_intercept: float = -2.55
    accept_receptivity: float = 0.55
    accept_need_mismatch: float = -0.55  # per |log(need / allowance)|
    accept_price: float = -0.55  # per multiple of the usual top-up, times exp(0.35 z of price sensitivity)
    accept_discount: float = 3.2  # per share of discount
    accept_fatigue: float = -0.22
    accept_plan_running: float = -1.3  # a main plan with more than two days left
    accept_allowance_low: float = 1.4  # booster while the allowance is nearly used up
    accept_same_plan: float = 0.5
    accept_decline: float = -0.8  # per log reduction of engagement
    prospect_activation_per_day: float = 0.006
    prospect_forgotten_per_day: float = 0.010


class FleetParameters(Record):
    """Network devices. Wear is dimensionless: 0 new, failures become likely near 2."""

    subscribers_per_device: int = 250
    devices_min: int = 40
    devices_per_group: int = 12
    groups_min: int = 4
    groups_max: int = 1000
    ambient_celsius: float = 19.0
    seasonal_celsius: float = 6.0
    daily_celsius: float = 5.0
    load_celsius: float = 24.0  # added at full load
    group_sensitivity_sd: float = 0.6  # log; how differently groups take heat, load, age and firmware
    wear_per_day: float = 0.020
    failure_group_effect: float = 1.2  # logit by standard deviation of a cause that only the group has
    error_group_sd: float = 0.9  # log; how differently groups report errors
    wear_noise_sd: float = 0.45
    buggy_firmware_share: float = 0.25
    firmware_days: int = 45
    error_mean: float = 1.2  # errors per hour at no wear
    error_wear_effect: float = 1.05  # log increase of errors per unit of wear
    failure_logit: float = -6.9
    failure_wear_effect: float = 1.9
    sudden_failure_per_day: float = 0.003
    temperature_missing_share: float = 0.004
    gap_share: float = 0.002  # device-hours without a record


class DeliveryParameters(Record):
    """What goes wrong on every normal day between the switch and the lake. Shares of records."""

    duplicate_share: float = 0.005
    late_share: float = 0.003
    duplicate_volume_factor: float = 0.6  # the older version of a record holds part of the volume
    megabyte_share: float = 0.72  # of rows where the unit is named row by row
    gigabyte_share: float = 0.18  # the rest comes in KB
    ingest_delay_seconds_mean: float = 1500.0
    dna_changed_share: float = 0.002
    dna_unknown_share: float = 0.05


class BehaviourParameters(Record):
    """The whole behavioural model. Change a number here and nowhere else."""

    segments: tuple[SegmentTraits, ...] = SEGMENTS
    population: PopulationParameters = PopulationParameters()
    usage: UsageParameters = UsageParameters()
    money: MoneyParameters = MoneyParameters()
    churn: ChurnParameters = ChurnParameters()
    campaign: CampaignParameters = CampaignParameters()
    fleet: FleetParameters = FleetParameters()
    delivery: DeliveryParameters = DeliveryParameters()
    monthly_data_growth: float = 0.012
    common_shock_sd: float = 0.022  # of the geography's daily log volume, correlated over neighbouring days
    weekday_data: tuple[float, ...] = (0.95, 0.94, 0.95, 0.98, 1.05, 1.09, 1.04)  # Monday first
    weekday_voice: tuple[float, ...] = (1.07, 1.06, 1.06, 1.05, 1.08, 0.93, 0.75)
    holiday_data: float = 1.08
    holiday_voice: float = 0.78
