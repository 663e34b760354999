"""Lines of the log of a run: its id, its events, what is counted, and what must not be there."""

import json
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import names
from resources.json_logs import dagster_log_settings
from resources.log_metrics import METRICS


@dg.asset(key=["offers", "personalized_offer", "proposals"])
def _proposals(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("hello from the step")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": 7,
            "offers_cl": 3,
            "offers_pe": 2,
            "outcome": "promoted",
            "secret": "x-text",
        }
    )


@dg.asset_check(asset=_proposals, name=names.CHECK_DRIFT)
def _drift() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(deps=[_proposals])
def _failing() -> None:
    raise ValueError("56912345678 is wrong")


@pytest.mark.filterwarnings("ignore:Handling yaml-defined logging:dagster.BetaWarning")
def test_a_run_tells_what_is_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with dg.instance_for_test(
        temp_dir=str(tmp_path), overrides={"python_logs": dagster_log_settings()}
    ) as instance:
        result = dg.materialize([_proposals, _drift, _failing], instance=instance, raise_on_error=False)
        assert dg.materialize([_proposals], instance=instance).success
    sys.stdout.flush()
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    of_run = [line for line in told if line.get("run_id") == result.run_id]
    assert any(line["message"] == "hello from the step" and line["step"] for line in of_run)
    (made,) = [line for line in of_run if line.get("event") == "asset_materialization"]
    assert (made["asset"], made["rows"], made["offers"]) == ("offers/personalized_offer/proposals", 7, 5)
    assert made["outcome"] == "promoted"
    assert "x-text" not in json.dumps(told)
    assert "56912345678" not in json.dumps(told)
    assert {line["severity"] for line in of_run if line.get("event") == "run_failure"} == {"ERROR"}
    found = {one.name: sum(map(one.counts, told)) for one in METRICS}
    assert (found["mlops_runs_failed"], found["mlops_runs_succeeded"]) == (1, 1)
    assert (found["mlops_drift_verdicts"], found["mlops_checks_failed"], found["mlops_offers"]) == (1, 1, 2)
