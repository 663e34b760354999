"""How a run executes its steps.

Belongs here: the executor. Does not belong here: what is loaded before steps fork (preload).
"""

import dagster as dg

from mlops_assets.config.models import ExecutorConfig

PRELOAD_MODULE = "mlops_assets.preload"


def build_executor(settings: ExecutorConfig) -> dg.ExecutorDefinition:
    """Return the executor of the environment.

    Steps of a multiprocess run are forked from a server that has imported everything once; `spawn` would cost
    every step the imports again (docs/adr/0003).
    """
    if settings.kind == "in_process":
        return dg.in_process_executor
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": settings.max_concurrent,
            "start_method": {"forkserver": {"preload_modules": [PRELOAD_MODULE]}},
        }
    )
