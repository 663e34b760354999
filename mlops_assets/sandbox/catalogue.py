"""The operator's plans and boosters, their prices in one geography, and its top-up denominations.

Belongs here: the catalogue of a geography on a day (prices follow events). Does not belong here: who buys.
Prices are round in local money (two significant digits) and kept in US cents.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.sandbox.events import ScriptedEvent, events_on
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.sql_engine import fill, normal_of

BASE_PLAN = "prepaid_base"
_PLAN_MOOD_SD = 0.012  # daily log noise shared by those who prefer a plan


@dataclass(frozen=True)
class Plan:
    """A plan or booster. `reference_cents` is the price before any price change."""

    plan_code: str
    family: str
    price_usd_cents: int
    margin_usd_cents: int
    validity_days: int
    allowance_kb: int
    local_code: str = ""
    reference_cents: int = 0


_MB = 1024
BASE_CATALOGUE: tuple[Plan, ...] = (
    Plan(BASE_PLAN, "base", 0, 0, 365, 0),
    Plan("data_s", "data", 210, 125, 7, 2048 * _MB),
    Plan("data_m", "data", 525, 320, 15, 6144 * _MB),
    Plan("data_l", "data", 1050, 640, 30, 18432 * _MB),
    Plan("combo_m", "combo", 840, 470, 30, 10240 * _MB),
    Plan("voice_s", "voice", 315, 200, 15, 1024 * _MB),
    Plan("booster_1gb", "booster", 105, 70, 3, 1024 * _MB),
    Plan("booster_3gb", "booster", 260, 170, 7, 3072 * _MB),
)


def round_in_local_money(usd: float, usd_per_unit: float) -> float:
    """Return an amount as US dollars after rounding it to two significant digits of local money."""
    local = usd / usd_per_unit
    step = 10.0 ** (math.floor(math.log10(local)) - 1)
    return round(local / step) * step * usd_per_unit


def _in_local_prices(plan: Plan, geography: Geography, local_code: str) -> Plan:
    if plan.price_usd_cents == 0:
        return replace(plan, local_code=local_code)
    price = max(1, round(100 * round_in_local_money(plan.price_usd_cents / 100, geography.usd_per_unit)))
    margin = round(plan.margin_usd_cents * price / plan.price_usd_cents)
    return replace(
        plan, local_code=local_code, price_usd_cents=price, margin_usd_cents=margin, reference_cents=price
    )


def catalogue_on(geography: Geography, events: Sequence[ScriptedEvent], day: dt.date) -> list[Plan]:
    """Return the plans that a geography sells on a day, new plans and price changes applied.

    Raises:
        ConfigError: the geography's `plan_codes` do not name the base plan; without it nobody can have a line.
    """
    local_codes = {ours: local for local, ours in geography.plan_codes.items()}
    if BASE_PLAN not in local_codes:
        raise ConfigError(
            f"geography {geography.code} has no local code for {BASE_PLAN}",
            where="geographies.yaml, plan_codes",
            remedy=f"name a local code for {BASE_PLAN}, or set `like` to a geography that has one",
        )
    plans = [
        _in_local_prices(p, geography, local_codes[p.plan_code])
        for p in BASE_CATALOGUE
        if p.plan_code in local_codes
    ]
    for event in events_on(events, geography.code, day, "new_plan"):
        plans = [p for p in plans if p.plan_code != event.text("plan_code")] + [
            _plan_of(event, geography, local_codes)
        ]
    for event in events_on(events, geography.code, day, "price_change"):
        plans = [_repriced(plan, event) for plan in plans]
    return plans


def _plan_of(event: ScriptedEvent, geography: Geography, local_codes: dict[str, str]) -> Plan:
    plan = Plan(
        plan_code=event.text("plan_code"),
        family=event.text("family"),
        price_usd_cents=int(event.number("price_usd_cents")),
        margin_usd_cents=int(event.number("margin_usd_cents")),
        validity_days=int(event.number("validity_days")),
        allowance_kb=int(event.number("allowance_mb")) * _MB,
    )
    return _in_local_prices(plan, geography, local_codes.get(plan.plan_code, event.text("local_code")))


def _repriced(plan: Plan, event: ScriptedEvent) -> Plan:
    if event.text("plan_code") not in ("all", plan.plan_code):
        return plan
    price = round(plan.price_usd_cents * event.number("factor"))
    margin = plan.margin_usd_cents + price - plan.price_usd_cents
    return replace(plan, price_usd_cents=price, margin_usd_cents=margin)


def catalogue_rows_sql(plans: Sequence[Plan], seed: int, geography: str, day: dt.date) -> str:
    """Return the statement that replaces table `catalogue`, with the day's mood of each plan's people."""
    rows = [
        fill(
            "($plan_code, $local_code, $family, $price_usd_cents, $margin_usd_cents, $validity_days,"
            " $allowance_kb, $reference_cents, $mood)",
            vars(plan),
            mood=math.exp(_PLAN_MOOD_SD * normal_of(seed, geography, plan.plan_code, day.toordinal())),
        )
        for plan in plans
    ]
    columns = (
        "plan_code, local_code, family, price_usd_cents, margin_usd_cents, validity_days, allowance_kb,"
        " reference_cents, mood"
    )
    return f"CREATE OR REPLACE TABLE catalogue AS SELECT * FROM (VALUES {', '.join(rows)}) AS v({columns})"


def topup_amount_sql(geography: Geography, behaviour: BehaviourParameters, wanted_cents: str) -> str:
    """Return SQL for the smallest denomination, in US cents, that covers `wanted_cents` (or the largest)."""
    amounts = [
        round(100 * round_in_local_money(usd, geography.usd_per_unit))
        for usd in behaviour.money.denominations_usd
    ]
    cases = " ".join(f"WHEN {wanted_cents} <= {amount} THEN {amount}" for amount in amounts[:-1])
    return f"(CASE {cases} ELSE {amounts[-1]} END)"
