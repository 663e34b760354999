"""The nine feeds in the platform's own names and units, before they are put into the operator's form.

Belongs here: one SELECT per feed over the tables of the day, columns named as in the feed's contract, codes
and units canonical, times as UTC epoch seconds. Extra columns: `_r`, the record's random key, and
`_may_be_late`. Does not belong here: units, names and codes of the operator (delivery).
"""

from __future__ import annotations

from mlops_assets.sandbox.behaviour import DayContext
from mlops_assets.sandbox.day_calendar import DayClock
from mlops_assets.sandbox.fleet import firmware_number_sql, telemetry_time_sql
from mlops_assets.sandbox.sql_engine import SqlText, fill

_SUBSCRIBERS = """
SELECT subscriber_id, updated_s AS updated_time_utc, status, activation_date, plan_code, plan_start_date,
    plan_expiry_date, balance_cents AS balance_usd_cents, d AS _r, false AS _may_be_late
FROM today WHERE status <> 'forgotten'
"""

_DNA = """
SELECT subscriber_id,
    CASE WHEN uniform(h, 'age known') < $dna_unknown_share THEN NULL ELSE age_years END AS age_years,
    region, device_type, is_4g_capable,
    CASE WHEN uniform(h, 'video known') < $dna_unknown_share THEN NULL
        ELSE round(sigmoid(0.8e0 * video_z + 0.5e0 * normal(d, 'video score')), 3) END AS video_affinity,
    CASE WHEN uniform(h, 'social known') < $dna_unknown_share THEN NULL
        ELSE round(sigmoid(0.8e0 * social_z + 0.5e0 * normal(d, 'social score')), 3) END AS social_affinity,
    d AS _r, false AS _may_be_late
FROM today WHERE is_dna_news AND status IN ('active', 'prospect')
"""

_TOPUPS = """
SELECT 'T' || $stamp || '-' || n AS topup_id, subscriber_id,
    $start_s + CAST($length_s * day_fraction(9.9e-1 * uniform(d, 'topup at')) AS BIGINT) AS event_time_utc,
    topup_cents AS amount_usd_cents,
    CASE WHEN uniform(d, 'channel') < 0.34e0 THEN 'app' WHEN uniform(d, 'channel') < 0.78e0 THEN 'shop'
        WHEN uniform(d, 'channel') < 0.88e0 THEN 'web' ELSE 'ussd' END AS channel,
    hash(d) AS _r, activation_date < $day AS _may_be_late
FROM today WHERE topup_cents > 0
"""

_PURCHASES = """
SELECT 'P' || $stamp || '-' || n AS purchase_id, subscriber_id,
    $start_s + CAST($length_s * (day_fraction(9.9e-1 * uniform(d, 'topup at')) + 3e-3) AS BIGINT)
        AS event_time_utc,
    bought_plan AS plan_code, paid_cents AS price_usd_cents,
    hash(xor(d, 77::UBIGINT)) AS _r, activation_date < $day AS _may_be_late
FROM today WHERE bought_plan IS NOT NULL
"""

_OFFERS = """
SELECT 'O' || $stamp || '-' || n AS offer_id, subscriber_id,
    $start_s + CAST($length_s * (0.36e0 + 0.28e0 * uniform(d, 'sent at')) AS BIGINT) AS event_time_utc,
    offered_plan AS plan_code, discount_cents AS discount_usd_cents, propensity,
    CASE WHEN device_type <> 'feature_phone' AND uniform(d, 'push') < $push_share THEN 'push'
        ELSE 'sms' END AS channel,
    is_accepted, hash(xor(d, 78::UBIGINT)) AS _r, false AS _may_be_late
FROM today WHERE is_contacted
"""

