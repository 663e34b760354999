"""`mlops doctor` where the stores are a bucket and a server: before, after and without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cloud.cloud_operator import ENVIRONMENT, PASSWORD_VARIABLE, write_environment
from tests.integration.cloud.gcs_server import FaultyProxy
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_configs

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def cloud(
    tmp_path: Path, postgres: PostgresServer, bucket: str, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line over empty databases and an empty bucket."""
    configs = copy_configs(tmp_path / "configs")
    write_environment(configs, postgres, bucket)
    mlops.use(tmp_path / "home", configs)
    monkeypatch.setenv("MLOPS_ENVIRONMENT", ENVIRONMENT)
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return mlops


def look(mlops: CommandLine) -> tuple[int, dict[str, str], dict[str, str]]:
    """Run the doctor: its status, and what it said of what is not as it should be, with the remedy, by part."""
    told = mlops("doctor", "--json")
    wrong = [one for one in json.loads(told.out)["findings"] if one["level"] != "ok"]
    return (
        told.status,
        {one["part"]: one["found"] for one in wrong},
        {one["part"]: one["remedy"] for one in wrong},
    )


@pytest.mark.slow  # MLflow brings its tables through all its releases
def test_only_the_migration_and_the_daemon_are_missing(
    cloud: CommandLine, postgres: PostgresServer, bucket: str
) -> None:
    status, found, remedies = look(cloud)
    assert (status, found, remedies) == (
        0, {"Dagster": "it has no tables yet"}, {"Dagster": "mlops migrate"}
    )  # fmt: skip
    assert cloud("migrate").out.startswith("promotion ledger: created"), "looking had created nothing"
    status, found, remedies = look(cloud)
    assert (status, found, remedies) == (
        1, {"daemon": "it has never reported"}, {"daemon": "mlops daemon"}
    )  # fmt: skip
    told = cloud("doctor").out
    assert told.count(f": 127.0.0.1:{postgres.port} lets us in") == 3
    assert f"bucket {bucket}: answers" in told


def test_what_does_not_answer_is_named_and_nothing_waits_for_it(
    cloud: CommandLine, proxy: FaultyProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer, said in ((403, "is not open to us"), (404, "has no such bucket"), (503, "does not answer")):
        proxy.fault = lambda *_, answer=answer: answer
        status, found, _ = look(cloud)
        assert (status, list(found)) == (1, [f"bucket {bucket}"])
        assert said in found[f"bucket {bucket}"]
    proxy.fault = lambda *_: None
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    status, found, remedies = look(cloud)
    assert status == 1
    assert [part.split()[0] for part in found] == ["database"] * 3
    assert all("password authentication failed" in said for said in found.values())
    assert all(PASSWORD_VARIABLE in remedy for remedy in remedies.values())
    monkeypatch.delenv(PASSWORD_VARIABLE)
    status, found, remedies = look(cloud)
    assert (status, remedies["secrets"]) == (1, f"export {PASSWORD_VARIABLE}=...")
    assert found["servers"].startswith("the password of the database is not set")
