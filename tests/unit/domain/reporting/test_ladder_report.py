"""The report on a policy's decision as page, Markdown and mail."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from mlops_assets.domain.reporting.ladder_report import LadderReport
from mlops_assets.domain.reporting.ladder_report_page import (
    describe_log,
    describe_week,
    make_ladder_message,
    render_ladder_html,
    render_ladder_markdown,
)
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_cards import make_card

HOSTILE = '<script>alert("x")</script>'


def make_report(outcome: str = "promoted", **changes: Any) -> LadderReport:
    decision = make_card().decision.model_copy(update={"outcome": outcome, "champion_since_utc": None})
    fields: dict[str, Any] = {
        "use_case": "personalized_offer", "agent": "offer_agent", "segment": "cl", "reason": "no policy yet",
        "data_day": dt.date(2026, 10, 4), "decision": decision.model_dump(), "version": "4", "kind": "agent",
        "choice": "agent: proven better than every simpler policy", "champion_version": "3",
        "champion_kind": "incremental_margin", "value_usd": 8.4, "gain_usd": 0.1, "gain_low_usd": 0.05,
        "gain_high_usd": 0.15, "judged_people": 4000, "horizon_weeks": 104,
        "rungs": (
            {"kind": "no_offer", "value_usd": 7.9, "gain_usd": 0.0, "gain_low_usd": 0.0, "gain_high_usd": 0.0,
             "contacts_per_week": 0.0},
            {"kind": "acceptance_margin", "refusal": "0.9 contacts a week, the log has at most 0.3"},
            {"kind": "agent", "is_chosen": True, "value_usd": 8.4, "gain_usd": 0.5, "gain_low_usd": 0.4,
             "gain_high_usd": 0.6, "contacts_per_week": 0.21, "acceptance": 0.0731},
        ),
        "worlds": (
            {"simulator": "judging", "name": "acceptance", "predicted": 0.052, "observed": 0.05,
             "allowed_error": 0.008, "holds": True},
            {"simulator": "training", "name": "churn", "predicted": 0.09, "observed": 0.05,
             "allowed_error": 0.008, "holds": False},
        ),
        "log": {"first_day": dt.date(2026, 8, 9), "last_day": dt.date(2026, 10, 4), "weeks": 8,
                "person_weeks": 160_000, "contacts": 9_000, "left_out": ("week after 2026-08-02: no usage",)},
        "off_policy": {"baseline": "the champion", "is_own_log": True, "rows": 20_000, "effective_rows": 2400.4,
                       "gain_usd": 0.02, "gain_low_usd": -0.005, "gain_high_usd": 0.045},
        "week": {"first_day": dt.date(2026, 9, 28), "last_day": dt.date(2026, 10, 4), "days": 6,
                 "plans": ({"plan_code": "data_m", "proposed": 900, "sent": 830, "accepted": 61,
                            "expected_accepted": 58.2, "margin_usd": 120.0, "expected_margin_usd": 116.5},),
                 "verdict": "as expected"},
        "inputs": {"churn/churn_risk": "2"},
    }  # fmt: skip
    return LadderReport.model_validate(fields | changes)


def words(page: str) -> str:
    return re.sub(r"[ \n]+", " ", " ".join(check_page(page).text))


def test_the_page_holds_ladder_worlds_log_and_week() -> None:
    text = words(render_ladder_html(make_report()))
    for expected in (
        "Promoted: the challenger is the champion now", "version 4, agent", "version 3, incremental margin",
        "+0.1000", "paired interval 0.0500 to 0.1500", "0.4000 to 0.6000", "✔ chosen",
        "✖ refused: 0.9 contacts a week, the log has at most 0.3", "✖ fails",
        "Learned from 160,000 person-weeks of 8 weeks (2026-08-09 to 2026-10-04) with 9,000 contacts.",
        "Left out: week after 2026-08-02: no usage.", "gain +0.0200 USD a decision over the champion",
        "Offers of 2026-09-28 to 2026-10-04 (6 reconciled days): 830 sent, 61 accepted, 58.20 expected. as expected.",
        "churn/churn_risk: version 2", "proven better than every simpler policy", "7.31\N{NO-BREAK SPACE}%",
    ):  # fmt: skip
        assert expected in text, expected


def test_chart_shows_gains_of_judged_policies_only() -> None:
    page = render_ladder_html(make_report())
    assert "<svg" in page
    refused = tuple(
        {"kind": kind, "refusal": "outside the support"} for kind in ("agent", "acceptance_margin")
    )
    assert "<svg" not in render_ladder_html(make_report(rungs=refused))


def test_refused_evidence_is_said_in_words() -> None:
    note = {
        "baseline": "the campaigns that were logged", "is_own_log": False, "rows": 300, "effective_rows": 12.0,
        "refusals": ("the 300 logged rows count as only 12",),
    }  # fmt: skip
    sentence = describe_log(make_report(off_policy=note))[-1]
    assert sentence == (
        "Logged decisions (the operator's campaigns) are no evidence: the 300 logged rows count as only 12."
    )


def test_without_offers_before_the_report_says_so() -> None:
    report = make_report(week=None, champion_version=None, champion_kind=None, off_policy=None, log=None)
    assert describe_week(report) == "No offers of the week before are reconciled."
    text = words(render_ladder_html(report))
    assert "none before" in text
    assert "over making no offers" in text


def test_markdown_tells_the_same() -> None:
    text = render_ladder_markdown(make_report())
    assert text.startswith("# Policy of personalized\\_offer offer\\_agent, cl: version 4 (agent) promoted\n")
    assert "| data\\_m | 900 | 830 | 61 | 58.20 | 120.0 | 116.5 |" in text
    assert "Agent | 8.40 | +0.5000 | 0.4000 to 0.6000" in text


@pytest.mark.parametrize(
    ("outcome", "command"),
    [("promoted", "mlops rollback personalized_offer"), ("pending", "mlops approvals approve")],
)
def test_one_decision_is_one_mail_with_what_may_be_done(outcome: str, command: str) -> None:
    report = make_report(outcome)
    first, again = (make_ladder_message(report, ["a@b.example"]) for _ in range(2))
    assert first == again
    assert command in first.html
    assert command in first.text
    assert first.report == "ladder/personalized_offer/offer_agent"
    other = report.model_copy(
        update={"decision": report.decision.model_copy(update={"decision_id": "another decision"})}
    )
    assert make_ladder_message(other, ["a@b.example"]).partition != first.partition


def test_hostile_text_stays_text() -> None:
    rungs = ({"kind": "agent", "refusal": HOSTILE},)
    page = render_ladder_html(make_report(reason=HOSTILE, choice=HOSTILE, rungs=rungs))
    check_page(page)
    assert HOSTILE not in page
