"""States of people at the end of a day, with what the catalogue's rules and the contact policy allow them next.

| part of a state | source |
|---|---|
| scores | champions of the input models, applied to the day's features; NaN for people outside a model's population |
| features | the corpus table's row of the day; NaN where null |
| days_to_expiry | the row; -60 without a plan that expires |
| tenure_days | the row; 0 for prospects |
| days_since_offer | newest of 60 days of `feeds/offers_sent`; 60 for none |
| offers, ignored | `feeds/offers_sent`, by week before the day |
| plans_bought, boosters_bought | `etl/purchases_daily`, likewise |

A day of either log that is not published is named. Of purchases it counts as empty; instead of the campaign's log
our own proposals of that day count as contacts, so that a held log leads to no second one. Nobody without a row of
the day has a state.

Belongs here: the statement, and streaming it. Does not belong here: what a week brought (transitions.py), choosing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.features.build import view_source
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import ViewPlan, unbound
from mlops_assets.domain.learning.population import population_of
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.decision_data import (
    CLOCK_BOUNDS,
    CLOCKS,
    HISTORY_WEEKS,
    STEP_DAYS,
    DecisionDataError,
    OfferStates,
)
from mlops_assets.domain.offers.eligibility import feature_columns, to_expression
from mlops_assets.domain.offers.eligibility_check import check_rule
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE, proposals_table
from mlops_assets.domain.offers.state_history import (
    AS_OF_COLUMNS,
    CONTACT_COLUMNS,
    PROPOSED_COLUMNS,
    PURCHASE_COLUMNS,
    clock_of,
    contact_history,
    history_columns,
    purchase_history,
)
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting, StateScorers
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import find_published
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from numpy.typing import NDArray

HISTORY_DAYS = STEP_DAYS * HISTORY_WEEKS
CONTACT_DAYS = int(CLOCK_BOUNDS["days_since_offer"][1])
ROWS_PER_CHUNK = 131_072
_KEY = "subscriber_id"


@dataclass(frozen=True)
class StatesPlan:
    """What the states of a day would be read from; nothing has been read yet.

    Attributes:
        day: at whose end the states are.
        views: partitions of each view.
        inputs: partition to build key.
        missing_days: days of the histories without a campaign log or purchases, by table.
        rows: of the corpus table, filters not applied.
    """

    day: dt.date
    views: Mapping[str, ViewPlan]
    inputs: Mapping[str, str]
    missing_days: Mapping[str, tuple[dt.date, ...]]
    rows: int

    @property
    def history_days(self) -> int:
        """Published days among those that the histories count."""
        missing = {day for days in self.missing_days.values() for day in days}
        window = (self.day - dt.timedelta(days=back) for back in range(HISTORY_DAYS))
        return sum(day not in missing for day in window)


@dataclass(frozen=True, eq=False)
class PeopleOfDay:
    """Some people at the end of a day.

    Attributes:
        states: what is known of them.
        rules: bool [people x plans of the catalogue], whether the plan's rules hold.
        may_contact: bool [people], whether cap and cool-down allow a contact on the day after.
    """

    states: OfferStates
    rules: NDArray[np.bool_]
    may_contact: NDArray[np.bool_]


def plan_states(setting: OfferSetting, day: dt.date, *, lake: Lake) -> StatesPlan | NotReady:
    """Return what the states of a day are read from, or the partition that is missing.

    Raises:
        DecisionDataError: the use case is not about subscribers.
    """
    if (setting.corpus.table, setting.corpus.entity_key) != (SUBSCRIBER_FEATURES.name, _KEY):
        raise DecisionDataError(
            "offers are for subscribers",
            where=f"{setting.use_case}: {setting.corpus.table}, key {setting.corpus.entity_key}",
            expected=f"{SUBSCRIBER_FEATURES.name}, key {_KEY}",
            remedy="correct the use case's corpus, or leave `offers` out",
        )
    features = PartitionId(setting.corpus.table, setting.segment, day)
    manifest = lake.manifest(features)
    if manifest is None:
        return NotReady("missing_input", f"{features} is not published")
    views: dict[str, ViewPlan] = {}
    inputs, missing = {str(features): manifest.build_key}, {}
    windows = {
        CONTACTS_TABLE: ("contacts", CONTACT_COLUMNS, CONTACT_DAYS),
        "etl/purchases_daily": ("purchases", PURCHASE_COLUMNS, HISTORY_DAYS),
    }
    for table, (view, columns, days) in windows.items():
        wanted = [day - dt.timedelta(days=back) for back in range(days - 1, -1, -1)]
        found = _find(lake, table, setting.segment, wanted)
        inputs |= {str(partition): key for partition, key in found.items()}
        views[view] = ViewPlan(columns, tuple(found), has_file_day=True)
        there = {partition.day for partition in found}
        missing[table] = tuple(one for one in wanted if one not in there)
    proposed = _find(lake, proposals_table(setting.use_case), setting.segment, missing[CONTACTS_TABLE])
    inputs |= {str(partition): key for partition, key in proposed.items()}
    views["proposed"] = ViewPlan(PROPOSED_COLUMNS, tuple(proposed), has_file_day=True)
    return StatesPlan(day, views, inputs, missing, manifest.row_count)


def _find(lake: Lake, table: str, segment: str, days: Sequence[dt.date]) -> dict[PartitionId, str]:
    window = [PartitionId(table, segment, day) for day in days]
    return {one: manifest.build_key for one, manifest in find_published(lake, window).items()}


def find_lacking_history(setting: OfferSetting, plan: StatesPlan, *, lake: Lake) -> str:
    """Say why too little is known of a day's states to learn from them; empty if enough is.

    A state looks back four weeks; `corpus.min_history_days` beyond that asks for the age of the table's first day.
    """
    asked, needed = setting.corpus.min_history_days, setting.spec.agent.state_days_min
    if asked <= HISTORY_DAYS:
        needed = max(asked, needed)
    elif (age_days := (plan.day - lake.days(setting.corpus.table, setting.segment)[0]).days) < asked:
        return f"{age_days} of {asked} days since the first one"
    return f"{plan.history_days} of {needed} days of history" if plan.history_days < needed else ""


def stream_people(
    setting: OfferSetting,
    plan: StatesPlan,
    scorers: StateScorers,
    *,
    lake: Lake,
    engine: TableEngine,
    chunks: int | None = None,
    people: NDArray[np.int64] | None = None,
    threads: int = 1,
) -> Iterator[PeopleOfDay]:
    """Yield the population of a day in chunks, each ordered by subscriber.

    Args:
        setting: use case and segment.
        plan: of `plan_states`.
        scorers: champions of the input models.
        lake: where the partitions are.
        engine: runs the statement, once per chunk.
        chunks: how many; people are dealt out by the remainder of their number. None for chunks of 131,072 rows.
        people: only these; None for everybody.
        threads: most threads a model uses.

    Raises:
        LearningError: the day's features do not fit a champion.
        DecisionDataError: a feature of the state is no number.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = PartitionId(setting.corpus.table, setting.segment, plan.day)
    source, stored = lake.path(features), scorers.find_stored(features, lake)
    query = _StateQuery(setting, scorers, pq.read_schema(source), stored, is_sampled=people is not None)
    sql = compile_sql(query.expression(), engine.dialect)
    views = {name: view_source(view, lake) for name, view in plan.views.items()}
    views["population"] = ViewSource(files=[source])
    views |= {
        f"score_{n}": ViewSource(files=[lake.path(one)]) for n, one in enumerate(stored) if one is not None
    }
    if people is not None:
        views["people"] = ViewSource(table=pa.table({"person": pa.array(people, pa.int64())}))
    count = chunks or max(1, -(-plan.rows // ROWS_PER_CHUNK))
    for chunk in range(count):
        views["as_of"] = ViewSource(table=_as_of(plan.day, chunk, count))
        yield query.read(engine.fetch(sql, views), threads)


def _as_of(day: dt.date, chunk: int, chunks: int) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "as_of_day": pa.array([day], pa.date32()),
            "chunk": pa.array([chunk], pa.int64()),
            "chunks": pa.array([chunks], pa.int64()),
        }
    )


