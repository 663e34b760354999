"""What holds for every test: no setting of the developer's shell leaks in, hypothesis has no stop-watch.

Belongs here: rules for all tests. Does not belong here: fixtures of one part of the product.
"""

from __future__ import annotations

import os

from hypothesis import settings

_KEPT = "MLOPS_PUBLIC_DATA"  # where the public data sets are is no setting of the product
for _name in [name for name in os.environ if name.startswith(("MLOPS_", "DAGSTER_", "MLFLOW_"))]:
    if _name != _KEPT:
        del os.environ[_name]
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "agg"
# One process a core with one thread each: pytest-xdist brings the processes.
os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})

# A busy machine is not a failing test; on the build server the examples are the same every time.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")