# A day's volume is spread over its records; the cumulative split keeps the sums exact.
_USAGE = """
SELECT subscriber_id, event_time_utc,
    event_time_utc + 60 - CAST($ingest_delay_seconds_mean * ln(uniform(_r, 'delay')) AS BIGINT)
        AS ingest_time_utc,
    CAST(high * data_local_kb AS BIGINT) - CAST(low * data_local_kb AS BIGINT) AS data_local_kb,
    CAST(high * data_roaming_kb AS BIGINT) - CAST(low * data_roaming_kb AS BIGINT) AS data_roaming_kb,
    CAST(high * facebook_kb AS BIGINT) - CAST(low * facebook_kb AS BIGINT) AS app_facebook_kb,
    CAST(high * whatsapp_kb AS BIGINT) - CAST(low * whatsapp_kb AS BIGINT) AS app_whatsapp_kb,
    CAST(high * youtube_kb AS BIGINT) - CAST(low * youtube_kb AS BIGINT) AS app_youtube_kb,
    CAST(high * tiktok_kb AS BIGINT) - CAST(low * tiktok_kb AS BIGINT) AS app_tiktok_kb,
    CAST(high * instagram_kb AS BIGINT) - CAST(low * instagram_kb AS BIGINT) AS app_instagram_kb,
    CAST(high * calls_onnet AS INTEGER) - CAST(low * calls_onnet AS INTEGER) AS calls_onnet,
    CAST(high * calls_offnet AS INTEGER) - CAST(low * calls_offnet AS INTEGER) AS calls_offnet,
    CAST(high * call_seconds AS INTEGER) - CAST(low * call_seconds AS INTEGER) AS call_seconds,
    CAST(high * sms_onnet AS INTEGER) - CAST(low * sms_onnet AS INTEGER) AS sms_onnet,
    CAST(high * sms_offnet AS INTEGER) - CAST(low * sms_offnet AS INTEGER) AS sms_offnet,
    _r, activation_date < $day AS _may_be_late
FROM (
    SELECT *, hash(xor(d, hash(record))) AS _r,
        CASE WHEN record = 0 THEN 0e0 ELSE (record - 3e-1 + 6e-1 * uniform(hash(xor(d, hash(record))),
            'cut')) / record_count END AS low,
        CASE WHEN record + 1 = record_count THEN 1e0
            ELSE (record + 7e-1 + 6e-1 * uniform(hash(xor(d, hash(record + 1))),
                'cut')) / record_count END AS high,
        $start_s + CAST($length_s
            * day_fraction((record + 1e-2 + 9.8e-1 * uniform(hash(xor(d, hash(record))),
                'at')) / record_count) AS BIGINT) AS event_time_utc
    FROM (
        SELECT *, unnest(range(record_count)) AS record,
            data_local_kb * w_facebook / w_all AS facebook_kb, data_local_kb * w_whatsapp / w_all
                AS whatsapp_kb,
            data_local_kb * w_youtube / w_all AS youtube_kb, data_local_kb * w_tiktok / w_all AS tiktok_kb,
            data_local_kb * w_instagram / w_all AS instagram_kb
        FROM (
            SELECT *, 2e-1 * exp(15e-2 * normal(d, 'other')) + w_facebook + w_whatsapp + w_youtube + w_tiktok
                + w_instagram AS w_all
            FROM (
                SELECT subscriber_id, d, record_count, activation_date, data_local_kb, data_roaming_kb,
                    calls_onnet,
                    calls_offnet, call_seconds, sms_onnet, sms_offnet,
                    1.7e-1 * exp(4e-1 * social_z + 1e-2 * (age_years - 34) + 25e-2 * normal(d, 'fb'))
                        AS w_facebook,
                    1.3e-1 * exp(2e-1 * social_z + 25e-2 * normal(d, 'wa')) AS w_whatsapp,
                    2.4e-1 * exp(5e-1 * video_z + 25e-2 * normal(d, 'yt')) * video_factor AS w_youtube,
                    1.5e-1 * exp(4e-1 * video_z - 2e-2 * (age_years - 34) + 25e-2 * normal(d, 'tt'))
                        * video_factor AS w_tiktok,
                    1.1e-1 * exp(5e-1 * social_z - 2e-2 * (age_years - 34) + 25e-2 * normal(d, 'ig'))
                        AS w_instagram
                FROM today WHERE record_count > 0
            )
        )
    )
)
"""

_PLANS = """
SELECT plan_code, family, price_usd_cents, margin_usd_cents, validity_days, allowance_kb, 0::UBIGINT AS _r,
    false AS _may_be_late
FROM catalogue
"""

_DEVICES = """
SELECT f.device_id, device_group, region, 'R' || (firmware_n // 4 - 2) || '.' || (firmware_n % 4) AS firmware,
    installed_date, h AS _r, false AS _may_be_late
FROM (SELECT *, $firmware_n AS firmware_n FROM fleet) AS f ORDER BY f.n
"""

_TELEMETRY = """
SELECT device_id, $hour_end AS event_time_utc,
    $hour_end + 120 - CAST(300e0 * ln(uniform(k, 'delay')) AS BIGINT) AS ingest_time_utc, traffic_kb,
    load_share AS load_share_max,
    CASE WHEN uniform(k, 'sensor') < $temperature_missing_share THEN NULL ELSE temperature_celsius END
        AS temperature_celsius_max,
    error_count, event_severity AS event_severity_max, k AS _r, hour >= 1 AS _may_be_late
FROM telemetry WHERE uniform(k, 'gap') >= $gap_share OR event_severity > 0
"""

_FEEDS = {
    "subscribers": _SUBSCRIBERS,
    "dna": _DNA,
    "topups": _TOPUPS,
    "plan_purchases": _PURCHASES,
    "offers_sent": _OFFERS,
    "usage": _USAGE,
    "plans": _PLANS,
    "devices": _DEVICES,
    "device_telemetry": _TELEMETRY,
}
FEEDS = tuple(_FEEDS)


def canonical_sql(feed: str, context: DayContext) -> str:
    """Return the SELECT of one feed's records of the day. KeyError if the sandbox does not know the feed."""
    behaviour, clock = context.behaviour, context.clock
    return fill(
        _FEEDS[feed],
        behaviour.delivery.model_dump(),
        behaviour.campaign.model_dump(include={"push_share"}),
        behaviour.fleet.model_dump(include={"temperature_missing_share", "gap_share"}),
        day=context.day,
        stamp=f"{context.day:%Y%m%d}",
        start_s=clock.start_s,
        length_s=float(_usable_seconds(clock)),
        hour_end=SqlText(telemetry_time_sql(clock)),
        firmware_n=SqlText(firmware_number_sql(behaviour, context.day)),
    )


def _usable_seconds(clock: DayClock) -> int:
    return clock.end_s - clock.start_s - 1