class _StateQuery:
    """The statement of one stored schema, and how its rows become arrays.

    Names of its own columns begin with an underscore; stored columns never do.
    """

    def __init__(
        self,
        setting: OfferSetting,
        scorers: StateScorers,
        schema: pa.Schema,
        stored: Sequence[PartitionId | None],
        *,
        is_sampled: bool,
    ) -> None:
        self.setting, self.scorers, self.schema, self.is_sampled = setting, scorers, schema, is_sampled
        self.is_stored = [one is not None for one in stored]
        self.catalogue: OfferCatalogueSpec = setting.spec.catalogue
        self.filters = [
            None
            if source.corpus.filter_equals == setting.corpus.filter_equals
            else source.corpus.filter_equals
            for source in scorers.sources
        ]
        self._require_numbers()

    def _require_numbers(self) -> None:
        for name in self.setting.spec.state.features:
            doc = SUBSCRIBER_FEATURES.columns.get(name)
            if doc is None or doc.type not in ("integer", "decimal", "boolean"):
                raise DecisionDataError(
                    f"`{name}` cannot be part of a state",
                    where=f"offers.state.features of {self.setting.use_case}",
                    expected="a number or boolean of etl/subscriber_features",
                    remedy="leave it out; models may read it and lend their score",
                )

    def expression(self) -> ir.Table:
        """Return people with features, known flags, rules, contact policy, clocks and histories, ordered."""
        as_of = unbound("as_of", AS_OF_COLUMNS)
        rows = self._population(as_of)
        contacts = contact_history(as_of, self.catalogue.contact_policy)
        purchases = purchase_history(as_of)
        joined = rows.left_join(contacts, rows[_KEY] == contacts.contacted)
        joined = joined.left_join(purchases, rows[_KEY] == purchases.buyer)
        places = [place for place, is_stored in enumerate(self.is_stored) if is_stored]
        for place in places:
            scores = _stored_scores(place)
            joined = joined.left_join(scores, rows[_KEY] == scores[f"scored_{place}"])
        return joined.select(
            _KEY,
            *self._read_columns(),
            **{f"_known_{n}": self._is_known(joined, f) for n, f in enumerate(self.filters) if f is not None},
            **{f"_rule_{n}": self._rule(joined, n) for n in range(len(self.catalogue.plans))},
            _may_contact=(joined.in_window.fill_null(0) < self.catalogue.contact_policy.contacts_max)
            & (joined.last_age_days >= self.catalogue.contact_policy.cool_down_days).fill_null(True),
            **{f"_score_{place}": joined[f"score_{place}"] for place in places},
            **{f"_{name}": clock_of(joined, name) for name in CLOCKS},
            **{f"_{name}": joined[name].fill_null(0).cast("float32") for name in history_columns()},
        ).order_by(_KEY)

    def _population(self, as_of: ir.Table) -> ir.Table:
        import ibis

        filtered = {name for one in self.filters if one is not None for name in one}
        rules = [name for name in feature_columns(self.catalogue) if name != _KEY]
        columns = [*self._read_columns(), *rules, *sorted(filtered), "days_to_expiry", "tenure_days"]
        rows = population_of(self.setting.corpus, self.schema, columns, "population")
        if self.is_sampled:
            sampled = ibis.table({"person": "int64"}, name="people")
            rows = rows.semi_join(sampled, rows[_KEY] == sampled.person)
        rows = rows.cross_join(as_of)
        return rows.filter(rows[_KEY] % rows.chunks == rows.chunk)

    def _read_columns(self) -> list[str]:
        scored = (
            name
            for scorer, is_stored in zip(self.scorers.scorers, self.is_stored, strict=True)
            if not is_stored
            for name in scorer.features
        )
        return list(dict.fromkeys((*scored, *self.setting.spec.state.features)))

    def _is_known(self, rows: ir.Table, equals: Mapping[str, str]) -> ir.Value:
        import ibis

        held = ibis.literal(True)
        for column, value in equals.items():
            held = held & (rows[column].cast("string") == value).fill_null(False)
        return held

    def _rule(self, rows: ir.Table, position: int) -> ir.Value:
        """Return whether a plan's own rule and the common one hold; unknown counts as no."""
        import ibis

        texts = [text for text in (self.catalogue.eligible, self.catalogue.plans[position].eligible) if text]
        held = ibis.literal(True)
        for text in texts:
            held = held & to_expression(check_rule(text), rows)
        return held.fill_null(False)

    def read(self, rows: pa.Table, threads: int) -> PeopleOfDay:
        """Return the people of a chunk, ordered by number: the engine's order is not kept by every plan of its own."""
        rows = rows.sort_by(_KEY)
        known = [None if one is None else f"_known_{n}" for n, one in enumerate(self.filters)]
        layout = self.setting.layout
        values = np.empty((rows.num_rows, len(layout.columns)), dtype=np.float32)
        n_scores, features = len(self.scorers.sources), self.setting.spec.state.features
        for place, is_stored in enumerate(self.is_stored):
            if is_stored:
                values[:, place] = _numbers(rows, f"_score_{place}")
            elif rows.num_rows:
                values[:, place] = self.scorers.level(place, rows, known[place], threads)
        for position, name in enumerate(features, start=n_scores):
            values[:, position] = _numbers(rows, name)
        for name in layout.columns[n_scores + len(features) :]:
            values[:, layout.index(name)] = _numbers(rows, f"_{name}")
        plans = range(len(self.catalogue.plans))
        rules = np.column_stack([_flags(rows, f"_rule_{n}") for n in plans]) if plans else None
        return PeopleOfDay(
            OfferStates(layout, values, _column(rows, _KEY).astype(np.int64)),
            np.zeros((rows.num_rows, 0), dtype=np.bool_) if rules is None else rules,
            _flags(rows, "_may_contact"),
        )


def _stored_scores(place: int) -> ir.Table:
    """Return the published scores of an input model; who is not in them is outside its population."""
    rows = unbound(f"score_{place}", {_KEY: "integer", "score": "decimal"})
    return rows.rename({f"scored_{place}": _KEY, f"score_{place}": "score"})


def _column(rows: pa.Table, name: str) -> NDArray[Any]:
    column: NDArray[Any] = rows[name].to_numpy()
    return column


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float32]:
    import pyarrow as pa

    numbers: NDArray[np.float32] = rows[name].cast(pa.float32(), safe=False).to_numpy()
    return np.where(np.isinf(numbers), np.float32(np.nan), numbers)


def _flags(rows: pa.Table, name: str) -> NDArray[np.bool_]:
    return _column(rows, name).astype(np.bool_)
