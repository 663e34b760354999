"""The peer of the table work: a straightforward pandas version that reads the whole history at once.

It makes the same tables from the same files: homologated feeds (units, codes, money, time zones, duplicates,
bad rows left out), usage merged to one row per subscriber and file day, the feature snapshot of a day, and the
point-in-time corpus. Idiomatic pandas: vectorised, one concatenated frame per feed, merges and group-bys; no
tricks that a careful author would not use.

Belongs here: pandas only, nothing of the platform but its configuration. Does not belong here: measuring.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.domain.feeds.contract import Geography

_KB_PER_UNIT = {"byte": 1 / 1024, "KB": 1.0, "MB": 1024.0, "GB": 1024.0 * 1024.0}
_APPS = ("facebook", "whatsapp", "youtube", "tiktok", "instagram")
_VOLUMES = {
    "data_local_kb": "DATA_LOCAL_VOL", "data_roaming_kb": "DATA_ROAM_VOL", "app_facebook_kb": "APP_FB",
    "app_whatsapp_kb": "APP_WA", "app_youtube_kb": "APP_YT", "app_tiktok_kb": "APP_TT", "app_instagram_kb": "APP_IG",
}  # fmt: skip
_COUNTS = {
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


# ---------------------------------------------------------------- homologation


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
    for ours, theirs in _VOLUMES.items():
        rows[ours] = (raw[theirs] * kb).round()
        is_good &= (rows[ours] >= 0) & (rows[ours] <= _MOST.get(theirs, 1e12))
    for ours, theirs in _COUNTS.items():
        rows[ours] = raw[theirs]
        is_good &= (rows[ours] >= 0) & (rows[ours] <= _MOST.get(theirs, 1e12))
    rows["business_day_max"] = _local_day(raw["EVENT_TS"], geography)
    rows["late_rows"] = rows["business_day_max"] < rows["file_day"]
    rows["record_count"] = 1
    rows = rows[is_good & _is_of_its_day(rows["business_day_max"], rows["file_day"])]
    sums = dict.fromkeys([*_VOLUMES, *_COUNTS, "late_rows", "record_count"], "sum")
    daily = rows.groupby(["file_day", "subscriber_id"], as_index=False).agg(
        {**sums, "business_day_max": "max"}
    )
    return daily.astype(dict.fromkeys(_VOLUMES, "int64"))


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


# ---------------------------------------------------------------- features of a day


def _window(rows: pd.DataFrame, day: pd.Timestamp, days: int) -> pd.DataFrame:
    return rows[(rows["file_day"] > day - pd.Timedelta(days=days)) & (rows["file_day"] <= day)]


def _per_subscriber(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return rows.groupby("subscriber_id")[list(columns)].sum()


def _profile(history: History, day: pd.Timestamp) -> pd.DataFrame:
    people = history.subscribers[history.subscribers["file_day"] == day]
    people = people[people["status"] != "churned"].drop(columns=["file_day", "updated_time_utc"])
    plans = history.plans[history.plans["file_day"] == day][
        ["plan_code", "family", "price_usd_cents", "validity_days", "allowance_kb"]
    ].rename(columns={"family": "plan_family", "validity_days": "plan_validity_days"})
    dna = history.dna[history.dna["file_day"] <= day].sort_values("file_day", kind="stable")
    dna = dna.drop_duplicates("subscriber_id", keep="last").drop(columns="file_day")
    rows = people.merge(plans, on="plan_code", how="left").merge(dna, on="subscriber_id", how="left")
    return rows.set_index("subscriber_id")


def _sums(history: History, day: pd.Timestamp) -> pd.DataFrame:
    """Return all 30-day and 7-day sums by subscriber, zero where there is nothing."""
    usage, topups = _window(history.usage, day, 30), _window(history.topups, day, 30)
    recent, recent_topups = _window(usage, day, 7), _window(topups, day, 7)
    by_usage = usage.groupby("subscriber_id")
    by_topup, app = topups.groupby("subscriber_id"), topups[topups["channel"] == "app"]
    boosters = history.plans[history.plans["family"] == "booster"][["file_day", "plan_code"]].assign(
        is_booster=1
    )
    bought = _window(history.purchases, day, 30).merge(boosters, on=["file_day", "plan_code"], how="left")
    bought["is_booster"] = bought["is_booster"].fillna(0).astype("int64")
    by_purchase, by_offer = (
        bought.groupby("subscriber_id"),
        _window(history.offers, day, 30).groupby("subscriber_id"),
    )
    week = _per_subscriber(recent, ["data_local_kb", "data_roaming_kb", "calls_onnet", "calls_offnet"])
    parts = [
        _per_subscriber(usage, [*_VOLUMES, *_COUNTS]),
        by_usage.size().rename("active_days"),
        (week["data_local_kb"] + week["data_roaming_kb"]).rename("data_kb_7d"),
        (week["calls_onnet"] + week["calls_offnet"]).rename("calls_7d"),
        recent.groupby("subscriber_id").size().rename("active_days_7d"),
        by_topup.size().rename("n_topups"),
        app.groupby("subscriber_id").size().rename("n_app_topups"),
        by_topup["amount_usd_cents"].sum().rename("topup_cents"),
        recent_topups.groupby("subscriber_id")["amount_usd_cents"].sum().rename("topup_cents_7d"),
        by_purchase["is_booster"].sum().rename("n_boosters"),
        by_purchase.size().rename("n_purchases"),
        by_purchase["price_usd_cents"].sum().rename("purchase_cents"),
        by_offer.size().rename("n_offers"),
        by_offer["is_accepted"].sum().rename("n_offers_accepted"),
    ]
    return pd.concat(parts, axis=1).fillna(0)


def _days_since(rows: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    last = _window(rows, day, 30).groupby("subscriber_id")["file_day"].max()
    return (day - last).dt.days


def _ratio(numerator: Any, denominator: pd.Series) -> pd.Series:
    return numerator / denominator.where(denominator != 0)


def build_snapshot(history: History, day: dt.date, first_day: dt.date) -> pd.DataFrame:
    """Return all features of a day, one row per active subscriber and prospect."""
    today = pd.Timestamp(day)
    delivered = (day - first_day).days + 1
    people = _profile(history, today)
    s = _sums(history, today).reindex(people.index).fillna(0)
    last = {
        "last_activity_days": history.usage, "days_since_topup": history.topups,
        "days_since_purchase": history.purchases, "days_since_offer": history.offers,
    }  # fmt: skip
    features = {
        **_profile_features(people, today),
        **_usage_features(s, min(30, delivered)),
        **_money_features(s, min(30, delivered)),
        **_trend_features(s, min(30, delivered), min(7, delivered)),
        **{name: _days_since(rows, today).reindex(people.index) for name, rows in last.items()},
    }
    return pd.DataFrame(features, index=people.index).reset_index()


def _profile_features(people: pd.DataFrame, day: pd.Timestamp) -> dict[str, pd.Series]:
    kept = (
        "status", "plan_code", "plan_family", "plan_validity_days", "age_years", "region", "device_type",
        "is_4g_capable", "video_affinity", "social_affinity",
    )  # fmt: skip
    return {
        **{name: people[name] for name in kept},
        "tenure_days": (day - people["activation_date"]).dt.days,
        "days_since_plan": (day - people["plan_start_date"]).dt.days,
        "days_to_expiry": (people["plan_expiry_date"] - day).dt.days,
        "plan_price_usd": people["price_usd_cents"] / 100,
        "plan_allowance_mb": people["allowance_kb"] / 1024,
        "balance_main_acc": people["balance_usd_cents"] / 100,
    }


def _usage_features(s: pd.DataFrame, days: int) -> dict[str, pd.Series]:
    calls = s["calls_onnet"] + s["calls_offnet"]
    apps = s[[f"app_{app}_kb" for app in _APPS]]
    total = apps.sum(axis=1)
    ranked = np.sort(apps.to_numpy(), axis=1)
    top3 = pd.Series(ranked[:, 2:].sum(axis=1), index=s.index)
    return {
        "data_local_mb": s["data_local_kb"] / 1024,
        "data_roaming_mb": s["data_roaming_kb"] / 1024,
        "phone_calls_month1": calls,
        "avg_phone_calls": calls / days,
        "call_minutes": s["call_seconds"] / 60,
        "avg_call_minutes": _ratio(s["call_seconds"], calls) / 60,
        "onnet_calls_ratio": _ratio(s["calls_onnet"], calls),
        "sms_onnet": s["sms_onnet"],
        "sms_offnet": s["sms_offnet"],
        "activity_days": s["active_days"],
        "activity_ratio": s["active_days"] / days,
        "top3_app_usage_ratio": _ratio(top3, total),
        **{f"app_{app}_ratio": _ratio(s[f"app_{app}_kb"], total) for app in _APPS},
    }


def _money_features(s: pd.DataFrame, days: int) -> dict[str, pd.Series]:
    return {
        "n_topups": s["n_topups"],
        "topup_usd": s["topup_cents"] / 100,
        "avg_topup_amt": _ratio(s["topup_cents"], s["n_topups"]) / 100,
        "avg_freq": 7 * s["n_topups"] / days,
        "app_topups_ratio": _ratio(s["n_app_topups"], s["n_topups"]),
        "n_plans_month1": s["n_purchases"] - s["n_boosters"],
        "n_boosters": s["n_boosters"],
        "purchase_usd": s["purchase_cents"] / 100,
        "n_offers": s["n_offers"],
        "n_offers_accepted": s["n_offers_accepted"],
        "offer_acceptance_ratio": _ratio(s["n_offers_accepted"], s["n_offers"]),
    }


def _trend_features(s: pd.DataFrame, days: int, recent_days: int) -> dict[str, pd.Series]:
    data, calls = s["data_local_kb"] + s["data_roaming_kb"], s["calls_onnet"] + s["calls_offnet"]
    pairs = {
        "data_trend_ratio": (s["data_kb_7d"], data),
        "calls_trend_ratio": (s["calls_7d"], calls),
        "activity_trend_ratio": (s["active_days_7d"], s["active_days"]),
        "topup_trend_ratio": (s["topup_cents_7d"], s["topup_cents"]),
    }
    trends = {name: _ratio(recent / recent_days, whole / days) for name, (recent, whole) in pairs.items()}
    return {"activity_days_7d": s["active_days_7d"], **trends}


# ---------------------------------------------------------------- corpus


def build_corpus(
    history: History,
    parts: Mapping[dt.date, str],
    horizon_days: int,
    first_day: dt.date,
    features: Sequence[str],
) -> pd.DataFrame:
    """Return active subscribers of each as-of day with their features, the label and the part of the split."""
    churned = history.subscribers[history.subscribers["status"] == "churned"]
    frames = []
    for day, part in parts.items():
        as_of = pd.Timestamp(day)
        rows = build_snapshot(history, day, first_day)
        rows = rows[rows["status"] == "active"][["subscriber_id", *features]]
        ahead = churned["file_day"].between(
            as_of + pd.Timedelta(days=1), as_of + pd.Timedelta(days=horizon_days)
        )
        label = rows["subscriber_id"].isin(churned.loc[ahead, "subscriber_id"]).astype("int64")
        frames.append(rows.assign(as_of_day=as_of, split=part, label=label))
    return pd.concat(frames, ignore_index=True).sort_values(["as_of_day", "subscriber_id"])
