"""Hostile names of objects, columns, values and rules: they stay in their folder, and stay text.

Belongs here: families about paths, SQL and databases. Does not belong here: files (attacks_on_feeds) or pages
(attacks_on_reports).
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.learning.corpus_expression import fits_values
from mlops_assets.domain.mail_ports import OutgoingMail
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from mlops_assets.domain.offers.eligibility import eligible, unbound_views
from mlops_assets.domain.offers.eligibility_check import check_rule
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId, ViewSource
from mlops_assets.domain.quality.release_ports import FeedRelease
from mlops_assets.domain.reporting.mail import MailKey
from mlops_assets.domain.table_sql import compile_sql
from resources.agents_store import LocalAgentsStore
from resources.deployment_names import activation_name, pointer_name
from resources.duckdb_engine import DuckDbEngine
from resources.feed_releases import SqliteFeedReleases
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from resources.mailbox import LocalMailbox
from resources.promotion_ledger import SqlitePromotionLedger
from resources.report_store import LocalReportStore
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import encodable_text, hostile_text

_DAY, _NOW = dt.date(2026, 8, 10), dt.datetime(2026, 8, 11, 6, tzinfo=dt.UTC)
_CANARY = "do not touch"


class _Yard:
    """A folder with a store inside and something beside it that nobody may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        self.store.mkdir()
        (folder / "canary").write_text(_CANARY)

    def require_untouched(self) -> None:
        """Raise EscapeError if anything was written, changed or removed outside the store."""
        found = sorted(path.name for path in self.folder.iterdir())
        if found != ["canary", "store"] or (self.folder / "canary").read_text() != _CANARY:
            raise EscapeError(f"beside the store: {found}")

    def require_inside(self, path: Path) -> None:
        """Raise EscapeError if a path leads out of the store."""
        if not path.resolve().is_relative_to(self.store.resolve()) or path.resolve() == self.store.resolve():
            raise EscapeError(f"{path} leads out of the store")


@contextmanager
def _lake(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)
    lake = LocalLake(yard.store)

    def attack(names: tuple[str, str, str, str, str]) -> None:
        table, segment, role, suffix, key = names
        partition = PartitionId(table, segment, _DAY)
        yard.require_inside(lake.folder(partition))
        with lake.write(partition, key) as writer:
            yard.require_inside(writer.file(role, suffix))
            writer.file(role, suffix).write_bytes(b"x")
            writer.commit(row_count=1)
        yard.require_inside(lake.path(partition, role))
        yard.require_untouched()

    yield attack


@contextmanager
def _reports(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)
    store = LocalReportStore(yard.store)

    def attack(name: str) -> None:
        try:
            yard.require_inside(store.save(name, "x"))
            store.read(name)
        finally:
            yard.require_untouched()

    yield attack


@contextmanager
def _landing(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)
    zone = LocalLandingZone(yard.store)

    def attack(names: tuple[str, str]) -> None:
        if found := zone.find(*names):
            raise EscapeError(f"an empty zone holds {found.path}")

    yield attack


@contextmanager
def _deliveries(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)
    agents, source = LocalAgentsStore(yard.store), folder / "canary"

    def attack(names: tuple[str, str]) -> None:
        try:
            yard.require_inside(agents.deliver(DeliveryId(*names, _DAY), source))
        finally:
            yard.require_untouched()

    yield attack


@contextmanager
def _slots(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)

    def attack(names: tuple[str, str, str, str]) -> None:
        slot = ModelSlot(*names[:3])
        for name in (pointer_name(slot), activation_name(slot, names[3])):
            yard.require_inside(yard.store / name)

    yield attack


@contextmanager
def _mailbox(folder: Path) -> Iterator[Attack]:
    yard = _Yard(folder)
    mailbox = LocalMailbox(yard.store)

    def attack(names: tuple[str, str, str]) -> None:
        mail = OutgoingMail(1, MailKey(*names), names[2], "s@operator.example", b"Subject: x\r\n\r\nx")
        mailbox.send(mail)
        yard.require_untouched()

    yield attack


