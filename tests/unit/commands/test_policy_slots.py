"""Commands about a policy's slot, which no model specification describes."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import cli
from mlops_assets.commands.models import choose_slots
from mlops_assets.commands.replay import DayResult
from mlops_assets.commands.reproduce import refuse_policy
from mlops_assets.commands.summary import collect_summary
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import LearningError, RegistryError
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger

SLOT = ModelSlot("personalized_offer", "offer_agent", "cl")


def entry(outcome: str = "promoted", **changes: Any) -> LedgerEntry:
    fields: dict[str, Any] = {
        "decision_id": f"{outcome}-1", "slot": SLOT, "outcome": outcome, "version": "1", "bundle_sha256": "a" * 64,
        "previous_version": None, "decided_by": "gate", "as_of_day": dt.date(2026, 9, 13),
        "decided_at_utc": dt.datetime(2026, 10, 1, tzinfo=dt.UTC), "evidence_sha256": "e" * 64,
        "reasons": ("agent: 8.4 USD a customer",),
        "evidence": {
            "algorithm": "agent", "checks": [],
            "figures": {"metric": "value_usd", "challenger": {"metric": 8.4, "kind": "agent"}, "baseline": None},
        },
    }  # fmt: skip
    return LedgerEntry(**fields | changes)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    return open_workspace()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_history_tells_decisions_about_a_policy(workspace: Workspace) -> None:
    before = run("history", SLOT.use_case, SLOT.model, "--segment", "pe")
    assert before.output == "personalized_offer.offer_agent.pe: nothing has been decided yet\n"
    workspace.platform.ledger.record(entry())
    (told,) = json.loads(run("history", SLOT.use_case, SLOT.model, "--segment", "cl", "--json").output)
    assert (told["metric"], told["value"], told["outcome"]) == ("value_usd", 8.4, "promoted")


def test_summary_shows_policies_beside_models(workspace: Workspace) -> None:
    workspace.platform.ledger.record(entry())
    summary = collect_summary(workspace, [DayResult(dt.date(2026, 9, 13), "built")], 1.0, None)
    lines = {(line.model, line.segment): line for line in summary.champions}
    assert lines["offer_agent", "cl"].metric == "value_usd"
    assert lines["offer_agent", "cl"].value == 8.4
    assert lines["offer_agent", "cl"].algorithm == "agent"
    assert lines["offer_agent", "pe"].note == "not enough history yet"
    assert lines["churn_risk", "cl"].metric == "roc_auc"


def test_summary_shows_a_champion_whose_entry_has_no_figure(workspace: Workspace) -> None:
    figures = {"metric": "value_usd", "challenger": None, "baseline": None}
    workspace.platform.ledger.record(entry(evidence={"algorithm": "agent", "checks": [], "figures": figures}))
    summary = collect_summary(workspace, [DayResult(dt.date(2026, 9, 13), "built")], 1.0, None)
    (line,) = [line for line in summary.champions if (line.model, line.segment) == ("offer_agent", "cl")]
    assert (line.version, line.value) == ("1", None)


@dataclass
class Desk:
    """A workspace with registry and ledger in memory."""

    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    ledger: FakePromotionLedger = field(default_factory=FakePromotionLedger)

    def __post_init__(self) -> None:
        """Load the project's configuration."""
        self.config = load_project()
        self.platform = SimpleNamespace(registry=self.registry, ledger=self.ledger)

    def as_workspace(self) -> Workspace:
        return cast("Workspace", self)


def test_slots_of_policies_are_found_by_name() -> None:
    desk = Desk().as_workspace()
    assert choose_slots(desk, SLOT.use_case, SLOT.model, "cl") == [SLOT]
    assert [slot.segment for slot in choose_slots(desk, SLOT.use_case, SLOT.model, None)] == ["cl", "pe"]


def test_a_policy_is_not_reproduced_and_its_stamps_are_told(tmp_path: Path) -> None:
    desk = Desk()
    (tmp_path / "policy.json").write_text("{}")
    with desk.registry.run(SLOT.use_case, "policy", {}) as run_:
        run_.folder(tmp_path, "bundle")
    tags = {"git_commit": "f" * 40, "input_champions": "churn/churn_risk 2"}
    desk.registry.register(SLOT.registered_name, run_.run_id, "bundle", "a" * 64, tags)
    with pytest.raises(LearningError, match="a policy is not trained again") as refused:
        refuse_policy(desk.as_workspace(), SLOT, "1")
    assert "git_commit ffffffffffffffff" in str(refused.value)
    assert "churn/churn_risk" in str(refused.value)
    with pytest.raises(RegistryError):
        refuse_policy(desk.as_workspace(), SLOT, "7")
    refuse_policy(desk.as_workspace(), ModelSlot("churn", "churn_risk", "cl"), "1")
