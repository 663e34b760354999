"""The weekly offer performance report: the operator's published sample, missing days, realised against expected."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.offers.reconciliation_day import PlanFigures, ReconciledDay, UnexplainedRows
from mlops_assets.domain.reporting.mail import render_mail
from mlops_assets.domain.reporting.offer_report import (
    OfferCounts,
    OfferReport,
    PlanResult,
    build_offer_report,
)
from mlops_assets.domain.reporting.offer_report_page import (
    judge_acceptance,
    make_offer_message,
    make_offer_tables,
    make_sentences,
    make_verdict,
    render_offer_csv,
    render_offer_html,
    render_offer_markdown,
)
from tests.unit.domain.reporting.page_checks import check_page

LAST_DAY = dt.date(2026, 9, 6)
# Published are the first day and, of the seven days, 600268 offers and 89.3 % sent. The other six days are made up so
# that these totals hold.
PUBLISHED_FIRST = (116715, 108681, 8034, 0)
MADE_UP = [
    (98204, 86010, 12194, 0),
    (95317, 84112, 11000, 205),
    (84550, 74690, 9860, 0),
    (79026, 69405, 9588, 33),
    (66318, 59871, 6447, 0),
    (60138, 53270, 6868, 0),
]
SPACE = "\N{NO-BREAK SPACE}"


def make_day(
    number: int, counts: tuple[int, int, int, int], geography: str = "cl", **changes: Any
) -> ReconciledDay:
    offers, sent, none, different = counts
    figures = {"accepted": 0, "with_expectation": 0, **changes}
    plan = PlanFigures(
        plan_code=figures.pop("plan_code", "data_m"),
        rl_offers=offers,
        sent_offers=sent,
        no_offer=none,
        different_offer=different,
        **figures,
    )
    rows = UnexplainedRows(kind="different_offer", proposed_plan="data_m", sent_plan="data_s", rows=different)
    return ReconciledDay(
        geography=geography,
        day=LAST_DAY - dt.timedelta(days=6 - number),
        plans=(plan,),
        contacts=sent + different,
        unexplained=(rows,) if different else (),
        model_versions=("7",),
    )


def make_week(**changes: Any) -> OfferReport:
    days = [make_day(number, counts) for number, counts in enumerate([PUBLISHED_FIRST, *MADE_UP])]
    return build_offer_report(days, **{"last_day": LAST_DAY, "geographies": ["cl"], **changes})


def test_the_published_sample() -> None:
    report = make_week()
    first = report.counts_of(report.first_day)
    assert first is not None
    assert round(100 * (first.mismatch or 0), 2) == 6.88
    assert report.total.rl_offers == 600268
    assert round(100 * (report.total.sent_share or 0), 1) == 89.3
    form = make_offer_tables(report)["form"]
    assert [column.title for column in form.columns] == [
        "Date", "RL offers", "Sent offers", "No offer", "Different offer", "Mismatch ratio %",
    ]  # fmt: skip
    assert form.rows[0] == ("2026-08-31", "116,715", "108,681", "8,034", "0", f"6.88{SPACE}%")
    assert form.rows[-1][:2] == ("Total", "600,268")
    sentence = make_sentences(report)[0]
    assert "600,268 offers" in sentence
    assert f"({100 * 536039 / 600268:.2f}{SPACE}%) were sent as proposed" in sentence


def test_versions_are_named_in_their_order() -> None:
    days = [
        make_day(number, PUBLISHED_FIRST).model_copy(update={"model_versions": (version,)})
        for number, version in enumerate(["9", "10", "11"])
    ]
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl"])
    assert report.model_versions == ("9", "10", "11")


def test_the_csv_is_the_operators_form() -> None:
    lines = render_offer_csv(make_week()).splitlines()
    assert lines[0] == "Date,RL offers,Sent offers,No offer,Different offer,Mismatch ratio %"
    assert lines[1] == "2026-08-31,116715,108681,8034,0,6.88"
    assert lines[8] == "Total,600268,536039,63991,238,10.70"
    assert lines[9] == "Share sent %,,89.30,,,"
    assert len(lines) == 10


def test_a_day_that_is_missing_is_not_zero() -> None:
    days = [make_day(number, (10, 10, 0, 0)) for number in range(6)]
    reasons = {("cl", LAST_DAY): "the campaign log was not delivered"}
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl"], reasons=reasons)
    assert report.counts_of(LAST_DAY) is None
    assert make_offer_tables(report)["form"].rows[6][1:] == ("\N{EN DASH}",) * 5
    assert render_offer_csv(report).splitlines()[7] == "2026-09-06,,,,,"
    assert make_verdict(report).tone == "neutral"
    assert "1 day of a geography not reconciled" in str(make_verdict(report))
    assert "the campaign log was not delivered" in render_offer_markdown(report)
    assert "cl 2026-09-06" in make_sentences(report)[1]


def test_a_day_without_one_geography_says_so() -> None:
    days = [make_day(6, (10, 9, 1, 0)), *(make_day(n, (5, 5, 0, 0), "pe") for n in range(6))]
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl", "pe"])
    form = make_offer_tables(report)["form"]
    assert form.rows[6][:2] == ("2026-09-06 (without pe)", "10")
    by_place = make_offer_tables(report)["geographies"].rows
    assert [row[:3] for row in by_place] == [("cl", "10", "9"), ("pe", "30", "30")]


def test_nothing_reconciled_is_neither_good_nor_bad() -> None:
    report = build_offer_report([], last_day=LAST_DAY, geographies=["cl"])
    assert str(make_verdict(report)) == "○ Not reconciled: no offer could be compared"
    check_page(render_offer_html(report))
    assert render_offer_csv(report).splitlines()[-2:] == ["Total,0,0,0,0,", "Share sent %,,,,,"]


def test_days_of_other_weeks_and_places_do_not_count() -> None:
    days = [make_day(-1, (10, 10, 0, 0)), make_day(0, (10, 10, 0, 0), "xx"), make_day(1, (4, 4, 0, 0))]
    assert build_offer_report(days, last_day=LAST_DAY, geographies=["cl"]).total.rl_offers == 4


def test_realised_stands_beside_expected() -> None:
    sums = {
        "accepted": 60,
        "margin_usd_cents": 12_000,
        "expected_accepted": 100.0,
        "expected_margin_usd_cents": 20_000.0,
    }
    days = [make_day(number, (1000, 1000, 0, 0), with_expectation=1000, **sums) for number in (0, 1)]
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl"])
    (plan,) = report.plans
    assert (plan.accepted, plan.margin_usd, plan.expected_margin_usd) == (120, 240.0, 400.0)
    assert plan.margin_difference_usd == -160.0
    assert judge_acceptance(plan).text == "below expectation"
    tables = make_offer_tables(report)
    assert tables["margins"].rows == (("cl", "data_m", "240.0", "400.0", "\N{MINUS SIGN}160.0"),)
    assert tables["plans"].rows[0][5] == f"6.00{SPACE}% (5.04 to 7.13)"
    assert (
        f"6.00{SPACE}% of 2,000 offers sent were accepted, 10.00{SPACE}% were expected"
        in make_sentences(report)[2]
    )


def test_a_part_is_not_compared_with_the_whole() -> None:
    days = [make_day(0, (10, 10, 0, 0), with_expectation=9, expected_accepted=3.0)]
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl"])
    assert report.plans[0].expected_acceptance is None
    assert judge_acceptance(report.plans[0]).text == "not known"
    assert "cannot be compared" in make_sentences(report)[2]


@pytest.mark.parametrize(
    ("expected", "words"), [(5.0, "above expectation"), (10.0, "as expected"), (20.0, "below expectation")]
)
def test_an_expectation_outside_the_interval_is_marked(expected: float, words: str) -> None:
    plan = PlanResult(
        geography="cl",
        plan_code="data_m",
        sent_offers=100,
        accepted=10,
        margin_usd=1.0,
        expected_accepted=expected,
    )
    low, high = plan.acceptance_interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)  # Wilson's interval of 10 in 100
    assert judge_acceptance(plan).text == words


def test_the_page_is_sound_and_escapes() -> None:
    days = [make_day(0, (10, 6, 2, 2), plan_code="<b>plan</b>")]
    report = build_offer_report(days, last_day=LAST_DAY, geographies=["cl"])
    page = render_offer_html(report)
    outline = check_page(page)
    assert "<b>plan" not in page
    assert "another plan was sent" in " ".join(outline.text)
    assert "Mismatch ratio by day" in page
    assert page == render_offer_html(report)


def test_the_mail_carries_the_form() -> None:
    message = make_offer_message(make_week(), ["campaigns@example.org"])
    assert message.subject == "Offer performance: 2026-08-31 to 2026-09-06"
    (key,) = message.mail_keys()
    written = dt.datetime(2026, 9, 7, 6, tzinfo=dt.UTC)
    assert b"offer_performance.csv" in render_mail(
        message, key, sender="mlops@example.org", written_at_utc=written
    )
    attached = message.attachments[0].content.decode("utf-8-sig")
    assert attached == render_offer_csv(make_week())
    assert "600,268" in message.html
    assert "600,268" in message.text


@given(st.tuples(*[st.integers(0, 10**6)] * 3))
def test_sums_close_and_ratios_add_to_one(parts: tuple[int, int, int]) -> None:
    sent, none, different = parts
    counts = OfferCounts(rl_offers=sum(parts), sent_offers=sent, no_offer=none, different_offer=different)
    if counts.rl_offers:
        assert (counts.mismatch or 0) + (counts.sent_share or 0) == pytest.approx(1.0)
    with pytest.raises(ValidationError, match="are not"):
        OfferCounts(rl_offers=sum(parts) + 1, sent_offers=sent, no_offer=none, different_offer=different)