@contextmanager
def _engine(folder: Path) -> Iterator[DuckDbEngine]:
    engine = DuckDbEngine(1, "200MB", folder / "spill", [folder])
    yield engine
    engine.close()


@contextmanager
def _sql_names(folder: Path) -> Iterator[Attack]:
    """Names of views and columns, and values of small tables, come back as they went in."""
    with _engine(folder) as engine:

        def attack(names: tuple[str, str, str]) -> None:
            view, column, value = names
            quoted = '"' + view.replace('"', '""') + '"'
            sql = f"SELECT * FROM {quoted}"  # noqa: S608 - quoted as the engine does
            table = pa.table({column: pa.array([value, None], pa.string())})
            back = engine.fetch(sql, {view: ViewSource(table=table)}).to_pydict()
            if back != table.to_pydict():
                raise EscapeError(f"{table.to_pydict()} came back as {back}")

        yield attack


@contextmanager
def _sql_values(folder: Path) -> Iterator[Attack]:
    """Values that a configuration compares with are compared as they are."""
    import ibis

    with _engine(folder) as engine:

        def attack(values: list[str]) -> None:
            rows = [*values, "other", None]
            table = ibis.table({"number": "int64", "code": "string"}, name="rows")
            chosen = table.filter(fits_values(table, {"code": values[:2]})).select("number")
            mapped = ibis.cases(*((table.code == value, f"ours {i}") for i, value in enumerate(values)))
            source = pa.table({"number": list(range(len(rows))), "code": pa.array(rows, pa.string())})
            views = {"rows": ViewSource(table=source)}
            found = sorted(
                engine.fetch(compile_sql(chosen, engine.dialect), views).column("number").to_pylist()
            )
            if found != [i for i, row in enumerate(rows) if row in values[:2]]:
                raise EscapeError(f"rows {found} were chosen of {rows}")
            ours = engine.fetch(
                compile_sql(table.select("number", ours=mapped), engine.dialect), views
            ).sort_by("number")
            wanted = [f"ours {values.index(row)}" if row in values else None for row in rows]
            if ours.column("ours").to_pylist() != wanted:
                raise EscapeError(f"{rows} were translated to {ours.column('ours').to_pylist()}")

        yield attack


_RULE_WORDS = st.sampled_from(
    ("n_offers", "status", "is_4g_capable", "tenure_days", "and", "or", "not", "in", "between", "(", ")", ",", "=", "<",
     "!=", ">=", "1", "-0.5", "7", "'a'", "''''", "'it''s'", "__import__", "os.system", "'; DROP TABLE x; --'",
     "{{7*7}}", "lambda:0", "\0", "9" * 400, "1e5", "--", "/*", ";", '"x"', "features.subscriber_id", "subscriber_id")
)  # fmt: skip
_conditions = st.one_of(
    st.tuples(st.sampled_from(("status", "region")), encodable_text).map(
        lambda p: f"{p[0]} = '{_doubled(p[1])}'"
    ),
    st.tuples(st.sampled_from(("n_offers", "tenure_days")), st.integers(-(10**15), 10**15)).map(
        "{0[0]} >= {0[1]}".format
    ),
    st.tuples(st.just("status"), encodable_text, encodable_text).map(
        lambda p: f"not {p[0]} in ('{_doubled(p[1])}', '{_doubled(p[2])}')"
    ),
)
_rules = st.one_of(
    hostile_text,
    st.lists(_RULE_WORDS, max_size=16).map(" ".join),
    st.text(max_size=60),
    st.lists(_conditions, min_size=1, max_size=3).map(" or ".join),
)


def _doubled(text: str) -> str:
    return text.replace("'", "''")


