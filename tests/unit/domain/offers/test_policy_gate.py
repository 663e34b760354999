"""Which evidence makes a policy the champion, and what refuses it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from mlops_assets.domain.learning.gate import hash_figures
from mlops_assets.domain.offers.offers_spec import PolicyGateSpec
from mlops_assets.domain.offers.policy_gate import (
    OffPolicyFigures,
    PolicyEvidence,
    PolicyFigures,
    decide_policy,
)

GATE = PolicyGateSpec()
CAMPAIGNS = OffPolicyFigures(
    is_own_log=False, baseline="the campaigns that were logged", rows=20_000, customers=4_000,
    positives=900, effective_rows=2_400.0, gain=0.02, gain_low=-0.01, gain_high=0.05,
)  # fmt: skip
OWN = replace(CAMPAIGNS, is_own_log=True, baseline="the champion", gain_low=-0.005)
FIRST = PolicyEvidence(
    challenger_sha256="a" * 64,
    champion_sha256=None,
    simulator_sha256="b" * 64,
    judged_people=4_000,
    horizon_weeks=104,
    holdout_first_day="2026-09-07",
    holdout_last_day="2026-09-13",
    challenger=PolicyFigures("agent", 8.4, 0.2),
    baseline=PolicyFigures("no_offer", 7.9, 0.0),
    gain=0.5,
    gain_low=0.4,
    gain_high=0.6,
    no_offer_gain=0.5,
    no_offer_gain_low=0.4,
    simulator_failures=(),
    off_policy=CAMPAIGNS,
)
LATER = replace(
    FIRST, champion_sha256="c" * 64, baseline=PolicyFigures("incremental_margin", 8.3, 0.2), off_policy=OWN
)


def outcome(evidence: PolicyEvidence, **changes: Any) -> str:
    return decide_policy(replace(evidence, **changes), GATE).outcome


def failed(evidence: PolicyEvidence, **changes: Any) -> list[str]:
    checks = decide_policy(replace(evidence, **changes), GATE).checks
    return [check.name for check in checks if not check.is_passed]


@pytest.mark.parametrize("evidence", [FIRST, LATER])
def test_complete_and_good_evidence_promotes_and_says_on_what(evidence: PolicyEvidence) -> None:
    decision = decide_policy(evidence, GATE)
    assert decision.outcome == "promoted", decision.reasons
    assert "8.4 USD a customer over 104 weeks" in decision.reasons[0]
    assert "2400 effective rows of 20000" in decision.reasons[1]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"problems": ("MemoryError: no",)}, "judged"),
        ({"simulator_failures": ("acceptance 0.02, observed 0.05",)}, "simulator_holds"),
        ({"simulator_failures": None}, "simulator_holds"),
        ({"support_refusals": ("contacts 0.9 a week, the log has at most 0.3",)}, "support"),
        ({"judged_people": 199}, "judged_people"),
        ({"challenger": None}, "value"),
        ({"challenger": PolicyFigures("agent", math.nan)}, "value"),
        ({"challenger": PolicyFigures("agent", math.inf)}, "value"),
        ({"gain_low": 0.0}, "gain_lower_bound"),
        ({"gain_low": None}, "gain_lower_bound"),
        ({"gain_low": math.nan}, "gain_lower_bound"),
        ({"off_policy": None}, "off_policy"),
    ],
)
@pytest.mark.parametrize("evidence", [FIRST, LATER])
def test_whatever_is_bad_or_missing_refuses(
    evidence: PolicyEvidence, changes: dict[str, Any], check: str
) -> None:
    assert failed(evidence, **changes) == [check]
    assert outcome(evidence, **changes) == "rejected"


def test_a_gain_below_the_asked_one_is_not_enough() -> None:
    assert decide_policy(FIRST, PolicyGateSpec(min_gain_usd=0.4)).outcome == "rejected"
    assert decide_policy(FIRST, PolicyGateSpec(min_gain_usd=0.39)).outcome == "promoted"


def test_a_better_champion_that_loses_against_no_offers_is_refused() -> None:
    assert failed(LATER, no_offer_gain_low=-0.01) == ["no_worse_than_no_offers"]
    assert failed(LATER, no_offer_gain_low=None) == ["no_worse_than_no_offers"]


def test_making_no_offers_may_replace_a_harmful_champion() -> None:
    figures = {"challenger": PolicyFigures("no_offer", 7.9, 0.0), "no_offer_gain": 0.0}
    assert outcome(LATER, **figures, no_offer_gain_low=0.0) == "promoted"
    assert failed(FIRST, **figures, gain=0.0, gain_low=0.0) == ["gain_lower_bound"], "it is done already"


def test_the_campaigns_log_can_only_veto() -> None:
    assert (
        outcome(FIRST, off_policy=replace(CAMPAIGNS, gain=-0.5, gain_low=-1.0, gain_high=0.0)) == "promoted"
    )
    vetoed = decide_policy(
        replace(FIRST, off_policy=replace(CAMPAIGNS, gain=-0.03, gain_low=-0.05, gain_high=-0.01)), GATE
    )
    assert vetoed.outcome == "rejected"
    assert (
        "upper bound of the gain a logged decision over the campaigns that were logged" in vetoed.reasons[0]
    )
    assert failed(FIRST, off_policy=replace(CAMPAIGNS, gain_high=None)) == ["off_policy_veto"]
    assert failed(FIRST, off_policy=replace(CAMPAIGNS, gain_high=math.nan)) == ["off_policy_veto"]


def test_a_campaign_log_that_is_too_thin_says_so_and_does_not_veto() -> None:
    thin = replace(CAMPAIGNS, gain=None, gain_low=None, gain_high=None, refusals=("40 effective rows",))
    decision = decide_policy(replace(FIRST, off_policy=thin), GATE)
    assert decision.outcome == "promoted"
    (veto,) = (check for check in decision.checks if check.name == "off_policy_veto")
    assert "cannot speak" in veto.detail
    assert "40 effective rows" in veto.detail
    assert "no estimate (40 effective rows)" in decision.reasons[1]


def test_our_own_log_has_to_speak() -> None:
    thin = replace(OWN, refusals=("the 300 logged rows count as only 12",))
    decision = decide_policy(replace(LATER, off_policy=thin), GATE)
    assert decision.reasons == ("the 300 logged rows count as only 12",)
    assert failed(LATER, off_policy=replace(OWN, gain_low=-0.011)) == ["off_policy_gain"]
    assert failed(LATER, off_policy=replace(OWN, gain_low=None)) == ["off_policy_gain"]
    assert outcome(LATER, off_policy=replace(OWN, gain_low=-0.01)) == "promoted"


def test_evidence_has_the_form_and_identity_of_any_decisions() -> None:
    evidence = replace(LATER, gain_high=math.inf)
    figures = evidence.to_dict()
    assert figures["metric"] == "value_usd"
    assert figures["challenger"]["metric"] == 8.4
    assert figures["gain_high"] is None
    stored = json.loads(json.dumps(figures, allow_nan=False))
    assert hash_figures(stored) == evidence.evidence_sha256
    assert replace(evidence, gain_low=0.41).evidence_sha256 != evidence.evidence_sha256
    assert replace(evidence, off_policy=CAMPAIGNS).evidence_sha256 != evidence.evidence_sha256
