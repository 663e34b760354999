"""States that remember since when an attribute has its present value.

Belongs here: the recipe `LastChange`. Does not belong here: which attribute is watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from mlops_assets.domain.features.carry_forward import CarryForward
from mlops_assets.domain.features.table import FeatureTable, unbound

if TYPE_CHECKING:
    import ibis.expr.types as ir


@dataclass(frozen=True)
class LastChange(CarryForward):
    """The latest row of each key, and the file day since which `attribute` has the value it has there.

    A full list is delivered every day, so that the day of the latest row says nothing. The first day on which a key
    is seen counts as a change: nobody knows how long it had been so. A null is a value like any other.

    Attributes:
        attribute: a text column of the source.
    """

    attribute: str

    @override
    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return the one statement, `overlay`: previous state and later deltas in one sequence per key."""
        import ibis

        state = unbound("previous", self.state_columns).rename(file_day=self.changed_day)
        deltas = unbound("deltas", {**self.source.columns, "file_day": "date"})
        columns = [*self.source.columns, "file_day"]
        # The computed column keeps `SELECT *` away: a delivered file has more columns than are read.
        state, deltas = (
            part.select(*columns, compared=part[self.attribute].fill_null("")) for part in (state, deltas)
        )
        rows = state.union(deltas)
        by_key = ibis.window(group_by=rows[self.key], order_by=rows.file_day)
        dated = rows.mutate(
            is_change=(rows.compared != rows.compared.lag().over(by_key)).fill_null(True),
            newness=ibis.row_number().over(
                ibis.window(group_by=rows[self.key], order_by=rows.file_day.desc())
            ),
        )
        changes = dated.filter(dated.is_change).group_by(changed_key=dated[self.key])
        last = changes.aggregate(**{self.changed_day: dated.file_day.max()})
        newest = dated.filter(dated.newness == 0)
        joined = newest.join(last, newest[self.key] == last.changed_key)
        return {"overlay": joined.select(*table.columns)}
