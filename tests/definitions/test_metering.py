"""What a step cost is kept with what it made."""

import time
from collections.abc import Iterator

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.config import names

BUSY_S = 0.2


def be_busy(cpu_seconds: float) -> None:
    """Use the processor for so long."""
    end = time.process_time() + cpu_seconds
    while time.process_time() < end:
        pass


@dg.asset(key="returned")
@retry_if_worthwhile
def returned(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # noqa: ARG001
    """An asset that returns after some work and some waiting."""
    be_busy(BUSY_S)
    time.sleep(BUSY_S)
    return dg.MaterializeResult(metadata={"rows": 1}, data_version=dg.DataVersion("v"), tags={"a": "b"})


@dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second")])
@retry_if_worthwhile
def yielded(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # noqa: ARG001
    """Two assets, the second without any work."""
    be_busy(BUSY_S)
    yield dg.MaterializeResult(asset_key="first")
    yield dg.MaterializeResult(asset_key="second")


def materialisations(asset: dg.AssetsDefinition) -> dict[str, dg.AssetMaterialization]:
    """Run an asset; return what it made by key."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance)
    found = [event.materialization for event in result.get_asset_materialization_events()]
    return {one.asset_key.to_user_string(): one for one in found}


def cost(one: dg.AssetMaterialization) -> tuple[float, float]:
    """Return seconds and CPU seconds of a materialisation."""
    noted = one.metadata
    return noted[names.SECONDS_METADATA].value, noted[names.CPU_SECONDS_METADATA].value  # type: ignore[return-value]


def test_time_and_processor_are_told_apart() -> None:
    seconds, cpu_seconds = cost(materialisations(returned)["returned"])
    assert seconds >= 2 * BUSY_S
    assert BUSY_S <= cpu_seconds < seconds - BUSY_S / 2


def test_what_the_asset_said_stays() -> None:
    made = materialisations(returned)["returned"]
    assert made.metadata["rows"].value == 1
    assert made.tags is not None
    assert (made.tags["a"], made.tags["dagster/data_version"]) == ("b", "v")


def test_each_of_several_has_its_own_cost() -> None:
    made = materialisations(yielded)
    assert cost(made["first"])[1] >= BUSY_S
    assert cost(made["second"])[1] < BUSY_S / 2


def test_a_step_without_a_result_has_no_cost() -> None:
    @dg.asset(output_required=False)
    @retry_if_worthwhile
    def nothing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # noqa: ARG001
        yield from ()

    assert materialisations(nothing) == {}
