"""What a step costs: seconds and CPU seconds, kept with what it made.

Belongs here: measuring a step and noting it at its materialisation, where Dagster plots it over the partitions.
Does not belong here: adding up (mlops_assets.domain.reporting.utilisation) or reading back (step_usage).
"""

import os
import time

import dagster as dg

from mlops_assets.config import names


class StepMeter:
    """Measures this process from its (re)start on: the wall clock, and the CPU of all threads and ended children.

    A step has its process to itself while it runs, in both executors; so the process' CPU is the step's.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Measure anew: what happened until now is not counted."""
        self._seconds, self._cpu_seconds = time.perf_counter(), _cpu_seconds()

    def stamp(self, result: object) -> object:
        """Return a materialisation with what was spent on it, anything else as it is."""
        if not isinstance(result, dg.MaterializeResult):
            return result
        spent = {
            names.SECONDS_METADATA: dg.MetadataValue.float(time.perf_counter() - self._seconds),
            names.CPU_SECONDS_METADATA: dg.MetadataValue.float(_cpu_seconds() - self._cpu_seconds),
        }
        return dg.MaterializeResult(
            asset_key=result.asset_key,
            metadata={**(result.metadata or {}), **spent},
            check_results=result.check_results,
            data_version=result.data_version,
            tags=result.tags,
            value=result.value,
        )


def _cpu_seconds() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
