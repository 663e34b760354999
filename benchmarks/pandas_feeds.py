"""The peer of the table work, first half: every feed homologated by straightforward pandas, the whole history at once.

Units, codes, money, time zones, duplicates, bad rows left out; usage merged to one row per subscriber and file day.
Idiomatic pandas: vectorised, one concatenated frame per feed; no tricks that a careful author would not use.

Belongs here: pandas only, nothing of the platform but its configuration. Does not belong here: features
(pandas_etl), measuring.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.domain.feeds.contract import Geography

_KB_PER_UNIT = {"byte": 1 / 1024, "KB": 1.0, "MB": 1024.0, "GB": 1024.0 * 1024.0}
APPS = ("facebook", "whatsapp", "youtube", "tiktok", "instagram")
VOLUMES = {
    "data_local_kb": "DATA_LOCAL_VOL", "data_roaming_kb": "DATA_ROAM_VOL", "app_facebook_kb": "APP_FB",
    "app_whatsapp_kb": "APP_WA", "app_youtube_kb": "APP_YT", "app_tiktok_kb": "APP_TT", "app_instagram_kb": "APP_IG",
}  # fmt: skip
COUNTS = {
    "calls_onnet": "CALLS_ON", "calls_offnet": "CALLS_OFF", "call_seconds": "CALL_SECS", "sms_onnet": "SMS_ON",
    "sms_offnet": "SMS_OFF",
}  # fmt: skip
_MOST = {
    "DATA_LOCAL_VOL": 2e9, "DATA_ROAM_VOL": 2e9, "CALLS_ON": 5000, "CALLS_OFF": 5000, "SMS_ON": 10_000,
    "SMS_OFF": 10_000,
}  # fmt: skip
_STATUS = {"A": "active", "C": "churned", "P": "prospect"}
_FAMILY = {"BASE": "base", "DATA": "data", "COMBO": "combo", "VOICE": "voice", "BOOST": "booster"}
_DEVICE = {"SMART": "smartphone", "FEAT": "feature_phone", "ROUT": "router"}
_TOPUP_CHANNEL = {"APP": "app", "POS": "shop", "WEB": "web", "USSD": "ussd"}
_OFFER_CHANNEL = {"SMS": "sms", "PUSH": "push"}


@dataclass(frozen=True)
class History:
    """Homologated feeds of all days; every frame has `file_day`."""

    usage: pd.DataFrame
    topups: pd.DataFrame
    purchases: pd.DataFrame
    offers: pd.DataFrame
    subscribers: pd.DataFrame
    plans: pd.DataFrame
    dna: pd.DataFrame


def read_history(folder: Path, days: Sequence[dt.date], geography: Geography) -> History:
    """Read and homologate all files of a geography."""
    cents = 100.0 * geography.usd_per_unit

    def raw(feed: str, suffix: str) -> pd.DataFrame:
        read = pd.read_parquet if suffix == "parquet" else pd.read_csv
        frames = [
            read(folder / f"{feed}_{day:%Y%m%d}.{suffix}").assign(file_day=pd.Timestamp(day)) for day in days
        ]
        return pd.concat(frames, ignore_index=True)

    return History(
        usage=_usage(raw("usage", "parquet"), geography),
        topups=_topups(raw("topups", "csv"), geography, cents),
        purchases=_purchases(raw("plan_purchases", "parquet"), geography, cents),
        offers=_offers(raw("offers_sent", "parquet"), geography, cents),
        subscribers=_subscribers(raw("subscribers", "parquet"), geography, cents),
        plans=_plans(raw("plans", "csv"), geography, cents),
        dna=_dna(raw("dna", "csv")),
    )


def _latest(raw: pd.DataFrame, key: list[str], latest_by: str) -> pd.DataFrame:
    return raw.sort_values(latest_by, kind="stable").drop_duplicates(["file_day", *key], keep="last")


def _local_day(times_utc: pd.Series, geography: Geography) -> pd.Series:
    local = times_utc.dt.tz_localize("UTC").dt.tz_convert(geography.timezone)
    return local.dt.tz_localize(None).dt.normalize()


def _whole(numbers: pd.Series) -> pd.Series:
    """Round half away from zero, as money is; pandas rounds half to even."""
    return (np.sign(numbers) * np.floor(np.abs(numbers) + 0.5)).astype("int64")


def _is_of_its_day(business_day: pd.Series, file_day: pd.Series) -> pd.Series:
    return business_day.between(file_day - pd.Timedelta(days=2), file_day)


def _usage(raw: pd.DataFrame, geography: Geography) -> pd.DataFrame:
    """Merge usage to one row per file day and subscriber."""
    raw = _latest(raw, ["MSISDN", "EVENT_TS"], "INGEST_TS")
    kb = raw["DATA_UNIT"].map(_KB_PER_UNIT)
    rows = pd.DataFrame({"file_day": raw["file_day"], "subscriber_id": raw["MSISDN"]})
    is_good = raw.notna().all(axis=1) & (raw["MSISDN"] >= 1) & kb.notna()
    for ours, theirs in VOLUMES.items():
        rows[ours] = (raw[theirs] * kb).round()
        is_good &= (rows[ours] >= 0) & (rows[ours] <= _MOST.get(theirs, 1e12))
    for ours, theirs in COUNTS.items():
        rows[ours] = raw[theirs]
        is_good &= (rows[ours] >= 0) & (rows[ours] <= _MOST.get(theirs, 1e12))
    rows["business_day_max"] = _local_day(raw["EVENT_TS"], geography)
    rows["late_rows"] = rows["business_day_max"] < rows["file_day"]
    rows["record_count"] = 1
    rows = rows[is_good & _is_of_its_day(rows["business_day_max"], rows["file_day"])]
    sums = dict.fromkeys([*VOLUMES, *COUNTS, "late_rows", "record_count"], "sum")
    daily = rows.groupby(["file_day", "subscriber_id"], as_index=False).agg(
        {**sums, "business_day_max": "max"}
    )
    return daily.astype(dict.fromkeys(VOLUMES, "int64"))


def _topups(raw: pd.DataFrame, geography: Geography, cents: float) -> pd.DataFrame:
    raw = _latest(raw.assign(TOPUP_TS=pd.to_datetime(raw["TOPUP_TS"])), ["TOPUP_ID"], "TOPUP_TS")
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "topup_id": raw["TOPUP_ID"],
            "subscriber_id": raw["MSISDN"],
            "event_time_utc": raw["TOPUP_TS"],
            "amount_usd_cents": _whole(raw["AMOUNT"] * cents),
            "channel": raw["CHANNEL"].map(_TOPUP_CHANNEL),
            "business_day": _local_day(raw["TOPUP_TS"], geography),
        }
    )
    is_good = rows.notna().all(axis=1) & rows["amount_usd_cents"].between(1, 1_000_000)
    return rows[is_good & _is_of_its_day(rows["business_day"], rows["file_day"])]


def _purchases(raw: pd.DataFrame, geography: Geography, cents: float) -> pd.DataFrame:
    raw = _latest(raw, ["PURCHASE_ID"], "START_TS")
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "purchase_id": raw["PURCHASE_ID"],
            "subscriber_id": raw["MSISDN"],
            "event_time_utc": raw["START_TS"],
            "plan_code": raw["PLAN_ID"].map(geography.plan_codes),
            "price_usd_cents": _whole(raw["PRICE"] * cents),
            "business_day": _local_day(raw["START_TS"], geography),
        }
    )
    is_good = rows.notna().all(axis=1) & rows["price_usd_cents"].between(0, 1_000_000)
    return rows[is_good & _is_of_its_day(rows["business_day"], rows["file_day"])]


def _offers(raw: pd.DataFrame, geography: Geography, cents: float) -> pd.DataFrame:
    raw = _latest(raw, ["OFFER_ID"], "SENT_TS")
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "offer_id": raw["OFFER_ID"],
            "subscriber_id": raw["MSISDN"],
            "event_time_utc": raw["SENT_TS"],
            "plan_code": raw["PLAN_ID"].map(geography.plan_codes),
            "discount_usd_cents": _whole(raw["DISCOUNT"] * cents),
            "propensity": raw["PROPENSITY"],
            "channel": raw["CHANNEL"].map(_OFFER_CHANNEL),
            "is_accepted": raw["ACCEPTED"],
            "business_day": _local_day(raw["SENT_TS"], geography),
        }
    )
    is_good = rows.notna().all(axis=1) & (rows["discount_usd_cents"] >= 0) & rows["propensity"].between(0, 1)
    return rows[is_good & _is_of_its_day(rows["business_day"], rows["file_day"])]


def _subscribers(raw: pd.DataFrame, geography: Geography, cents: float) -> pd.DataFrame:
    raw = _latest(raw, ["MSISDN"], "UPDATED_TS")
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "subscriber_id": raw["MSISDN"],
            "updated_time_utc": raw["UPDATED_TS"],
            "status": raw["STATUS"].map(_STATUS),
            "activation_date": pd.to_datetime(raw["ACTIVATION_DT"]),
            "plan_code": raw["PLAN_ID"].map(geography.plan_codes),
            "plan_start_date": pd.to_datetime(raw["PLAN_START_DT"]),
            "plan_expiry_date": pd.to_datetime(raw["PLAN_END_DT"]),
            "balance_usd_cents": _whole(raw["BALANCE_MAIN"] * cents),
        }
    )
    required = rows[["subscriber_id", "updated_time_utc", "status", "plan_code"]].notna().all(axis=1)
    return rows[required & rows["balance_usd_cents"].between(-100_000, 10_000_000)]


def _plans(raw: pd.DataFrame, geography: Geography, cents: float) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "plan_code": raw["PLAN_ID"].map(geography.plan_codes),
            "family": raw["FAMILY"].map(_FAMILY),
            "price_usd_cents": _whole(raw["PRICE"] * cents),
            "margin_usd_cents": _whole(raw["MARGIN"] * cents),
            "validity_days": raw["VALID_DAYS"],
            "allowance_kb": _whole(raw["DATA_ALLOWANCE"] * 1024),
        }
    )
    return rows[rows.notna().all(axis=1)]


def _dna(raw: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "file_day": raw["file_day"],
            "subscriber_id": raw["MSISDN"],
            "age_years": raw["AGE"],
            "region": raw["REGION"],
            "device_type": raw["DEVICE"].map(_DEVICE),
            "is_4g_capable": raw["LTE"].astype(bool),
            "video_affinity": raw["AFF_VIDEO"],
            "social_affinity": raw["AFF_SOCIAL"],
        }
    )
    is_good = rows["device_type"].notna() & (rows["age_years"].isna() | rows["age_years"].between(14, 110))
    for share in ("video_affinity", "social_affinity"):
        is_good &= rows[share].isna() | rows[share].between(0, 1)
    return rows[is_good]
