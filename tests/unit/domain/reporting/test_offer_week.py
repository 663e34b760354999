"""From reconciled days in a lake to a week's report, files and mail."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.feeds.delivery_record import held_partition
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.reporting.offer_report import OfferReport
from mlops_assets.domain.reporting.offer_report_page import make_offer_tables, make_sentences
from mlops_assets.domain.reporting.offer_week import (
    OfferWeekSource,
    RenderedOfferWeek,
    make_week_messages,
    render_offer_week,
)
from mlops_assets.domain.weeks import sunday_of
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.test_offer_report import MADE_UP, PUBLISHED_FIRST, SPACE

MONDAY = dt.date(2026, 8, 31)
SUNDAY = MONDAY + dt.timedelta(days=6)
TABLE = reconciliation_table("offers/personalized_offer/proposals")
TYPES = {name: column.type for name, column in TABLE.columns.items()}
PEOPLE = ["campaigns@operator.example"]


@pytest.fixture
def source(tmp_path: Path) -> OfferWeekSource:
    """Return an empty lake where offers are made in two geographies."""
    engine = DuckDbEngine(1, "500MB", tmp_path / "spill", [tmp_path])
    return OfferWeekSource("personalized_offer", TABLE, ("cl", "pe"), LocalLake(tmp_path / "lake"), engine)


def count(kind: str, offers: int, **changes: Any) -> dict[str, Any]:
    return {**dict.fromkeys(TYPES, 0), "kind": kind, "proposed_plan": "data_m", "sent_plan": "none",
            "model_version": "7", "offers": offers, **changes}  # fmt: skip


def publish(source: OfferWeekSource, table: str, geography: str, day: dt.date, rows: list[Any]) -> None:
    """Publish a partition, with the columns of a reconciliation."""
    with source.lake.write(
        PartitionId(table, geography, day), stable_hash([table, str(day), rows])
    ) as writer:
        pq.write_table(pa.Table.from_pylist(rows, schema=empty_arrow(TYPES).schema), writer.file("data"))
        writer.commit(row_count=len(rows))


def reconcile(
    source: OfferWeekSource, geography: str, day: dt.date, counts: tuple[int, int, int, int], **of_sent: Any
) -> None:
    """Publish what became of a day's offers."""
    offers, sent, none, different = counts
    other = {"sent_plan": "data_s"}
    rows = [
        count("proposed", offers),
        count("contact", sent, proposed_plan="none", sent_plan="data_m", model_version="none"),
        count("contact", different, proposed_plan="none", model_version="none", **other),
        count("sent_as_proposed", sent, sent_plan="data_m", **of_sent),
        count("no_offer", none),
        count("different_offer", different, **other),
    ]
    publish(source, TABLE.name, geography, day, [row for row in rows if row["offers"]])


def render(source: OfferWeekSource, day: dt.date) -> RenderedOfferWeek:
    rendered = render_offer_week(source, day)
    assert rendered is not None
    return rendered


def day_of(report: OfferReport, geography: str, day: dt.date) -> Any:
    return next(one for one in report.days if (one.geography, one.day) == (geography, day))


def test_the_published_week_from_the_lake_to_the_mail(source: OfferWeekSource) -> None:
    for ahead, counts in enumerate([PUBLISHED_FIRST, *MADE_UP]):
        reconcile(source, "cl", MONDAY + dt.timedelta(days=ahead), counts)
    source = OfferWeekSource(source.use_case, TABLE, ("cl",), source.lake, source.engine)
    rendered = render(source, SUNDAY)
    assert rendered.report.total.rl_offers == 600268
    assert round(100 * (rendered.report.total.sent_share or 0), 1) == 89.3
    assert make_offer_tables(rendered.report)["form"].rows[0][-1] == f"6.88{SPACE}%"
    (message,) = make_week_messages(rendered, PEOPLE)
    assert "600,268" in message.text
    assert message.mail_keys()[0].report == "offers/personalized_offer/performance"
    assert sorted(rendered.files) == [
        f"personalized_offer/offer_performance/week-2026-09-06.{ending}"
        for ending in ("csv", "html", "parquet")
    ]
    page = str(rendered.files["personalized_offer/offer_performance/week-2026-09-06.html"])
    assert "Offer performance of personalized offer" in " ".join(check_page(page).text)


def test_a_week_that_is_not_over_is_shown_and_not_mailed(source: OfferWeekSource) -> None:
    for geography in source.geographies:
        reconcile(source, geography, MONDAY, (10, 9, 1, 0))
    rendered = render(source, MONDAY)
    assert (rendered.report.first_day, rendered.report.last_day) == (MONDAY, MONDAY)
    assert not rendered.report.missing
    assert list(make_week_messages(rendered, PEOPLE)) == []
    assert next(iter(rendered.files)).endswith("week-2026-09-06.html")


def test_an_earlier_day_built_again_keeps_the_days_after_it(source: OfferWeekSource) -> None:
    for day in (MONDAY, SUNDAY):
        for geography in source.geographies:
            reconcile(source, geography, day, (10, 10, 0, 0))
    rendered = render(source, MONDAY)
    assert rendered.is_complete
    assert rendered.report.total.rl_offers == 40


