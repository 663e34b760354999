"""Runs as processes of this machine, with an answer to whether they live.

Belongs here: what Dagster's own launcher lacks. A worker that is killed is failed by its code server; if that is killed
as well, nobody notices until the longest run time is over. Does not belong here: starting processes (Dagster).

A live run must never be taken for dead. So a run counts as alive unless it was launched under this very kernel and in
this process namespace, and its process is gone: or on a machine of this name before the last start of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.events import DagsterEventType
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._serdes import ConfigurableClassData

TAG_MACHINE = "mlops/machine"
_PROC = Path("/proc")
_START_EVENTS = 20  # the worker's process is named among the first events of a run
_SLACK_S = 2.0
_STATE, _STARTED_TICKS = 0, 19  # fields of /proc/PID/stat after the name, see proc(5)


class LocalRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, which also knows whether a worker's process is there; named in deploy/local/dagster.yaml."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run and note on which machine."""
        self._instance.add_run_tags(context.dagster_run.run_id, {TAG_MACHINE: own_machine()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say whether a run's process lives; whatever is not known for sure counts as alive."""
        is_lost, why = has_lost_process(run.tags.get(TAG_MACHINE, ""), lambda: self._process(run.run_id))
        return CheckRunHealthResult(WorkerStatus.FAILED if is_lost else WorkerStatus.RUNNING, why or None)

    def _process(self, run_id: str) -> tuple[int, float] | None:
        """Return the number of the worker's process and when it was noted."""
        records = self._instance.get_records_for_run(
            run_id, of_type=DagsterEventType.ENGINE_EVENT, limit=_START_EVENTS
        ).records
        for entry in (record.event_log_entry for record in records):
            event = entry.dagster_event
            noted: Mapping[str, Any] = event.engine_event_data.metadata if event else {}
            if (text := str(getattr(noted.get("pid"), "value", ""))).isdigit():
                return int(text), entry.timestamp
        return None

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> LocalRunLauncher:
        """Return the launcher."""
        return cls(inst_data=inst_data, **config_value)


def own_machine() -> str:
    """Return kernel start / process namespace / name of this machine; empty parts where it does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        boot = namespace = ""
    return f"{boot}/{namespace}/{socket.gethostname()}".replace(" ", "")


def has_lost_process(machine: str, find_process: Callable[[], tuple[int, float] | None]) -> tuple[bool, str]:
    """Say whether the process of a run is gone for sure, and why that is so or cannot be known.

    Args:
        machine: `own_machine()` where the run began; empty if unknown.
        find_process: returns the number of its process and when it lived, seconds since 1970; None if unknown.
    """
    here, there = own_machine().split("/"), machine.split("/")
    if len(there) != len(here) or not here[0] or here[-1] != there[-1]:
        return False, "it may run on another machine"
    if here[0] != there[0]:
        return True, "this machine was started again since"
    if here != there:
        return False, "its processes cannot be seen from here"
    found = find_process()
    if found is None or is_alive(*found):
        return False, ""
    return True, f"its process {found[0]} is gone"


def is_alive(pid: int, noted_s: float) -> bool:
    """Say whether a process lives and is the one that was noted: numbers are used again.

    Args:
        pid: its number.
        noted_s: when it lived for sure, seconds since 1970.
    """
    try:
        fields = (
            (_PROC / str(pid) / "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if fields[_STATE] in {"Z", "X"}:  # ended, and nobody has asked after it
        return False
    started_s = _boot_time_s() + int(fields[_STARTED_TICKS]) / os.sysconf("SC_CLK_TCK")
    return started_s <= noted_s + _SLACK_S


def _boot_time_s() -> float:
    lines = (_PROC / "stat").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("btime")))
