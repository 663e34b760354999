"""One data root has one history, whatever the shell says."""

from pathlib import Path

import pytest

from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import ConfigError


def test_foreign_dagster_home_does_not_split_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(foreign))
    workspace = Workspace(tmp_path / "home", load_project())
    with workspace.open_instance() as instance:
        assert instance.root_directory == str(tmp_path / "home" / "dagster_home")
    assert list(foreign.iterdir()) == []
    assert str(foreign) in capsys.readouterr().err


def test_own_dagster_home_needs_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    with Workspace(tmp_path, load_project()).open_instance():
        assert capsys.readouterr().err == ""


def test_places_are_named_as_the_environment_has_them(tmp_path: Path) -> None:
    local, cloud = (Workspace(tmp_path, load_project(environment=name)) for name in ("local", "gcp"))
    assert local.where("lake") == str(tmp_path / "lake")
    storage = cloud.config.environment.storage
    assert cloud.where("lake") == f"gs://{storage.bucket}/lake"
    assert cloud.where("landing") == f"gs://{storage.landing_bucket}/landing"
    with pytest.raises(ConfigError, match="reads a bucket"):
        sandbox_arguments(cloud)
    assert sandbox_arguments(local)["landing"] == tmp_path / "landing"
