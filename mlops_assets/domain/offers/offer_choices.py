"""The actions of a catalogue: what each plan costs and brings on a day, and the numbers of the choices.

Choices are numbered as the catalogue lists them, `no_offer` first, each plan with each of its discounts; a plan that
is not sold on the day keeps its number, so that numbers mean the same on every day.

Belongs here: from `feeds/plans` to actions, from a contact of the log to a choice. Does not belong here: who may get
what (eligibility.py), what is decided (daily_offers.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.decision_data import NO_OFFER_CHOICE, OfferAction
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAN_COLUMNS: dict[str, ColumnType] = {
    "plan_code": "text",
    "family": "text",
    "price_usd_cents": "integer",
    "margin_usd_cents": "integer",
    "validity_days": "integer",
    "allowance_kb": "integer",
}
# A logged discount is rounded to local money; further than this from every listed one it is another offer.
DISCOUNT_TOLERANCE_SHARE = 0.025
NOT_A_CHOICE = -1
_CENTS_PER_USD, _KB_PER_MB = 100.0, 1024.0


def read_plans(partition: PartitionId, *, lake: Lake, engine: TableEngine) -> dict[str, OfferAction]:
    """Return what is sold on a day by plan code, without discounts; the first row of a repeated code counts.

    Raises:
        TableInputError: the catalogue of the day is not published.
        EngineError: it cannot be read.
    """
    from mlops_assets.domain.features.table import unbound

    rows = unbound("plans", PLAN_COLUMNS)
    ordered = rows.filter(rows.plan_code.notnull()).order_by("plan_code", "price_usd_cents")
    sql = compile_sql(ordered, engine.dialect)
    found = engine.fetch(sql, {"plans": ViewSource(files=[lake.path(partition)])})
    plans: dict[str, OfferAction] = {}
    for row in found.to_pylist():
        plans.setdefault(row["plan_code"], _action_of(row))
    return plans


def _action_of(row: Mapping[str, Any]) -> OfferAction:
    return OfferAction(
        plan_code=row["plan_code"],
        family=row["family"] or "",
        price_usd=(row["price_usd_cents"] or 0) / _CENTS_PER_USD,
        margin_usd=(row["margin_usd_cents"] or 0) / _CENTS_PER_USD,
        validity_days=row["validity_days"] or 0,
        allowance_mb=(row["allowance_kb"] or 0) / _KB_PER_MB,
    )


def list_choices(spec: OfferCatalogueSpec, plans: Mapping[str, OfferAction]) -> tuple[OfferAction, ...]:
    """Return the choices of a catalogue at the prices of `plans`; a plan that is not among them has no price."""
    offers = [
        replace(plans.get(plan.plan_code, OfferAction(plan.plan_code)), discount_share=discount)
        for plan in spec.plans
        for discount in plan.discounts
    ]
    return (NO_OFFER_CHOICE, *offers)


def plan_of_choice(spec: OfferCatalogueSpec) -> NDArray[np.int64]:
    """Return the position in `spec.plans` of each choice but `no_offer`, int64 [choices - 1]."""
    return np.repeat(np.arange(len(spec.plans)), [len(plan.discounts) for plan in spec.plans]).astype(
        np.int64
    )


def is_sold(choices: Sequence[OfferAction], plans: Mapping[str, OfferAction]) -> NDArray[np.bool_]:
    """Return which choices may be made on a day, bool [choices]; `no_offer` always may."""
    return np.array([position == 0 or one.plan_code in plans for position, one in enumerate(choices)])


def find_choices(
    choices: Sequence[OfferAction], plan_codes: Sequence[str | None], discount_shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the choice that each contact of a log was, int64 [contacts]; NOT_A_CHOICE if it is none of them.

    Args:
        choices: of the catalogue.
        plan_codes: offered plans.
        discount_shares: of the list price; NaN where the plan had no price, which counts as no discount.
    """
    codes = np.array([code or "" for code in plan_codes], dtype=object)
    shares = np.nan_to_num(discount_shares)
    found = np.full(len(codes), NOT_A_CHOICE, dtype=np.int64)
    nearest = np.full(len(codes), DISCOUNT_TOLERANCE_SHARE)
    for position, choice in enumerate(choices[1:], start=1):
        distance = np.abs(shares - choice.discount_share)
        is_nearer = (codes == choice.plan_code) & (distance <= nearest)
        found[is_nearer], nearest[is_nearer] = position, distance[is_nearer]
    return found
