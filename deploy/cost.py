"""What a deployment costs a month: list prices times the sizes of the roles times stated assumptions.

Belongs here: prices with their date, assumptions, the table of docs/cloud.md. Does not belong here: sizes (roles), or
any bill: nothing here was measured on Google Cloud.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy.cloud_run.render import cpus, memory_gib
from deploy.cloud_run.roles import Role
from deploy.cloud_run.site import Site
from mlops_assets.domain.model_base import Record

_HOURS_A_MONTH = 730
_SECONDS_A_MONTH = _HOURS_A_MONTH * 3600
_DAYS_A_MONTH, _WEEKS_A_MONTH = _HOURS_A_MONTH / 24, _HOURS_A_MONTH / 24 / 7
_SHORTEST_EXECUTION_S = 60  # a job's execution is charged for a minute at least


class Prices(Record):
    """US dollars, list prices of us-central1 without free amounts; South America costs a third more or so.

    Attributes:
        cpu_s, gib_s: Cloud Run by the instance, and jobs; quoted in October 2026. Taken for worker pools as well.
        busy_cpu_s, busy_gib_s: Cloud Run by the request; quoted in October 2026.
        sql_cpu_h, sql_gb_h: Cloud SQL Enterprise; quoted in May 2026. A stand-by costs the same again.
        sql_disk_gb: Cloud SQL, SSD, a month; quoted without a date.
        object_gib_h: Cloud Storage, Standard, one region; quoted in September 2026.
        forwarding_h: the first five forwarding rules together; the price page, copy without a date.
        secret: an active version, a month; the price page, copy without a date.
    """

    cpu_s: float = 0.000018
    gib_s: float = 0.000002
    busy_cpu_s: float = 0.000024
    busy_gib_s: float = 0.0000025
    sql_cpu_h: float = 0.0413
    sql_gb_h: float = 0.007
    sql_disk_gb: float = 0.17
    object_gib_h: float = 0.000027397
    forwarding_h: float = 0.025
    secret: float = 0.06


class Assumptions(Record):
    """What is used a month; yours will differ.

    Attributes:
        page_hours: that instances of each page answer, all people together.
        day_minutes: of the one daily run, size M.
        training_hours: of the one weekly training, size L.
        updates_an_hour: of the agent updater, a minute each.
        sql_cpu, sql_gb, sql_disk_gb: the instance (deploy/terraform/database.tf).
        has_standby: whether it has a stand-by.
        objects_gib: in the buckets, versions included.
    """

    page_hours: float = 40.0
    day_minutes: float = 30.0
    training_hours: float = 1.0
    updates_an_hour: float = 6.0
    sql_cpu: float = 1.0
    sql_gb: float = 3.75
    sql_disk_gb: float = 20.0
    has_standby: bool = True
    objects_gib: float = 300.0


class Item(Record):
    """A line of the estimate; US dollars a month."""

    what: str
    basis: str
    usd: float


def estimate_month(site: Site, roles: Iterable[Role], prices: Prices, assumed: Assumptions) -> list[Item]:
    """Return what a month costs, the largest item first."""
    by_name = {role.name: role for role in roles}
    runtime = {
        "daemon": (_SECONDS_A_MONTH, "always"),
        "scoring": (_SECONDS_A_MONTH, "one instance always"),
        "agent-updater": (
            _HOURS_A_MONTH * assumed.updates_an_hour * _SHORTEST_EXECUTION_S,
            f"{assumed.updates_an_hour:g} times an hour, 1 min each",
        ),
        "run-m": (_DAYS_A_MONTH * assumed.day_minutes * 60, f"{assumed.day_minutes:g} min a day"),
        "run-l": (_WEEKS_A_MONTH * assumed.training_hours * 3600, f"{assumed.training_hours:g} h a week"),
    }
    items = [
        _computing(by_name[name], site, seconds, basis, prices.cpu_s, prices.gib_s)
        for name, (seconds, basis) in runtime.items()
    ]
    items += [
        _computing(
            by_name[name],
            site,
            assumed.page_hours * 3600,
            f"{assumed.page_hours:g} h a month",
            prices.busy_cpu_s,
            prices.busy_gib_s,
        )
        for name in ("web", "web-readonly", "mlflow")
    ]
    return sorted([*items, *_standing(site, prices, assumed)], key=lambda item: -item.usd)


def render_estimate(items: Iterable[Item]) -> str:
    """Return the estimate as a Markdown table."""
    found = list(items)
    lines = [f"| {item.what} | {item.basis} | {item.usd:.0f} |" for item in found]
    total = f"| **Total** | | **{sum(item.usd for item in found):.0f}** |"
    return "\n".join(["| | assumed | USD a month |", "|---|---|---:|", *lines, total])


def _computing(role: Role, site: Site, seconds: float, basis: str, cpu_s: float, gib_s: float) -> Item:
    cpu, memory = cpus(role, site), memory_gib(role, site)
    usd = seconds * (cpu * cpu_s + memory * gib_s)
    return Item(what=f"`{role.name}` ({cpu} CPU, {memory} GiB)", basis=basis, usd=usd)


def _standing(site: Site, prices: Prices, assumed: Assumptions) -> list[Item]:
    machine = _HOURS_A_MONTH * (assumed.sql_cpu * prices.sql_cpu_h + assumed.sql_gb * prices.sql_gb_h)
    database = (machine + assumed.sql_disk_gb * prices.sql_disk_gb) * (2 if assumed.has_standby else 1)
    size = f"{assumed.sql_cpu:g} CPU, {assumed.sql_gb:g} GB, {assumed.sql_disk_gb:g} GB SSD"
    objects = _HOURS_A_MONTH * assumed.objects_gib * prices.object_gib_h
    return [
        Item(
            what="Cloud SQL",
            basis=f"{size}, {'with' if assumed.has_standby else 'no'} stand-by",
            usd=database,
        ),
        Item(what="Cloud Storage", basis=f"{assumed.objects_gib:g} GiB, versions included", usd=objects),
        Item(what="Load balancer", basis="one forwarding rule", usd=_HOURS_A_MONTH * prices.forwarding_h),
        Item(what="Secret Manager", basis="one version each", usd=len(site.secrets) * prices.secret),
    ]
