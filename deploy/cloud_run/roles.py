"""The roles of the platform on Google Cloud: what each runs, how large it is, what it may do.

Belongs here: one record a role, from which its manifest and its rights both follow. Does not belong here: names of
projects and buckets (site), YAML (render).

Nobody may do more than its role needs: the web pages read, only runs write tables and models, only the daemon starts
runs. Rights are granted by deploy/terraform, for which they are rendered from here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlops_assets.domain.model_base import Record

PORT = 8080
_HOST = "0.0.0.0"  # noqa: S104 - a container has one address, its proxy reaches all of it
Access = Literal["none", "read", "write"]
# launch: start, watch and stop executions of the run jobs; stop: watch and stop them.
RunRight = Literal["none", "stop", "launch"]
Ingress = Literal["internal", "internal-and-cloud-load-balancing"]
GIB_PER_CPU = 4  # the most that Cloud Run gives up to 8 CPUs


class Role(Record):
    """What every role has.

    Attributes:
        name: of the service, worker pool or job.
        description: one line, shown in the console.
        args: what the image's entry point starts.
        account: name of the service account without its prefix; the role's own if empty.
        cpu: cores; 0 means: by the environment's `executor.cores` times `cpu_share`.
        cpu_share: see cpu.
        memory_gib: 0 means: as much as Cloud Run gives for the cores.
        bucket: access to the platform's bucket.
        landing: access to the operator's deliveries.
        runs: what it may do with executions of the run jobs.
        has_database: whether it logs in to PostgreSQL.
        sends_mail: whether it needs the mail server's password.
    """

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$")
    description: str
    args: tuple[str, ...]
    account: str = ""
    cpu: int = Field(0, ge=0, le=8)
    cpu_share: float = 1.0
    memory_gib: int = Field(0, ge=0, le=32)
    bucket: Access = "none"
    landing: Access = "none"
    runs: RunRight = "none"
    has_database: bool = True
    sends_mail: bool = False

    @property
    def account_name(self) -> str:
        """Return the name of its service account, without the domain."""
        return f"mlops-{self.account or self.name}"


class ServiceRole(Role):
    """A role that answers requests.

    Attributes:
        ingress: from where requests may come; never from everywhere.
        alive, ready: paths of the probes: whether an instance lives, and whether it has started.
        least, most: instances.
        always_on: whether the CPU is there between two requests.
        concurrency: requests that an instance takes at once.
        timeout_s: of a request.
        start_s: how long an instance may take to start.
        host: first label of its host name at the load balancer, behind Identity-Aware Proxy; none if empty.
    """

    ingress: Ingress
    alive: str
    ready: str
    least: int = 0
    most: int = 1
    always_on: bool = False
    concurrency: int = 80
    timeout_s: int = 300
    start_s: int = 120
    host: str = ""


class PoolRole(Role):
    """A role that works without being asked, in one instance.

    Attributes:
        alive: path of the liveness probe.
        start_s: how long it may take to start.
    """

    alive: str
    start_s: int = 120


class JobRole(Role):
    """A role that runs to its end; Cloud Run never retries it: that, Dagster or a person decides."""

    timeout_s: int


_WEB = ("dagster-webserver", "--host", _HOST, "--port", str(PORT), "--workspace", "workspace.yaml")
# A little above `max_runtime_seconds` of dagster.yaml, so that Dagster ends a run and says so.
_RUN_S = 4 * 3600 + 1800
_RUN_ARGS = ("mlops", "--help")  # the launcher says what is executed; started by hand, it explains itself


def _run(size: str, cpu_share: float) -> JobRole:
    return JobRole(
        name=f"run-{size}",
        description=f"One run of the graph, size {size.upper()}; started by the daemon.",
        args=_RUN_ARGS,
        account="run",
        cpu_share=cpu_share,
        bucket="write",
        landing="read",
        timeout_s=_RUN_S,
    )


ROLES: tuple[Role, ...] = (
    ServiceRole(
        name="web",
        description="Dagster for those who operate it.",
        args=_WEB,
        cpu=2,
        memory_gib=4,
        bucket="read",
        landing="read",
        runs="stop",
        ingress="internal-and-cloud-load-balancing",
        alive="/server_info",
        ready="/server_info",
        most=2,
        timeout_s=3600,  # a page's WebSocket is one request
        host="dagster",
    ),
    ServiceRole(
        name="web-readonly",
        description="Dagster for readers: every mutation is refused.",
        args=(*_WEB, "--read-only"),
        cpu=2,
        memory_gib=4,
        bucket="read",
        ingress="internal-and-cloud-load-balancing",
        alive="/server_info",
        ready="/server_info",
        most=2,
        timeout_s=3600,
        host="read",
    ),
    ServiceRole(
        name="scoring",
        description="Scores of the deployed champions, for the operator's systems.",
        args=("mlops", "serve", "--host", _HOST, "--port", str(PORT)),
        cpu=2,
        memory_gib=4,
        bucket="read",
        ingress="internal",
        alive="/healthz",
        # It answers once everything deployed is loaded. Not /readyz: one slot that cannot be loaded would keep every
        # new instance from answering for the others; its own 503 is what the canary sees.
        ready="/healthz",
        least=1,
        most=10,
        always_on=True,  # it follows the pointers between two requests
        timeout_s=60,
    ),
    ServiceRole(
        name="mlflow",
        description="Pages of the model registry.",
        args=("mlops", "mlflow", "--host", _HOST, "--port", str(PORT)),
        cpu=1,
        memory_gib=2,
        bucket="read",
        ingress="internal-and-cloud-load-balancing",
        alive="/health",
        ready="/health",
        host="mlflow",
    ),
    PoolRole(
        name="daemon",
        description="Sensors, schedules and the run queue; one leads, by a lock in the database.",
        args=("mlops", "daemon", "--host", _HOST, "--health-port", str(PORT)),
        cpu=2,
        memory_gib=8,
        bucket="read",
        landing="read",
        runs="launch",
        sends_mail=True,
        alive="/healthz",
    ),
    _run("s", 0.5),
    _run("m", 1.0),
    _run("l", 2.0),
    JobRole(
        name="migrate",
        description="Brings the tables of Dagster, MLflow and the platform to the image's version.",
        args=("mlops", "migrate"),
        cpu=1,
        memory_gib=2,
        timeout_s=1800,
    ),
    JobRole(
        name="agent-updater",
        description="Brings what serves to what the promotion ledger says.",
        args=("mlops", "deploy", "update"),
        cpu=2,
        memory_gib=4,
        bucket="write",
        sends_mail=True,
        timeout_s=1800,
    ),
    JobRole(
        name="smoke",
        description="Asks every store and the daemon whether a release works; changes nothing.",
        args=("mlops", "deploy", "check", "--daemon-within", "300"),
        cpu=1,
        memory_gib=4,
        bucket="read",
        landing="read",
        timeout_s=900,
    ),
)