@contextmanager
def _eligibility(folder: Path) -> Iterator[Attack]:
    """An accepted rule becomes one statement that the engine runs over the documented views, and nothing else."""
    views = unbound_views(OfferCatalogueSpec())
    with _engine(folder) as engine:

        def attack(text: str) -> None:
            check_rule(text)
            spec = OfferCatalogueSpec(eligible=text)
            views = unbound_views(spec)
            empty = {
                name: ViewSource(table=view.schema().to_pyarrow().empty_table())
                for name, view in views.items()
            }
            sql = compile_sql(eligible(spec, views), engine.dialect)
            try:
                engine.fetch(sql, empty)
            except EngineError as error:
                raise EscapeError(f"an accepted rule is no statement: {error}") from error

        assert views
        yield attack


def _entry(number: int, texts: tuple[str, ...]) -> LedgerEntry:
    return LedgerEntry(
        decision_id=f"{number}:{texts[0]}",
        slot=ModelSlot("churn", "churn_risk", f"s{number}"),
        outcome="promoted",
        version=texts[1] or "1",
        bundle_sha256="a" * 64,
        previous_version=None,
        decided_by=texts[2],
        decided_at_utc=_NOW,
        as_of_day=_DAY,
        evidence_sha256="e" * 64,
        reasons=texts,
        evidence={"note": texts[3], texts[4]: [texts[0]]},
    )


@contextmanager
def _databases(folder: Path) -> Iterator[Attack]:
    """Texts of people (notes, names, reasons) come back from the ledger and the releases as they went in."""
    numbers = itertools.count()
    paths = [folder / "a", folder / "b"]

    def attack(texts: tuple[str, ...]) -> None:
        number = next(numbers)
        if number % 50 == 0:  # the ledger reads its whole chain
            for path in paths:
                path.with_suffix(".db").unlink(missing_ok=True)
        ledger = SqlitePromotionLedger(folder / "a.db")
        releases = SqliteFeedReleases(folder / "b.db")
        _require_same(ledger.record, _entry(number, texts), lambda one: ledger.champion(one.slot))
        release = FeedRelease("usage", "cl", _DAY, f"{number:064x}", texts[0], _NOW, texts[1])
        _require_same(
            releases.record,
            release,
            lambda one: releases.find(one.feed, one.geography, one.day, one.raw_sha256),
        )

    yield attack


def _require_same(write: Callable[[Any], Any], value: Any, read: Callable[[Any], Any]) -> None:
    write(value)
    if (back := read(value)) != value:
        raise EscapeError(f"{value!r} came back as {back!r}")


@st.composite
def _texts(
    draw: st.DrawFn, good: tuple[str, ...], text: st.SearchStrategy[str] = hostile_text
) -> tuple[str, ...]:
    """Return the good texts with one or more of them replaced, so that every place is reached."""
    bad = draw(
        st.sets(st.integers(0, len(good) - 1), min_size=1, max_size=draw(st.sampled_from((1, 1, len(good)))))
    )
    return tuple(draw(text) if place in bad else one for place, one in enumerate(good))


NAME_FAMILIES = (
    Family("lake_keys", _texts(("etl/profile", "cl", "data", ".parquet", "a" * 64)), _lake),
    Family("report_paths", st.one_of(hostile_text, hostile_text.map("churn/cl/{}.html".format)), _reports),
    Family("landing_names", _texts(("cl", "a.csv")), _landing),
    Family("delivery_names", _texts(("offers", "cl")), _deliveries),
    Family("slot_names", _texts(("churn", "churn_risk", "cl", "d1")), _slots),
    Family("mailbox_names", _texts(("quality/daily", "cl", "<x@y>"), encodable_text), _mailbox),
    Family("sql_names", _texts(("v", "c", "x"), encodable_text), _sql_names),
    Family("sql_values", st.lists(encodable_text, min_size=1, max_size=5, unique=True), _sql_values),
    Family("eligibility_rules", _rules, _eligibility),
    Family("database_texts", _texts(("d", "1", "gate", "note", "key")), _databases),
)
