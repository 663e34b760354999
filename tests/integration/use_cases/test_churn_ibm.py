"""A foreign data set becomes a use case through YAML alone."""

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.domain.ports import ModelSlot, PartitionId

PROJECT = Path(__file__).resolve().parents[3]
DATA = (
    Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data")
    / "telco_customer_churn.csv"
)
CONFIGS = PROJECT / "benchmarks" / "churn_ibm" / "configs"
SLOT = ModelSlot("churn_ibm", "churn_ibm", "all")
# The champions of five split seeds lie between 0.834 and 0.847 on their single holdouts of 1,409 rows
# (benchmark churn_ibm_auc). One split is tested here: below the lower bound something is lost on the way from
# file to champion, above the upper one the label has leaked into the features. The mean of the seeds, at least
# 0.84, is the benchmark's business.
LOWEST_AUC, HIGHEST_AUC = 0.83, 0.86


@pytest.mark.skipif(
    not DATA.exists(), reason=f"no public data at {DATA}; name its folder in MLOPS_PUBLIC_DATA"
)
def test_snapshot_use_case_gets_a_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "landing" / "all").mkdir(parents=True)
    shutil.copy(DATA, tmp_path / "landing" / "all")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    workspace = Workspace.of_one_process(tmp_path, load_project([PROJECT_CONFIGS, CONFIGS], "local"))
    with workspace.open_instance() as instance:
        outcome = Replay(workspace, instance).train("churn_ibm", "all", None)
    assert outcome.succeeded, outcome.text()
    landed = workspace.platform.lake.manifest(PartitionId("feeds/ibm_customers", "all"))
    assert landed is not None
    assert landed.row_count == 7043
    champion = workspace.platform.ledger.champion(SLOT)
    assert champion is not None, outcome.text()
    assert LOWEST_AUC <= champion.evidence["figures"]["challenger"]["metric"] <= HIGHEST_AUC
    assert champion.evidence["figures"]["holdout_rows"] == 1409
    assert champion.decided_at_utc.tzinfo == dt.UTC
    assert any("model_cards" in path for path in workspace.platform.reports.list())
