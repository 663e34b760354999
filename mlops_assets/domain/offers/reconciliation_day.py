"""A day's reconciliation as typed figures whose sums close.

Belongs here: figures of a geography and day by plan, and the check that they add up. Does not belong here: counting
(reconciliation.py), weeks and their report (reporting.offer_report).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, model_validator

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.offers import reconciliation as counted
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

Count = Annotated[int, Field(ge=0)]
Row = Mapping[str, Any]
UNEXPLAINED_ROWS_MAX = 50
_UNEXPLAINED = (
    counted.DIFFERENT_OFFER,
    counted.UNPROPOSED,
    counted.DUPLICATE_CONTACT,
    counted.DUPLICATE_PROPOSAL,
)


class ReconciliationError(PlatformError):
    """Counts of a day do not add up; no figure of it may be published."""


class PlanFigures(Record):
    """What became of the offers of one plan proposed; money in US cents, of those sent as proposed.

    `with_expectation` of the offers sent carried an expected acceptance and margin; the sums are over these.
    """

    plan_code: str
    rl_offers: Count
    sent_offers: Count
    no_offer: Count
    different_offer: Count
    other_discount: Count = 0
    accepted: Count = 0
    margin_usd_cents: int = 0
    with_expectation: Count = 0
    expected_accepted: float = 0.0
    expected_margin_usd_cents: float = 0.0

    @model_validator(mode="after")
    def _sums_close(self) -> PlanFigures:
        if self.rl_offers != self.sent_offers + self.no_offer + self.different_offer:
            raise ValueError(
                f"`{self.plan_code}`: {self.rl_offers} offers are not {self.sent_offers} sent + "
                f"{self.no_offer} not sent + {self.different_offer} different"
            )
        return self


class UnexplainedRows(Record):
    """How many contacts or proposals of one kind and pair of plans nothing explains."""

    kind: str
    proposed_plan: str
    sent_plan: str
    rows: Count


class ReconciledDay(Record):
    """A geography and day; aggregates only.

    Attributes:
        plans: by plan proposed, in the order of their codes.
        declined: prospects whom the agent decided to leave alone.
        contacts: rows of the campaign log.
        unproposed, duplicate_contacts: contacts nobody proposed, and further ones of the same person.
        duplicate_proposals: further proposals for the same person.
        unexplained: the largest of these by plans, at most 50; `unexplained_more` counts what is left out.
        model_versions: versions that proposed.
    """

    geography: str
    day: dt.date
    plans: tuple[PlanFigures, ...]
    declined: Count = 0
    contacts: Count = 0
    unproposed: Count = 0
    duplicate_contacts: Count = 0
    duplicate_proposals: Count = 0
    unexplained: tuple[UnexplainedRows, ...] = ()
    unexplained_more: Count = 0
    model_versions: tuple[str, ...] = ()

    @property
    def rl_offers(self) -> int:
        """Offers that the agent proposed, `no_offer` left aside."""
        return sum(one.rl_offers for one in self.plans)

    @property
    def sent_offers(self) -> int:
        """Offers sent as proposed."""
        return sum(one.sent_offers for one in self.plans)

    @property
    def no_offer(self) -> int:
        """Offers proposed to people who were not contacted."""
        return sum(one.no_offer for one in self.plans)

    @property
    def different_offer(self) -> int:
        """Offers proposed to people who got another plan."""
        return sum(one.different_offer for one in self.plans)

    @model_validator(mode="after")
    def _contacts_close(self) -> ReconciledDay:
        explained = self.sent_offers + self.different_offer
        if self.contacts != explained + self.unproposed + self.duplicate_contacts:
            raise ValueError(
                f"{self.contacts} contacts are not {explained} to people with an offer + {self.unproposed} "
                f"unproposed + {self.duplicate_contacts} duplicates"
            )
        return self


def mismatch_share(rl_offers: int, no_offer: int, different_offer: int) -> float | None:
    """Return (no offer + different offer) / RL offers; None without an offer."""
    return (no_offer + different_offer) / rl_offers if rl_offers else None


def summarise_day(rows: Iterable[Row], geography: str, day: dt.date) -> ReconciledDay:
    """Return the figures of the rows of a reconciliation partition.

    Raises:
        ReconciliationError: the counts of offers or contacts do not add up.
    """
    found = list(rows)
    totals = _sum_by(found, "kind")
    unexplained = _list_unexplained(found)
    try:
        return ReconciledDay(
            geography=geography,
            day=day,
            plans=_plan_figures(found),
            declined=totals[counted.DECLINED],
            contacts=totals[counted.CONTACT],
            unproposed=totals[counted.UNPROPOSED],
            duplicate_contacts=totals[counted.DUPLICATE_CONTACT],
            duplicate_proposals=totals[counted.DUPLICATE_PROPOSAL],
            unexplained=unexplained[:UNEXPLAINED_ROWS_MAX],
            unexplained_more=sum(one.rows for one in unexplained[UNEXPLAINED_ROWS_MAX:]),
            model_versions=tuple(sorted({row["model_version"] for row in found} - {counted.NOTHING})),
        )
    except ValueError as error:
        raise ReconciliationError(
            "the counts of offers proposed and sent do not add up",
            where=f"reconciliation of {geography}, {day}: {_first_reason(error)}",
            expected="RL offers = sent + no offer + different offer, and every contact counted once",
            remedy="build the partition again; if it stays so, report it as a fault of the platform",
        ) from error


def read_day(
    table: FeatureTable, geography: str, day: dt.date, *, lake: Lake, engine: TableEngine
) -> ReconciledDay | None:
    """Return a day's figures, None if it has not been reconciled.

    Raises:
        EngineError: the partition cannot be read.
        ReconciliationError: its counts do not add up.
    """
    partition = PartitionId(table.name, geography, day)
    if lake.manifest(partition) is None:
        return None
    rows = engine.fetch(_read_sql(engine.dialect), {"counts": ViewSource(files=[lake.path(partition)])})
    return summarise_day(rows.to_pylist(), geography, day)


@lru_cache(maxsize=4)
def _read_sql(dialect: str) -> str:
    import ibis

    names = counted.COLUMNS
    rows = ibis.table({name: counted.engine_type(name) for name in names}, name="counts")
    return compile_sql(rows.order_by("kind", "proposed_plan", "sent_plan", "model_version"), dialect)


def _sum_by(rows: Iterable[Row], *keys: str) -> dict[Any, int]:
    sums: dict[Any, int] = defaultdict(int)
    for row in rows:
        sums[row[keys[0]] if len(keys) == 1 else tuple(row[key] for key in keys)] += row["offers"]
    return sums


def _plan_figures(rows: list[Row]) -> tuple[PlanFigures, ...]:
    offers = _sum_by(rows, "kind", "proposed_plan")
    outcomes = (counted.PROPOSED, counted.SENT_AS_PROPOSED, counted.NOT_CONTACTED, counted.DIFFERENT_OFFER)
    plans = sorted({plan for kind, plan in offers if kind in outcomes})
    return tuple(
        PlanFigures(
            plan_code=plan,
            rl_offers=offers[counted.PROPOSED, plan],
            sent_offers=offers[counted.SENT_AS_PROPOSED, plan],
            no_offer=offers[counted.NOT_CONTACTED, plan],
            different_offer=offers[counted.DIFFERENT_OFFER, plan],
            **_sums_of_sent(rows, plan),
        )
        for plan in plans
    )


def _sums_of_sent(rows: Iterable[Row], plan: str) -> dict[str, Any]:
    of_plan = [row for row in rows if (row["kind"], row["proposed_plan"]) == (counted.SENT_AS_PROPOSED, plan)]
    return {name: sum(row[name] for row in of_plan) for name in counted.SUMMED}


def _list_unexplained(rows: Iterable[Row]) -> tuple[UnexplainedRows, ...]:
    """Return what nothing explains, the largest first."""
    sums = _sum_by((row for row in rows if row["kind"] in _UNEXPLAINED), "kind", "proposed_plan", "sent_plan")
    found = [
        UnexplainedRows(kind=kind, proposed_plan=proposed, sent_plan=sent, rows=count)
        for (kind, proposed, sent), count in sums.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.rows, one.kind, one.proposed_plan, one.sent_plan)))


def _first_reason(error: ValueError) -> str:
    from pydantic import ValidationError

    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
