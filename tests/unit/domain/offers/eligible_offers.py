"""The eligible offers of a day, as the check of proposals asks for them, but for everybody."""

from __future__ import annotations

from typing import Any

from mlops_assets.domain.features.build import view_source
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.eligibility import (
    EligibilityPlan,
    action_rows,
    as_of_row,
    eligible,
    unbound_views,
)
from mlops_assets.domain.ports import ViewSource
from mlops_assets.domain.table_sql import compile_sql
from tests.unit.domain.features.feed_world import FeedWorld


def read_eligible(spec: OfferCatalogueSpec, plan: EligibilityPlan, world: FeedWorld) -> list[dict[str, Any]]:
    """Return the rows of `eligible`."""
    sources = {name: view_source(view, world.lake) for name, view in plan.views.items()}
    sources["actions"] = ViewSource(table=action_rows(spec))
    sources["as_of"] = ViewSource(table=as_of_row(spec, plan.offer_day))
    sql = compile_sql(eligible(spec, unbound_views(spec)), world.engine.dialect)
    rows: list[dict[str, Any]] = world.engine.fetch(sql, sources).to_pylist()
    return rows
