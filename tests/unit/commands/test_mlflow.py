"""`mlops mlflow`: what the server is told, and that no password is among its words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import cli
from mlops_assets.commands.mlflow import (
    ARTIFACTS_VARIABLE,
    STORE_VARIABLE,
    server_command,
    server_environment,
)
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import ConfigError

PASSWORD = "p@ss/w:rd"  # noqa: S105 - of no server


@pytest.fixture
def cloud(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, load_project(environment="gcp"))


def test_the_database_of_the_environment_is_shown(cloud: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_PASSWORD", PASSWORD)
    told = server_environment(cloud)
    assert told[STORE_VARIABLE].startswith("postgresql+psycopg2://mlops:p%40ss%2Fw%3Ard@localhost")
    assert "/mlflow?" in told[STORE_VARIABLE]
    assert told[ARTIFACTS_VARIABLE] == "gs://mlops-assets-production/mlflow/artifacts"
    assert PASSWORD not in " ".join(server_command(cloud, "127.0.0.1", 5000))


def test_only_its_own_host_names_are_answered(cloud: Workspace) -> None:
    words = server_command(cloud, "127.0.0.1", 8080)
    allowed = words[words.index("--allowed-hosts") + 1].split(",")
    assert "mlflow.mlops.operator.example" in allowed
    assert "*" not in allowed


def test_without_the_password_nothing_starts(cloud: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_DATABASE_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="password"):
        server_environment(cloud)


def test_a_laptop_without_a_registry_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="nothing was tracked yet"):
        CliRunner().invoke(cli, ["mlflow"], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_this_process_becomes_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").touch()
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execvp", lambda program, words: started.append((program, words)))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    CliRunner().invoke(cli, ["mlflow", "--port", "5001"], catch_exceptions=False)
    ((program, words),) = started
    assert (program, words[:2]) == ("mlflow", ["mlflow", "server"])
    assert words[words.index("--port") + 1] == "5001"
    assert os.environ[STORE_VARIABLE] == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
