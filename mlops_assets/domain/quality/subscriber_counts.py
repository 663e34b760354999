"""How many subscribers of a day were judged, outside their range and removed: counts, never a subscriber.

Belongs here: counting published partitions. Does not belong here: what the counts mean (drift_verdict.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.quality.subscriber_ranges import PUBLISHED, UNJUDGED
from mlops_assets.domain.quality.subscriber_tables import ANOMALIES, LIMITS, SCORES
from mlops_assets.domain.table_sql import compile_sql


class SubscriberCounts(Record):
    """A day's subscribers of a geography.

    Attributes:
        scored: active subscribers whose plan has a forecast.
        without_forecast: active subscribers whose plan has none.
        is_calibrated: there were limits to judge by; without them nobody is outside.
        by_reason: reason (`above`, `below`, `far_above`, `far_below`) to subscribers outside their range.
    """

    scored: int
    without_forecast: int
    is_calibrated: bool
    by_reason: Mapping[str, int]

    @property
    def outside(self) -> int:
        """Return the subscribers outside their published range."""
        return sum(self.by_reason.values())

    @property
    def removed(self) -> int:
        """Return the subscribers outside their removal range."""
        return sum(rows for reason, rows in self.by_reason.items() if reason.startswith("far_"))

    @property
    def outside_share(self) -> float | None:
        """Return the share of judged subscribers outside their range, None if nobody was judged."""
        return self.outside / self.scored if self.scored and self.is_calibrated else None


def count_subscribers(
    geography: str, day: dt.date, *, lake: Lake, engine: TableEngine
) -> SubscriberCounts | None:
    """Count a day's published partitions; None if the day was not judged.

    Raises:
        EngineError: a partition cannot be read.
    """
    scores, limits, anomalies = (PartitionId(table, geography, day) for table in (SCORES, LIMITS, ANOMALIES))
    calibration = lake.manifest(limits)
    if lake.manifest(scores) is None or lake.manifest(anomalies) is None or calibration is None:
        return None
    kinds = _counts(SCORES, scores, lake, engine)
    return SubscriberCounts(
        scored=kinds.get(PUBLISHED, 0),
        without_forecast=kinds.get(UNJUDGED, 0),
        is_calibrated=calibration.row_count > 0,
        by_reason=_counts(ANOMALIES, anomalies, lake, engine),
    )


def _counts(table: str, partition: PartitionId, lake: Lake, engine: TableEngine) -> dict[str, int]:
    rows = engine.fetch(
        _counts_sql(table, engine.dialect), {"counted": ViewSource(files=[lake.path(partition)])}
    )
    return {row["name"]: row["n"] for row in rows.to_pylist()}


@lru_cache(maxsize=8)
def _counts_sql(table: str, dialect: str) -> str:
    import ibis

    if table == SCORES:
        rows = ibis.table({"kind": "string", "subscribers": "int64"}, name="counted")
        counted = rows.group_by(name="kind").aggregate(n=rows.subscribers.sum().cast("!int64"))
    else:
        rows = ibis.table({"reason": "string"}, name="counted")
        counted = rows.group_by(name="reason").aggregate(n=rows.count())
    return compile_sql(counted.order_by("name"), dialect)
