"""Whether published proposals are what they must be, counted anew from the lake.

Offers are compared with `eligibility.eligible`, which shares no statement with the one that made them: rules, catalogue
of the day, cap, cool-down and quiet days in one.

Belongs here: counting faults. Does not belong here: making proposals, what a fault stops (assets).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.features.build import view_source
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import ViewPlan, unbound
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.catalogue_spec import FairnessBound, OfferCatalogueSpec
from mlops_assets.domain.offers.eligibility import (
    action_rows,
    as_of_row,
    eligible,
    plan_eligibility,
    unbound_views,
)
from mlops_assets.domain.offers.limits import find_unfair
from mlops_assets.domain.offers.reconciliation import NO_OFFER
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir

_SUM_TOLERANCE = 1e-4  # of twenty float32 numbers
_SAME_DISCOUNT = 1e-6
_PROPOSED_COLUMNS: dict[str, ColumnType] = {"subscriber_id": "integer", "plan_code": "text"}


@dataclass(frozen=True)
class ProposalFaults:
    """What is wrong with a day's proposals of a segment.

    Attributes:
        rows: proposals.
        repeated: rows beyond the first of a person.
        unsound_chances: rows whose chances do not sum to 1, or whose choice had none.
        forbidden: offers that the person may not get that day.
        unfair: one sentence per fairness bound that is exceeded.
    """

    rows: int
    repeated: int
    unsound_chances: int
    forbidden: int
    unfair: tuple[str, ...]


def count_faults(
    spec: OfferCatalogueSpec, partition: PartitionId, *, lake: Lake, engine: TableEngine
) -> ProposalFaults:
    """Return the faults of published proposals; the partition's day is that of the offers.

    Raises:
        TableInputError: proposals, or the features or catalogue that they were made from, are not published.
    """
    offer_day = _day_of(partition)
    proposals = {"proposals": ViewSource(files=[lake.path(partition)])}
    counted = engine.fetch(compile_sql(_own_faults(), engine.dialect), proposals).to_pylist()[0]
    plan = plan_eligibility(spec, partition.segment, offer_day, lake=lake)
    views = {name: view_source(view, lake) for name, view in plan.views.items()} | proposals
    views["proposed"] = view_source(_proposed_on(plan.missing_days, partition, lake), lake)
    views |= {
        "actions": ViewSource(table=action_rows(spec)),
        "as_of": ViewSource(table=as_of_row(spec, offer_day)),
    }
    forbidden = engine.fetch(compile_sql(_forbidden(spec), engine.dialect), views).to_pylist()[0]["forbidden"]
    features = PartitionId(SUBSCRIBER_FEATURES.name, partition.segment, offer_day - dt.timedelta(days=1))
    groups = proposals | {"features": ViewSource(files=[lake.path(features)])}
    unfair = [_unfair(bound, groups, engine) for bound in spec.fairness]
    return ProposalFaults(
        rows=counted["rows"],
        repeated=counted["rows"] - counted["people"],
        unsound_chances=counted["unsound"],
        forbidden=forbidden,
        unfair=tuple(words for words in unfair if words),
    )


def _proposed_on(days: tuple[dt.date, ...], partition: PartitionId, lake: Lake) -> ViewPlan:
    """Return our own proposals of days whose campaign log is not published: they count as contacts."""
    of_days = [PartitionId(partition.table, partition.segment, day) for day in days]
    published = tuple(one for one in of_days if lake.manifest(one) is not None)
    return ViewPlan(_PROPOSED_COLUMNS, published, has_file_day=True)


def _day_of(partition: PartitionId) -> dt.date:
    if partition.day is None:
        raise ValueError(f"{partition} is of no day")
    return partition.day


def _proposals() -> ir.Table:
    import ibis

    columns = {
        "subscriber_id": "int64",
        "plan_code": "string",
        "discount_share": "float64",
        "propensity": "float64",
        "propensities": "array<float32>",
    }
    return ibis.table(columns, name="proposals")


def _own_faults() -> ir.Table:
    rows = _proposals()
    is_sum = (rows.propensities.sums() - 1.0).abs() <= _SUM_TOLERANCE
    is_sound = (is_sum & rows.propensity.between(0.0, 1.0) & (rows.propensity > 0)).fill_null(False)
    return rows.aggregate(
        rows=rows.count().cast("int64"),
        people=rows.subscriber_id.nunique().cast("int64"),
        unsound=(~is_sound).cast("int64").sum().fill_null(0).cast("!int64"),
    )


def _forbidden(spec: OfferCatalogueSpec) -> ir.Table:
    views = unbound_views(spec)
    rows = _proposals()
    offers = rows.filter(rows.plan_code != NO_OFFER).select(
        person="subscriber_id", offered_plan="plan_code", offered_share="discount_share"
    )
    features = views["features"]
    # Only the people with an offer: a table of everybody and every action would be twenty times as long.
    views["features"] = features.semi_join(offers, features.subscriber_id == offers.person)
    proposed = unbound("proposed", {**_PROPOSED_COLUMNS, "file_day": "date"})
    # In another order than declared: else Ibis leaves the selection out, and a file may have more columns.
    assumed = proposed.filter(proposed.plan_code != NO_OFFER).select("file_day", "subscriber_id")
    views["contacts"] = views["contacts"].select("file_day", "subscriber_id").union(assumed)
    allowed = eligible(spec, views)
    left = offers.anti_join(
        allowed,
        [
            offers.person == allowed.subscriber_id,
            offers.offered_plan == allowed.plan_code,
            (offers.offered_share - allowed.discount_share).abs() < _SAME_DISCOUNT,
        ],
    )
    return left.aggregate(forbidden=left.count().cast("int64"))


def _unfair(bound: FairnessBound, views: dict[str, ViewSource], engine: TableEngine) -> str:
    kind = SUBSCRIBER_FEATURES.columns[bound.by].type
    features = unbound("features", {"subscriber_id": "integer", bound.by: kind})
    named = features.select(group_key="subscriber_id", group=features[bound.by].cast("string"))
    rows = _proposals()
    joined = rows.inner_join(named, rows.subscriber_id == named.group_key)
    counted = joined.group_by("group").aggregate(
        people=joined.count().cast("int64"),
        contacted=(joined.plan_code != NO_OFFER).cast("int64").sum().cast("!int64"),
    )
    found: list[dict[str, Any]] = engine.fetch(compile_sql(counted, engine.dialect), views).to_pylist()
    groups = {row["group"] or "unknown": (row["people"], row["contacted"]) for row in found}
    return find_unfair(bound, groups)
