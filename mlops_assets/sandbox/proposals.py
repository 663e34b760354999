"""The offers that the platform delivered for a day, as the campaign system reads them.

Belongs here: finding the files and turning them into table `proposals`. Does not belong here: what the campaign makes
of them (campaign).

A line whose plan is not sold today, or NONE, sends nothing, and nearly keeps its person from the campaign's own rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.sandbox.sql_engine import SqlText, fill, literal

_TABLE = """
CREATE OR REPLACE TABLE proposals AS
SELECT line.SUBSCRIBER AS proposed_to, sold.plan_code AS proposed_plan,
    coalesce(line.DISCOUNT * $cents_per_unit / nullif(sold.price_usd_cents, 0), 0e0) AS proposed_discount,
    line.PROPENSITY AS proposed_propensity
FROM (SELECT DISTINCT ON (SUBSCRIBER) * FROM read_csv([$files], header = true, filename = true, columns = {
        'SUBSCRIBER': 'BIGINT', 'PLAN_ID': 'VARCHAR', 'DISCOUNT': 'DOUBLE', 'PROPENSITY': 'DOUBLE',
        'MODEL': 'VARCHAR'}) ORDER BY SUBSCRIBER, filename) AS line
    LEFT JOIN catalogue AS sold ON sold.local_code = line.PLAN_ID
"""


def find_proposals(folder: Path | None, geography: str, day: dt.date) -> list[Path]:
    """Return the files delivered for a geography and day, one per use case; none without a folder."""
    if folder is None:
        return []
    return sorted((folder / geography).glob(f"[!.]*_{day:%Y%m%d}.csv"))


def proposals_sql(files: Sequence[Path], geography: Geography) -> str:
    """Return the statement that makes table `proposals`; of several lines for a person the first file's counts."""
    return fill(
        _TABLE,
        files=SqlText(", ".join(literal(str(file)) for file in files)),
        cents_per_unit=100.0 * geography.usd_per_unit,
    )
