"""Steps are repeated when, and only when, the error says that it may help."""

from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.assets import execution
from mlops_assets.assets.execution import RETRIES, retry_if_worthwhile
from mlops_assets.domain.errors import FeedRefusedError, PlatformError, StorageError
from mlops_assets.domain.ports import Lake


class Failing:
    """Raises the errors it was given, one a call."""

    def __init__(self, *errors: PlatformError) -> None:
        self.errors, self.calls = list(errors), 0

    def work(self) -> None:
        """Fail or succeed."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@dg.asset(key="returned")
@retry_if_worthwhile
def returned(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:  # noqa: ARG001
    """An asset that returns."""
    lake.work()
    return dg.MaterializeResult(metadata={"rows": 1})


@dg.asset(key="yielded", output_required=False)
@retry_if_worthwhile
def yielded(
    context: dg.AssetExecutionContext,  # noqa: ARG001
    lake: dg.ResourceParam[Lake],
) -> Iterator[dg.MaterializeResult]:
    """An asset that yields."""
    lake.work()
    yield dg.MaterializeResult(metadata={"rows": 1})


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "RETRY_AFTER_S", 0.0)


def run(asset: dg.AssetsDefinition, lake: Failing) -> dg.ExecuteInProcessResult:
    """Materialise one asset."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([asset], resources={"lake": lake}, instance=instance, raise_on_error=False)


@pytest.mark.parametrize("asset", [returned, yielded], ids=["returned", "yielded"])
def test_passing_trouble_is_overcome(asset: dg.AssetsDefinition) -> None:
    lake = Failing(*[StorageError("the disk is full")] * RETRIES)
    result = run(asset, lake)
    assert result.success
    assert lake.calls == RETRIES + 1
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["rows"].value == 1


@pytest.mark.parametrize("asset", [returned, yielded], ids=["returned", "yielded"])
@pytest.mark.parametrize(
    "error",
    [FeedRefusedError("a bad file"), StorageError("damaged", is_retryable=False)],
    ids=["bad", "damaged"],
)
def test_lasting_trouble_fails_at_once(asset: dg.AssetsDefinition, error: PlatformError) -> None:
    lake = Failing(error)
    assert not run(asset, lake).success
    assert lake.calls == 1


def test_last_try_shows_the_error_itself() -> None:
    lake = Failing(*[StorageError("the disk is full")] * (RETRIES + 1))
    result = run(returned, lake)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "the disk is full" in str(failure.step_failure_data.error_display_string)
    assert lake.calls == RETRIES + 1
