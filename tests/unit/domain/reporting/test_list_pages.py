"""Pages of decisions, mails and lineage: every row is there, links lead where they should, nothing escapes."""

from __future__ import annotations

import datetime as dt

from mlops_assets.domain.mail_ports import MailEntry
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from mlops_assets.domain.reporting.lineage_page import LineageNode, render_lineage_page
from mlops_assets.domain.reporting.list_pages import render_ledger_page, render_mails_page
from mlops_assets.domain.reporting.mail import MailKey
from mlops_assets.domain.reporting.tables import Link, make_table, to_markdown
from tests.unit.resources.ledger_writer import make_entry

NOW = dt.datetime(2026, 9, 15, 8, 30, tzinfo=dt.UTC)
DAY = dt.date(2026, 9, 14)


def test_ledger_has_every_decision_with_its_report() -> None:
    offers = ModelSlot("personalized_offer", "offer_agent", "pe")
    entries = [
        make_entry("1", None),
        make_entry("2", "1", outcome="rejected", reasons=("<b>no better</b>",)),
        make_entry("1", None, slot=offers, outcome="rolled_back", decided_by="demo"),
    ]

    def find_report(entry: LedgerEntry) -> str:
        return "retraining/a b.html" if entry.version == "2" else ""

    page = render_ledger_page(entries, find_report)
    assert page.count("<tbody") == 2, "a table for each use case"
    assert page.count('<a class="wrap" href="retraining/a%20b.html">churn_30d</a>') == 1
    assert "&lt;b&gt;no better&lt;/b&gt;" in page
    assert "<b>no better" not in page
    for word in ("promoted", "rejected", "rolled back", "demo"):
        assert word in page


def mail(number: int, subject: str) -> MailEntry:
    key = MailKey("quality/held_feed", f"usage/cl/{DAY}", "data@operator.example")
    return MailEntry(number, key, f"<{number}@x>", subject, "sent", 1, NOW, sent_at_utc=NOW)


def test_mails_are_listed_newest_first_with_their_pages() -> None:
    mails = [mail(1, "first"), mail(2, "<script>second")]
    page = render_mails_page(mails, lambda one: "../mail/1.html" if one.number == 1 else "", DAY)
    assert '<a class="wrap" href="../mail/1.html">first</a>' in page
    assert "<script>second" not in page
    assert page.index("second") < page.index(">first<")


def test_links_are_text_where_there_are_no_links() -> None:
    table = make_table("t", ["A"], [(Link("a|b", "x y.html"),)])
    assert "a\\|b" in to_markdown(table)
    assert Link("a", "javascript:alert(1)").href == "javascript%3Aalert%281%29"


def test_lineage_shows_every_asset_and_edge_once() -> None:
    nodes = [
        LineageNode(key="feeds/usage", stage="feeds", group="shared"),
        LineageNode(key="etl/a", stage="etl", group="shared", parents=("feeds/usage",)),
        LineageNode(key="etl/b<&", stage="etl", group="shared", parents=("etl/a", "feeds/usage")),
    ]
    page = render_lineage_page(nodes, ("feeds", "etl", "reports"), DAY)
    assert page.count("<rect ") == 3
    assert page.count("<path ") == 3
    assert "3 assets in 2 stages" in page
    assert "b<&" not in page
    assert page.count("files of the operator") == 1
