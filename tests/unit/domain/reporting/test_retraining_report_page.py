"""The retraining report as page, Markdown and mail."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from mlops_assets.domain.reporting.retraining_report import RetrainingReport
from mlops_assets.domain.reporting.retraining_report_page import (
    describe_features,
    make_retraining_message,
    make_verdict,
    render_retraining_html,
    render_retraining_markdown,
)
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_cards import make_card

HOSTILE = '<script>alert("x")</script>'


def make_report(outcome: str = "promoted", **changes: Any) -> RetrainingReport:
    decision = make_card().decision.model_copy(update={"outcome": outcome, "champion_since_utc": None})
    fields: dict[str, Any] = {
        "use_case": "churn", "model": "churn_risk", "segment": "pe",
        "reason": "behaviour shift since 2026-09-14, recognised on 2026-09-16 by plan_usage (attempt 2 of 4)",
        "data_day": dt.date(2026, 9, 28), "decision": decision.model_dump(), "version": "4",
        "algorithm": "catboost", "champion_version": "3", "champion_algorithm": "random_forest",
        "metric": "roc_auc",
        "metrics": (
            {"name": "roc_auc", "is_higher_better": True, "challenger": {"value": 0.81, "low": 0.79, "high": 0.83},
             "champion": {"value": 0.78, "low": 0.76, "high": 0.80}},
            {"name": "log_loss", "unit": "nats", "is_higher_better": False, "challenger": {"value": 0.12},
             "champion": {"value": 0.13}},
        ),
        "gain": 0.03, "gain_low": 0.01, "gain_high": 0.05, "business_name": "expected_retained_margin",
        "business_unit": "USD per 1,000 entities", "business": 320.0, "champion_business": 300.0,
        "holdout_rows": 9000, "holdout_first_day": dt.date(2026, 9, 21), "holdout_last_day": dt.date(2026, 9, 21),
        "features": (
            {"name": "data_local_mb", "meaning": "volume of 30 days", "before": 0.01, "after": 0.4,
             "is_important_after": True},
            {"name": "tenure_days", "before": 0.5, "after": 0.02, "is_important_before": True},
        ),
        "moved": ({"table": "feeds/usage", "feature": "data_mb", "days": 9, "distance": 0.31, "threshold": 0.08},),
        "shift": {"monitor": "plan_usage", "detected_day": dt.date(2026, 9, 16),
                  "reasons": ("5 of 8 series outside",)},
    }  # fmt: skip
    return RetrainingReport.model_validate(fields | changes)


def test_the_page_holds_both_models_the_features_and_the_moved_data() -> None:
    outline = check_page(render_retraining_html(make_report()))
    text = re.sub(r"[ \n]+", " ", " ".join(outline.text))
    for expected in (
        "Promoted: the challenger is the champion now", "0.7600 to 0.8000", "0.7900 to 0.8300", "+0.0300",
        "New features due to drift: data_local_mb (1.00\N{NO-BREAK SPACE}% before, 40.00\N{NO-BREAK SPACE}% now).",
        "Features no longer important: tenure_days", "no longer important", "5 of 8 series outside",
        "recognised on 2026-09-16 by plan_usage (attempt 2 of 4).", "0.3100", "320.0", "version 3, random_forest",
    ):  # fmt: skip
        assert expected in text, expected
    assert 'content="2026-09-28"' in render_retraining_html(make_report())


def test_markdown_tells_the_same() -> None:
    text = render_retraining_markdown(make_report())
    assert text.startswith("# Retraining of churn churn\\_risk, pe: version 4 promoted\n")
    assert "Features no longer important: tenure\\_days" in text
    assert "| feeds/usage | data\\_mb | 9 | 0.3100 | 0.0800 |" in text


def test_one_decision_is_one_mail() -> None:
    report = make_report()
    first, again = (make_retraining_message(report, ["a@b.example"]) for _ in range(2))
    assert first == again
    assert first.subject == "Retraining of churn churn_risk, pe: version 4 promoted"
    assert "mlops rollback churn churn_risk --segment pe" in first.html
    assert "mlops rollback churn churn_risk --segment pe" in first.text
    other = report.model_copy(
        update={"decision": report.decision.model_copy(update={"decision_id": "another decision"})}
    )
    assert make_retraining_message(other, ["a@b.example"]).partition != first.partition


@pytest.mark.parametrize(
    ("outcome", "words"), [("rejected", "the champion stays"), ("promoted", "is the champion now")]
)
def test_the_outcome_is_said_in_words(outcome: str, words: str) -> None:
    assert words in str(make_verdict(make_report(outcome)))


def test_without_a_champion_nothing_is_called_new() -> None:
    report = make_report(champion_version=None, champion_algorithm=None, moved=(), shift=None)
    assert describe_features(report) == []
    page = render_retraining_html(report)
    check_page(page)
    assert "none before" in page
    assert "No watched feature moved" in page


def test_hostile_text_stays_text() -> None:
    page = render_retraining_html(make_report(reason=HOSTILE))
    check_page(page)
    assert HOSTILE not in page