def test_without_any_proposal_there_is_no_report(source: OfferWeekSource) -> None:
    reconcile(source, "cl", MONDAY - dt.timedelta(days=1), (10, 10, 0, 0))
    assert render_offer_week(source, SUNDAY) is None


def test_every_missing_day_says_what_it_lacks(source: OfferWeekSource) -> None:
    for ahead in range(5):
        publish(source, "offers/personalized_offer/proposals", "cl", MONDAY + dt.timedelta(days=ahead), [])
    days = [MONDAY + dt.timedelta(days=ahead) for ahead in range(7)]
    reconcile(source, "cl", days[0], (10, 10, 0, 0))
    publish(source, "feeds/offers_sent", "cl", days[1], [])
    with source.lake.write(held_partition("offers_sent", "cl", days[2]), stable_hash("held")) as writer:
        writer.commit(row_count=0)
    for table in ("feeds/offers_sent", "feeds/plans"):
        publish(source, table, "cl", days[3], [])
    report = render(source, SUNDAY).report
    assert [day_of(report, "cl", day).reason for day in days[:5]] == [
        "",
        "feeds/plans was not delivered, or refused",
        "feeds/offers_sent is held: it looks broken; feeds/plans was not delivered, or refused",
        "all inputs are there, but it has not been reconciled",
        "feeds/offers_sent was not delivered, or refused; feeds/plans was not delivered, or refused",
    ]
    assert day_of(report, "pe", days[0]).reason.startswith("nothing was proposed; ")
    assert len(report.missing) == 13
    assert "cl 2026-09-01" in make_sentences(report)[1]


def test_counts_that_do_not_close_take_their_day_out(source: OfferWeekSource) -> None:
    reconcile(source, "cl", MONDAY, (10, 10, 0, 0))
    publish(
        source, TABLE.name, "cl", MONDAY + dt.timedelta(days=1), [count("proposed", 5), count("no_offer", 4)]
    )
    report = render(source, SUNDAY).report
    assert report.total.rl_offers == 10
    assert "its counts do not add up" in day_of(report, "cl", MONDAY + dt.timedelta(days=1)).reason


def test_the_table_holds_nulls_for_what_is_not_known(source: OfferWeekSource) -> None:
    reconcile(source, "cl", MONDAY, (10, 6, 3, 1))
    rendered = render(source, SUNDAY)
    content = rendered.files["personalized_offer/offer_performance/week-2026-09-06.parquet"]
    assert isinstance(content, bytes)
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    assert len(rows) == 14
    assert rows[0] == {
        "day": MONDAY, "geography": "cl", "rl_offers": 10, "sent_offers": 6, "no_offer": 3, "different_offer": 1,
        "mismatch_ratio": 0.4, "reason": "",
    }  # fmt: skip
    assert rows[1]["rl_offers"] is None
    assert rows[1]["mismatch_ratio"] is None
    assert rows[1]["reason"]


def test_realised_and_expected_by_geography_and_plan(source: OfferWeekSource) -> None:
    sums = {"accepted": 3, "margin_usd_cents": 600, "with_expectation": 10, "expected_accepted": 2.5,
            "expected_margin_usd_cents": 500.0}  # fmt: skip
    for geography in source.geographies:
        reconcile(source, geography, MONDAY, (10, 10, 0, 0), **sums)
    report = render(source, SUNDAY).report
    assert [
        (one.geography, one.plan_code, one.margin_usd, one.expected_accepted) for one in report.plans
    ] == [
        ("cl", "data_m", 6.0, 2.5),
        ("pe", "data_m", 6.0, 2.5),
    ]


def test_earlier_weeks_show_the_ratio_over_time(source: OfferWeekSource) -> None:
    for weeks, counts in ((0, (10, 9, 1, 0)), (1, (10, 8, 2, 0)), (3, (10, 7, 3, 0)), (8, (10, 0, 10, 0))):
        reconcile(source, "cl", MONDAY - dt.timedelta(weeks=weeks), counts)
    rendered = render(source, MONDAY + dt.timedelta(days=2))
    weeks = rendered.report.weeks
    assert [(one.first_day, one.counts.mismatch if one.counts else None) for one in weeks] == [
        (MONDAY - dt.timedelta(weeks=3), 0.3),
        (MONDAY - dt.timedelta(weeks=2), None),
        (MONDAY - dt.timedelta(weeks=1), 0.2),
        (MONDAY, 0.1),
    ]
    assert weeks[-1].last_day == MONDAY + dt.timedelta(days=2)
    page = str(rendered.files["personalized_offer/offer_performance/week-2026-09-06.html"])
    check_page(page)
    assert "Mismatch ratio by week" in page
    assert "2026-08-17 not known" in page


@pytest.mark.parametrize(("day", "sunday"), [(MONDAY, SUNDAY), (SUNDAY, SUNDAY)])
def test_a_week_ends_on_sunday(day: dt.date, sunday: dt.date) -> None:
    assert sunday_of(day) == sunday


def test_nobody_to_tell_is_no_mail(source: OfferWeekSource) -> None:
    reconcile(source, "cl", MONDAY, (10, 10, 0, 0))
    assert list(make_week_messages(render(source, SUNDAY), [])) == []
