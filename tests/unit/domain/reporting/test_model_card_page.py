"""The model card as HTML and Markdown."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from markdown_it import MarkdownIt
from pydantic import ValidationError

from mlops_assets.domain.reporting.model_card import FeatureNote, ModelCard
from mlops_assets.domain.reporting.model_card_page import (
    make_key_figures,
    make_verdict,
    render_model_card_html,
    render_model_card_markdown,
)
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_cards import make_card

HOSTILE = '<script>alert("x")</script> | `a` [b](javascript:c)'


def reject(card: ModelCard) -> ModelCard:
    changes = {"outcome": "rejected", "champion_since_utc": None}
    return card.model_copy(update={"decision": card.decision.model_copy(update=changes)})


def test_the_page_is_self_contained_and_complete() -> None:
    card = make_card()
    outline = check_page(render_model_card_html(card))
    text = re.sub(r"[ \n]+", " ", " ".join(outline.text))
    for expected in (
        "Champion since 2024-03-04 06:12 UTC",
        "0.8124",
        "0.7961 to 0.8278",
        "+0.0117",
        "USD per 1,000 subscribers",
        "3.26\N{NO-BREAK SPACE}%",
        "as-of day minus activation day",
        card.stamps.corpus_sha256,
        "with uncommitted changes",
        "Promoted by gate at 2024-03-04 06:12 UTC, compared with version 3.",
        *card.limits,
        *card.decision.reasons,
    ):
        assert expected in text
    assert 'content="2024-02-26"' in render_model_card_html(card)


def test_the_same_card_gives_the_same_bytes() -> None:
    assert render_model_card_html(make_card()) == render_model_card_html(make_card())
    assert render_model_card_markdown(make_card()) == render_model_card_markdown(make_card())


def test_markdown_tells_the_same() -> None:
    text = render_model_card_markdown(make_card())
    assert text.startswith("# Model card: churn / churn\\_risk / cl, version 4\n")
    assert "**✔ Champion since 2024-03-04 06:12 UTC**" in text
    assert "| Floor | ✔ passed | 0.8124 | at least 0.65 |" in text
    assert "| `days_to_expiry` | 26.20\N{NO-BREAK SPACE}% | days |" in text
    assert "expected retained margin" in text.lower()
    assert "\n\n\n" not in text


def test_nothing_hostile_gets_through() -> None:
    card = make_card(
        description=HOSTILE,
        limits=[HOSTILE],
        features=[FeatureNote(name=HOSTILE, importance=1.0, unit=HOSTILE, formula=HOSTILE)],
    )
    check_page(render_model_card_html(card))
    shown = MarkdownIt().enable("table").render(render_model_card_markdown(card))
    assert "<table>" in shown
    assert "<script" not in shown
    assert "<a " not in shown


def test_a_rejected_version_is_not_called_champion() -> None:
    card = reject(make_card())
    page = render_model_card_html(card)
    assert str(make_verdict(card)) == "✖ Rejected, not in use"
    assert "Champion since" not in page
    assert "Rejected by gate" in page


def test_a_replaced_champion_says_so() -> None:
    card = make_card()
    former = card.decision.model_copy(update={"champion_since_utc": None})
    assert str(make_verdict(card.model_copy(update={"decision": former}))) == "○ Promoted, replaced since"


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("pending", "○ Passed the gate, waits for approval"),
        ("expired", "✖ Not approved in time, not in use"),
        ("rolled_back", "○ Champion again for a time, replaced since"),
    ],
)
def test_every_outcome_of_the_ledger_has_its_words(outcome: str, verdict: str) -> None:
    card = make_card()
    changes = {"outcome": outcome, "champion_since_utc": None}
    card = card.model_copy(update={"decision": card.decision.model_copy(update=changes)})
    assert str(make_verdict(card)) == verdict
    for page in (render_model_card_html(card), render_model_card_markdown(card)):
        assert f"{outcome.replace('_', ' ')} by gate".lower() in page.lower()
        assert "rolled_back" not in page


def test_a_first_champion_without_business_calibration_or_segments() -> None:
    card = make_card(business=None, calibration=None, segments=())
    metric = card.main_metric.model_copy(update={"champion_value": None, "low": None, "high": None})
    card = card.model_copy(update={"metrics": (metric,)})
    page = render_model_card_html(card)
    check_page(page)
    figures = {label: figure for label, figure, _ in make_key_figures(card)}
    assert figures["Against the champion before"] == "first champion"
    for absent in ("What it is worth", "For whom", "reliability-title"):
        assert absent not in page
    assert "## What it looks at" in render_model_card_markdown(card)


def test_a_failed_check_is_said_in_words() -> None:
    card = make_card()
    failed = card.decision.checks[1].model_copy(update={"has_passed": False})
    decision = card.decision.model_copy(update={"checks": (failed,)})
    page = render_model_card_html(card.model_copy(update={"decision": decision}))
    assert "✖ failed" in page
    assert "0 of 1" in page


def test_a_snapshot_use_case_has_no_days() -> None:
    corpus = make_card().corpus.model_copy(update={"as_of_days": ()})
    card = make_card().model_copy(update={"corpus": corpus})
    assert card.data_day is None
    check_page(render_model_card_html(card))


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "pr_auc"},
        {"task": "guessing"},
        {"features": [{"name": "x", "importance": 1.2, "unit": "", "formula": ""}]},
        {"metrics": [{"name": "roc_auc", "value": float("nan"), "is_higher_better": True}]},
        {"surprise": 1},
    ],
)
def test_inconsistent_cards_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_card(**changes)


def test_a_decision_time_needs_a_zone() -> None:
    decision = make_card().decision.model_dump()
    with pytest.raises(ValidationError):
        make_card(decision={**decision, "decided_at_utc": dt.datetime(2024, 3, 4)})  # noqa: DTZ001
