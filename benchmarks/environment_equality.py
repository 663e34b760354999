"""environment_equality: the same days on a laptop's folders and on PostgreSQL and a bucket; what differs afterwards.

One simulated operator delivers to both. Each environment replays the days in a process of its own, trains in worker
processes, promotes, scores and reports; then the logical content of both is compared.

Belongs here: the sizes, the two replays, the counts. Does not belong here: the services and what counts as the same
content (tests/integration/cloud, whose test runs the small size as well).
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkFailedError, BenchmarkSkippedError, Goal, Line, Measured, run_fresh
from benchmarks.short_project import POLICY_READY_NUMBER, write_short_project

NAME = "environment_equality"
SUBSCRIBERS, QUICK_SUBSCRIBERS = 1_500, 600
DEVICES = 500
QUICK_DAYS = 13  # churn alone: trained on the last but one, scored on the last
DAYS = POLICY_READY_NUMBER + 2  # numbered from 0: a policy is decided about, and makes offers on the next day
_UNITS = {
    "days": "days that differ",
    "decisions": "decisions that differ",
    "tables": "partitions that differ",
    "reports": "reports that differ",
    "mails": "mails that differ",
}
_SHOWN = 30
_Content = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Sites:
    """What both environments ended with, and what that took."""

    local: Measured
    cloud: Measured
    seconds: float


def run(*, quick: bool) -> Iterator[Line]:
    """Yield a line for days, decisions, tables, reports and mails: how many differ."""
    if reason := _why_missing():
        raise BenchmarkSkippedError(reason)
    with tempfile.TemporaryDirectory() as folder:
        sites = _run_sites(Path(folder), quick=quick)
    one, other = sites.local.result, sites.cloud.result
    _require_work(one, quick=quick)
    for part, unit in _UNITS.items():
        different = sorted(
            key for key in one[part].keys() | other[part].keys() if one[part].get(key) != other[part].get(key)
        )
        yield Line(
            NAME,
            part=part,
            value=float(len(different)),
            unit=unit,
            goal=Goal("value", 0.0),
            sizes={
                "subscribers": _subscribers(quick=quick),
                "devices": DEVICES,
                "geographies": 2,
                "days": _days(quick=quick),
            },
            seconds=sites.seconds,
            is_quick=quick,
            facts={
                "compared": len(one[part].keys() | other[part].keys()),
                "differences": different[:_SHOWN],
                **_describe(part, one[part]),
                "cpu_s_local": sites.local.cpu_s,
                "cpu_s_cloud": sites.cloud.cpu_s,
            },
        )


def _run_sites(folder: Path, *, quick: bool) -> _Sites:
    """Start the services, deliver to both environments and run them one after the other."""
    from tests.integration.cloud.cloud_operator import ENVIRONMENT, PASSWORD_VARIABLE, write_environment
    from tests.integration.cloud.postgres_server import PASSWORD
    from tests.integration.faults.outcome import Services

    services, start = Services(), time.perf_counter()
    try:
        bucket = f"benchmark-{secrets.token_hex(6)}"
        write_environment(_write_configs(folder / "configs", quick=quick), services.postgres, bucket)
        reached_by = {"STORAGE_EMULATOR_HOST": services.gcs.url, PASSWORD_VARIABLE: PASSWORD}
        common = {"folder": str(folder), "days": _days(quick=quick)}
        delivery = {**common, "bucket": bucket, "subscribers": _subscribers(quick=quick)}
        run_fresh("benchmarks.environment_equality:deliver_days", delivery, reached_by)
        local, cloud = (
            run_fresh("benchmarks.environment_equality:run_side", {**common, "environment": name}, reached_by)
            for name in ("local", ENVIRONMENT)
        )
        return _Sites(local, cloud, time.perf_counter() - start)
    finally:
        services.stop()


def _write_configs(folder: Path, *, quick: bool) -> Path:
    from tests.integration.small_operator import copy_configs, shorten_churn

    if not quick:
        return write_short_project(folder)
    configs = copy_configs(folder)
    shorten_churn(configs)
    return configs


def deliver_days(folder: str, days: int, bucket: str, subscribers: int) -> None:
    """Let the operator live for some days and lay the same files into the local landing zone and the bucket."""
    from resources.object_store import open_client
    from tests.integration.cloud.cloud_operator import upload_landing
    from tests.integration.small_operator import RESTLESS, deliver

    home, configs = Path(folder) / "local", Path(folder) / "configs"
    deliver(home, configs, subscribers=subscribers, devices=DEVICES, days=days, behaviour=RESTLESS)
    open_client().create_bucket(bucket)
    upload_landing(home, bucket)


def run_side(folder: str, days: int, environment: str) -> _Content:
    """Replay all days in an environment and return what it holds, each part by a name.

    Raises:
        BenchmarkFailedError: a day failed.
    """
    from tests.integration.cloud.cloud_operator import run_days
    from tests.integration.small_operator import FIRST_DAY

    last = FIRST_DAY + dt.timedelta(days=days - 1)
    site = run_days(Path(folder) / environment, Path(folder) / "configs", environment, FIRST_DAY, last)
    if failed := [one for one in site.results if one.status == "failed"]:
        raise BenchmarkFailedError(f"{environment}, {failed[0].day}: {failed[0].findings}")
    decisions: dict[str, Any] = {}
    for slot, outcome, *rest in site.decisions():
        name = getattr(slot, "registered_name", "")
        number = sum(key.startswith(f"{name} ") for key in decisions)
        decisions[f"{name} {number}"] = [outcome, *map(str, rest)]
    return {
        "days": {str(day): [str(fact) for fact in facts] for day, *facts in site.days()},
        "decisions": decisions,
        "tables": {name: list(content) for name, content in site.tables().items()},
        "reports": dict(site.reports()),
        "mails": site.mails(),
    }


def _require_work(content: Mapping[str, Mapping[str, Any]], *, quick: bool) -> None:
    """Refuse to compare environments in which what is to be compared did not happen."""
    promoted = {key for key, (outcome, *_) in content["decisions"].items() if outcome == "promoted"}
    wanted = ["churn"] if quick else ["churn", "personalized_offer", "network_event"]
    lacking = [use_case for use_case in wanted if not any(key.startswith(use_case) for key in promoted)]
    if lacking or not content["reports"]:
        raise BenchmarkFailedError(
            f"no champion of {', '.join(lacking)}, or no report: the comparison is void"
        )


def _describe(part: str, found: Mapping[str, Any]) -> dict[str, Any]:
    if part == "decisions":
        return {"promoted": sum(outcome == "promoted" for outcome, *_ in found.values())}
    if part == "tables":
        return {"rows": sum(rows for _, rows, _ in found.values())}
    return {}


def _why_missing() -> str:
    from tests.integration.faults.outcome import why_missing

    if importlib.util.find_spec("dagster_postgres") is None:
        return "dagster-postgres is not installed (PyPI)"
    return why_missing()


def _days(*, quick: bool) -> int:
    return QUICK_DAYS if quick else DAYS


def _subscribers(*, quick: bool) -> int:
    return QUICK_SUBSCRIBERS if quick else SUBSCRIBERS
