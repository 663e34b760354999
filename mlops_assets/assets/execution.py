"""How a run executes its steps.

Belongs here: the executor, and which failed steps are tried again. Does not belong here: what is loaded before
steps fork (preload), or what a step costs (metering).
"""

import atexit
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import dagster as dg

from mlops_assets.assets.metering import StepMeter
from mlops_assets.config.models import ExecutorConfig
from mlops_assets.domain.errors import PlatformError

PRELOAD_MODULE = "mlops_assets.preload"
_PLAN_LOGGER, _UNGATED = "dagster._core.execution.plan.active", "will proceed without gating on it"
RETRIES = 2
RETRY_AFTER_S = 10.0
Compute = TypeVar("Compute", bound=Callable[..., Any])


def retry_if_worthwhile(compute: Compute) -> Compute:
    """Decorate an asset's function: its step is repeated if the error says that another try may succeed.

    A full disk or a lock may pass; a bad file or a wrong setting stays what it is, and fails at once. What the
    successful try cost is noted at its materialisation.

    Args:
        compute: takes the context first; below `@dg.asset`.
    """
    if inspect.isgeneratorfunction(compute):

        @functools.wraps(compute)
        def generate(context: dg.AssetExecutionContext, *args: Any, **kwargs: Any) -> Iterator[Any]:
            meter = StepMeter()
            with _retried(context):
                for result in compute(context, *args, **kwargs):
                    yield meter.stamp(result)
                    if isinstance(result, dg.MaterializeResult):  # storing it is no work for the next one
                        meter.restart()

        return generate  # type: ignore[return-value]  # the signature is that of the wrapped function

    @functools.wraps(compute)
    def call(context: dg.AssetExecutionContext, *args: Any, **kwargs: Any) -> Any:
        meter = StepMeter()
        with _retried(context):
            return meter.stamp(compute(context, *args, **kwargs))

    return call  # type: ignore[return-value]  # the signature is that of the wrapped function


@contextmanager
def _retried(context: dg.AssetExecutionContext) -> Iterator[None]:
    try:
        yield
    except PlatformError as error:
        # The last try raises the error itself: Dagster would only say that there were too many.
        if not error.is_retryable or context.retry_number >= RETRIES:
            raise
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error


def is_worth_telling(record: logging.LogRecord) -> bool:
    """Whether a message of Dagster's executor says something that happened.

    Of a step that is skipped because its input was not made, it says that the blocking check gave no result and does
    not gate what follows; that is skipped as well, so nothing went ungated.
    """
    return _UNGATED not in record.getMessage()


def build_executor(settings: ExecutorConfig) -> dg.ExecutorDefinition:
    """Return the executor of the environment.

    Steps of a multiprocess run are forked from a server that has imported everything once; `spawn` would cost
    every step the imports again (docs/adr/0003).
    """
    logger = logging.getLogger(_PLAN_LOGGER)
    logger.addFilter(is_worth_telling)
    # A logger outlives modules: what it holds of them is not freed, and DuckDB complains of that at exit.
    atexit.register(logger.removeFilter, is_worth_telling)
    if settings.kind == "in_process":
        return dg.in_process_executor
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": settings.max_concurrent,
            "start_method": {"forkserver": {"preload_modules": [PRELOAD_MODULE]}},
        }
    )
