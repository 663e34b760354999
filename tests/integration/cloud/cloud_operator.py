"""One simulated operator twice: on folders and SQLite, and on a bucket and PostgreSQL; and what is compared of both.

Belongs here: building both, reading their logical content. Does not belong here: what has to be equal.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.ports import Lake, PartitionId
from resources.object_store import ObjectStore
from tests.integration.cloud.postgres_server import USER, PostgresServer

PASSWORD_VARIABLE = "TEST_DATABASE_PASSWORD"  # noqa: S105 - a name
ENVIRONMENT = "cloud_test"


def write_environment(configs: Path, server: PostgresServer, bucket: str) -> None:
    """Add an environment on the services of this machine to a folder of configs."""
    databases = {name: server.create_database() for name in ("platform", "dagster", "mlflow")}
    local = yaml.safe_load((configs / "environments" / "local.yaml").read_text())
    settings = {
        **local,
        "name": ENVIRONMENT,
        "storage": {"kind": "gcs", "bucket": bucket},
        "database": {
            "kind": "postgresql",
            "host": "127.0.0.1",
            "port": server.port,
            "user": USER,
            "password_variable": PASSWORD_VARIABLE,
            "tls": "none",
            **databases,
        },
    }
    (configs / "environments" / f"{ENVIRONMENT}.yaml").write_text(yaml.safe_dump(settings))


def upload_landing(home: Path, bucket: str) -> None:
    """Deliver the files of a data root into the bucket, as the operator would."""
    store = ObjectStore(bucket, "landing")
    for path in sorted((home / "landing").glob("*/*.*")):
        store.upload(path.relative_to(home / "landing").as_posix(), path)


def run_days(home: Path, configs: Path, environment: str, first: dt.date, last: dt.date) -> Site:
    """Run days in this process."""
    workspace = Workspace.of_one_process(home, load_project([configs], environment))
    with workspace.open_instance() as instance:
        results = Replay(workspace, instance).run(first, last, lambda _: None)
    return Site(workspace, results)


@dataclass(frozen=True)
class Site:
    """A workspace whose days were run."""

    workspace: Workspace
    results: list[DayResult]

    def days(self) -> list[tuple[object, ...]]:
        """Return what each day reported."""
        return [
            (r.day, r.status, r.rows, r.quarantined_rows, r.scored_rows, r.findings) for r in self.results
        ]

    def decisions(self) -> list[tuple[object, ...]]:
        """Return every decision of the ledger, without hashes of files: skops writes a model in other bytes."""
        ledger = self.workspace.platform.ledger
        return [
            (e.slot, e.outcome, e.version, e.previous_version, e.reasons, e.as_of_day)
            for slot in ledger.slots()
            for e in ledger.history(slot)
        ]

    def tables(self) -> dict[str, tuple[str, int, str]]:
        """Return build key, row count and hash of the sorted rows of every partition.

        The key of the day's log holds the times of files; that of models, fleets, scores and what follows from scores
        the bytes of a model.
        """
        lake = self.workspace.platform.lake
        found = {str(partition): _content(lake, partition) for partition in self._partitions()}
        return {
            name: ("" if name.startswith(_OWN_KEYS) else key, *rest) for name, (key, *rest) in found.items()
        }

    def reports(self) -> dict[str, str]:
        """Return every report's text by its path, without moments, durations and ids.

        Left out: what a week cost here, and pages of model cards and fleets, whose figures are there as JSON and CSV.
        """
        store = self.workspace.platform.reports
        found = {
            path: _without_cost(_settled(store.read(path)))
            for path in store.list()
            if not path.startswith("utilisation/") and not ("/fleet/" in path and path.endswith(".html"))
        }
        cards = {path: text for path, text in found.items() if path.startswith("model_cards/")}
        settled = {
            path: re.sub(_OF_A_FIT, "", text) for path, text in cards.items() if path.endswith(".json")
        }
        return {**{path: text for path, text in found.items() if path not in cards}, **settled}

    def mails(self) -> dict[str, list[object]]:
        """Return state and attempts of every mail by report and subject, numbered where several are alike."""
        found: dict[str, list[object]] = {}
        for one in self.workspace.platform.outbox.entries():
            name = re.sub(_OF_A_DECISION, "/DECISION", f"{one.key} {one.subject}")
            number = sum(key.startswith(f"{name} ") for key in found)
            found[f"{name} {number}"] = [one.state, one.attempts]
        return found

    def _partitions(self) -> list[PartitionId]:
        environment = self.workspace.config.environment
        if environment.storage.kind == "gcs":
            store = ObjectStore(environment.storage.bucket, environment.storage.lake)
            found = [item.name for item in store.list()]
        else:
            root = self.workspace.home / environment.storage.lake
            found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return [_partition(name) for name in sorted(found) if name.endswith("/manifest.json")]


def _partition(name: str) -> PartitionId:
    *table, segment, day, _ = name.split("/")
    return PartitionId("/".join(table), segment, None if day == "all" else dt.date.fromisoformat(day))


def _content(lake: Lake, partition: PartitionId) -> tuple[str, int, str]:
    manifest = lake.manifest(partition)
    assert manifest is not None
    digests = []
    for role, name in sorted(manifest.files.items()):
        path = lake.path(partition, role)
        if name.endswith(".parquet"):
            rows = _rows(path)
        elif name.endswith(
            ".tar"
        ):  # CatBoost writes moments into its files; what they predict is in the figures
            rows = [str(manifest.facts["figures"])]
        else:
            rows = [_settled(path.read_bytes())]
        digests.append(f"{role} {sha256(chr(10).join(rows).encode()).hexdigest()}")
    return manifest.build_key, manifest.row_count, " ".join(digests)


def _rows(path: Path) -> list[str]:
    """Return the rows of a table in order, without what was spent on them."""
    table = pq.read_table(path)
    return sorted(map(str, table.select([n for n in table.column_names if n != _COST]).to_pylist()))


def _without_cost(text: str) -> str:
    """Return a CSV whose last column is CPU seconds without that column, any other text as it is."""
    first, *rest = text.split("\n")
    if not first.rstrip("\r").endswith(f",{_COST}"):
        return text
    return "\n".join(line.rpartition(",")[0] for line in (first, *rest))


_COST = "cpu_seconds"
_OWN_KEYS = (
    "reports/day_log",
    "model/",
    "scores/",
    "fleet/",
    "fleet_history/",
    "alerts/",
    "matched/",
    "offers/",
)
_OF_A_DECISION = r"/[0-9a-f]{16}(?=\])"
_OF_A_FIT = r'"(fit_seconds|bundle_sha256)": [^,\n]*'
_VOLATILE = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
    (r"\b[0-9a-f]{32}\b", "MLFLOW-RUN"),
    (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( UTC|Z|\+00:00)?", "MOMENT"),
    (r"\d+(\.\d+)? (ms|s)\b", "DURATION"),
)


def _settled(content: bytes) -> str:
    text: str = content.decode("utf-8", errors="replace")
    for pattern, word in _VOLATILE:
        text = re.sub(pattern, word, text)
    today = dt.datetime.now(dt.UTC).date()
    for day in (today - dt.timedelta(days=1), today):  # the summary names the day of its execution
        text = text.replace(day.isoformat(), "EXECUTION-DAY")
    return text


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the keys under which two dictionaries differ."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
