"""Proposed at the end of a day, delivered, sent by the campaign on the next one, reconciled with its log."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from mlops_assets.domain.offers.offer_choices import list_choices
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.policies import build_constant_policy
from mlops_assets.domain.offers.policy_bundle import save_policy
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.offers.reconciliation_day import ReconciledDay, read_day
from mlops_assets.domain.offers.state_scores import OfferSetting
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from mlops_assets.sandbox.parameters import CampaignParameters
from mlops_assets.sandbox.simulation import advance
from tests.integration.small_operator import copy_configs, day_number, deliver

pytestmark = pytest.mark.slow  # six days of two geographies

USE_CASE = "small_offer"
CAMPAIGN = CampaignParameters()
SETTINGS: dict[str, Any] = {
    "name": USE_CASE,
    "description": "Offers of a small operator.",
    "owner": "team:customer-value",
    "corpus": {
        "table": "etl/subscriber_features",
        "entity_key": "subscriber_id",
        "filter_equals": {"status": "active"},
        "min_history_days": 14,
        "split": {"kind": "time"},
    },
    "models": {
        "buys": {
            "task": "binary",
            "label": {"kind": "event", "table": "feeds/plan_purchases", "horizon_days": 7},
            "metric": "roc_auc",
            "algorithms": {"dummy": {}},
            "features": ["tenure_days"],
            "gate": {"floor": 0.5},
        }
    },
    "offers": {
        "catalogue": {
            "plans": [{"plan_code": "data_m", "discounts": [0, 0.1]}, {"plan_code": "booster_1gb"}],
            "budget": {"contacts_per_day": 600},
        },
        "state": {"features": ["balance_main_acc"]},
        "exploration": {"control_share": 0.1, "random_share": 0.05, "epsilon": 0.05},
    },
}


class Operator:
    """Two geographies of some thousand subscribers."""

    def __init__(self, root: Path) -> None:
        configs = copy_configs(root / "configs")
        (configs / "use_cases" / "churn.yaml").unlink()
        (configs / "use_cases" / f"{USE_CASE}.yaml").write_text(yaml.safe_dump(SETTINGS))
        geographies = configs / "geographies.yaml"
        geographies.write_text(geographies.read_text().replace("[churn]", f"[{USE_CASE}]"))
        deliver(root / "home", configs, subscribers=2500, days=2)
        self.workspace = Workspace.of_one_process(root / "home", load_project([configs], "local"))
        self.platform = self.workspace.platform

    def run(self, first: int, last: int) -> list[DayResult]:
        """Run days by number and require that all are built."""
        with self.workspace.open_instance() as instance:
            results = Replay(self.workspace, instance).run(
                day_number(first), day_number(last), lambda _: None
            )
        assert {result.status for result in results} <= {"built", "unchanged"}, results
        return results

    def live(self, days: int = 1) -> None:
        """Let days of the operator pass."""
        advance(**sandbox_arguments(self.workspace), days=days)

    def crown(self, segment: str, as_of: dt.date) -> None:
        """Make a policy champion that offers the cheaper plan to everybody."""
        settings = self.workspace.config.use_cases[USE_CASE][segment]
        assert settings.offers is not None
        setting = OfferSetting(USE_CASE, segment, settings.corpus, settings.offers, ())
        slot, registry = setting.slot, self.platform.registry
        choices = list_choices(settings.offers.catalogue, {})
        policy = build_constant_policy("best_single", choices, setting.layout.columns, [0.0, 0.1, 0.5, 0.2])
        with tempfile.TemporaryDirectory() as folder, registry.run(USE_CASE, "policy", {}) as run:
            digest = save_policy(Path(folder) / "bundle", policy)
            run.folder(Path(folder) / "bundle", "bundle")
            version = registry.register(slot.registered_name, run.run_id, "bundle", digest, {}).version
        self.platform.ledger.record(
            LedgerEntry(
                decision_id=f"test-{segment}",
                slot=slot,
                outcome="promoted",
                version=version,
                bundle_sha256=digest,
                previous_version=None,
                decided_by=GATE,
                decided_at_utc=dt.datetime(2026, 8, 5, tzinfo=dt.UTC),
                as_of_day=as_of,
                evidence_sha256="e" * 64,
                reasons=("a test",),
            )
        )

    def proposals(self, segment: str, number: int) -> PartitionId:
        return PartitionId(proposals_table(USE_CASE), segment, day_number(number))

    def reconciled(self, segment: str, number: int) -> ReconciledDay | None:
        table = reconciliation_table(proposals_table(USE_CASE))
        return read_day(
            table, segment, day_number(number), lake=self.platform.lake, engine=self.platform.engine
        )


def test_offers_go_round(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.platform.registry.open()
    operator.run(0, 1)
    assert operator.platform.lake.manifest(operator.proposals("cl", 2)) is None, "no champion yet"
    operator.crown("cl", day_number(0))
    operator.run(0, 1)
    proposals = operator.platform.lake.manifest(operator.proposals("cl", 2))
    assert proposals is not None, "a new champion makes the last day due again"
    assert operator.platform.lake.manifest(operator.proposals("pe", 2)) is None
    offers = proposals.facts["offers"]
    assert 0 < offers <= 600
    file = operator.platform.agents.find(DeliveryId(USE_CASE, "cl", day_number(2)))
    assert file is not None
    assert file.read_text().splitlines()[1].count(",") == 4

    operator.live()
    operator.run(2, 2)
    found = operator.reconciled("cl", 2)
    assert found is not None
    assert found.rl_offers == offers
    assert found.sent_offers / offers == pytest.approx(CAMPAIGN.proposed_sent_share, abs=0.04)
    assert found.no_offer / offers == pytest.approx(CAMPAIGN.proposed_dropped_share, abs=0.03)
    assert found.unproposed < 0.1 * found.contacts
    assert operator.reconciled("pe", 2) is None, "nothing was proposed there"

    # What was used is history: another run of the day leaves proposals and file as they are.
    operator.platform.lake.remove(PartitionId("reports/day_log", "all", day_number(1)))
    (again,) = operator.run(1, 1)
    assert again.status == "built"
    assert operator.platform.lake.manifest(operator.proposals("cl", 2)) == proposals
    capped = pq.read_table(operator.platform.lake.path(operator.proposals("cl", 3))).to_pylist()
    assert sum(row["reasons"] == "contact_cap" for row in capped) >= found.sent_offers * 0.9
