"""The page that lists all reports."""

from __future__ import annotations

import datetime as dt

from mlops_assets.domain.reporting.model_card_page import render_model_card_html, render_model_card_markdown
from mlops_assets.domain.reporting.report_index import build_report_index, make_index_entry
from mlops_assets.domain.reporting.run_summary import render_run_summary_html
from tests.fakes.report_store import FakeReportStore
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_cards import make_card
from tests.unit.domain.reporting.sample_summaries import make_summary


def test_every_report_is_listed_with_title_link_and_data_day() -> None:
    store = FakeReportStore()
    store.save("run/summary.html", render_run_summary_html(make_summary()))
    store.save("churn/cl/model card.html", render_model_card_html(make_card()))
    store.save("churn/cl/model card.md", render_model_card_markdown(make_card()))
    store.save("index.html", "an older index")
    page = build_report_index((path, store.read(path)) for path in store.list())
    outline = check_page(page)
    assert sorted(outline.references) == [
        "churn/cl/model%20card.html",
        "churn/cl/model%20card.md",
        "run/summary.html",
    ]
    text = " ".join(outline.text)
    assert "Model card: churn / churn_risk / cl, version 4" in text
    assert "Run summary: 2024-01-01 to 2024-01-08" in text
    assert "Newest data: 2024-02-26" in text


def test_the_newest_data_come_first() -> None:
    documents = [
        (
            f"churn/{day}.html",
            f'<meta name="data-day" content="2024-01-0{day}"><title>Day {day}</title>'.encode(),
        )
        for day in (1, 3, 2)
    ]
    page = build_report_index(documents)
    assert page.index("Day 3") < page.index("Day 2") < page.index("Day 1")


def test_of_several_versions_the_latest_comes_first() -> None:
    documents = [(f"v{number}.html", f"<title>Card {number}</title>".encode()) for number in (9, 10, 2)]
    page = build_report_index(documents)
    assert page.index("Card 10") < page.index("Card 9") < page.index("Card 2")


def test_a_title_is_read_back_unescaped_and_escaped_again() -> None:
    entry = make_index_entry("a.html", b"<title>A &amp; &lt;b&gt;\n c</title>")
    assert entry.title == "A & <b> c"
    assert entry.data_day is None
    assert "A &amp; &lt;b&gt; c" in build_report_index([("a.html", b"<title>A &amp; &lt;b&gt; c</title>")])


def test_a_page_without_title_goes_by_its_name() -> None:
    assert make_index_entry("x/strange.html", b"\xff\xfe").title == "strange.html"
    assert make_index_entry("x/table.csv", b"a,b").kind == "CSV"


def test_links_cannot_run_code() -> None:
    page = build_report_index([("javascript:alert(1)", b"")])
    assert 'href="javascript%3Aalert%281%29"' in page


def test_no_reports_say_what_to_do() -> None:
    page = build_report_index([])
    check_page(page)
    assert "No report has been written yet" in page


def test_the_day_in_the_page_is_the_day_of_the_report() -> None:
    entry = make_index_entry("card.html", render_model_card_html(make_card()).encode())
    assert entry.data_day == dt.date(2024, 2, 26)
    assert entry.title == make_card().title
