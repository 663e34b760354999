"""Dagster does not warn of the check of a step that was skipped, and what follows it is skipped too."""

import logging
from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.assets.execution import build_executor
from mlops_assets.config.models import ExecutorConfig

made: list[str] = []


@dg.asset(output_required=False)
def optional() -> Iterator[dg.MaterializeResult]:
    """An asset that is not made."""
    yield from ()


@dg.asset(deps=[optional], check_specs=[dg.AssetCheckSpec("holds", asset="gate", blocking=True)])
def gate() -> dg.MaterializeResult:
    """An asset with a blocking check; skipped for want of its input."""
    made.append("gate")
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="holds", passed=True)])


@dg.asset(deps=[gate])
def behind() -> None:
    """What the check gates."""
    made.append("behind")


def test_a_skipped_check_is_no_warning_and_lets_nothing_through(caplog: pytest.LogCaptureFixture) -> None:
    executor = build_executor(ExecutorConfig(kind="in_process"))
    assert executor is dg.in_process_executor
    with caplog.at_level(logging.WARNING, logger="dagster"):
        result = dg.materialize([optional, gate, behind])
    assert result.success
    assert made == []
    assert [record for record in caplog.records if "gating" in record.getMessage()] == []


def test_other_warnings_of_the_executor_are_told(caplog: pytest.LogCaptureFixture) -> None:
    build_executor(ExecutorConfig(kind="in_process"))
    with caplog.at_level(logging.WARNING):
        logging.getLogger("dagster._core.execution.plan.active").warning("something else")
    assert "something else" in caplog.text
