"""Who may approve, from the files of a project and the repository that they are in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlops_assets.config.approval_plan import approval_rules, last_author, use_case_file
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.ports import ModelSlot, Person
from resources.provenance import GitProvenance

ANA = Person("Ana Rojas", "ana@operator.example")
BO = Person("Bo Lind", "bo@operator.example")


def git(folder: Path, *words: str, by: Person = ANA) -> None:
    """Run git as somebody."""
    identity = ["-c", f"user.name={by.name}", "-c", f"user.email={by.email}", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> ProjectConfig:
    """The project's configuration with the use case's file in a repository; Ana wrote it."""
    folder = tmp_path / "configs" / "use_cases"
    folder.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    (folder / "loyalty.yaml").write_text("name: loyalty\n")
    (tmp_path / "notes.txt").write_text("Bo's")
    git(tmp_path, "add", "configs")
    git(tmp_path, "commit", "-q", "-m", "loyalty")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "-q", "-m", "notes", by=BO)
    return load_project().model_copy(update={"roots": (tmp_path / "nothing", tmp_path / "configs")})


def author(project: ProjectConfig) -> Person | None:
    """Return who last changed the use case, as git knows it."""
    return last_author(project, "loyalty", GitProvenance(project.roots[1]))


def test_author_is_who_last_changed_the_file_and_nobody_else(project: ProjectConfig) -> None:
    assert author(project) == ANA
    file = use_case_file(project, "loyalty")
    assert file == project.roots[1] / "use_cases" / "loyalty.yaml"
    file.write_text(file.read_text() + "# Bo was here\n")
    assert author(project) is None, "what is not committed has no author"
    git(file.parent, "commit", "-q", "-a", "-m", "more", by=BO)
    assert author(project) == BO


def test_file_that_was_never_committed_has_no_author(project: ProjectConfig) -> None:
    file = use_case_file(project, "loyalty")
    assert file is not None
    renamed = file.rename(file.with_name("other.yaml"))
    assert last_author(project, "other", GitProvenance(renamed.parent)) is None
    assert last_author(project, "loyalty", GitProvenance(renamed.parent)) is None


def test_without_repository_nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "file.yaml").write_text("a: 1")
    provenance = GitProvenance(tmp_path)
    assert provenance.last_author(tmp_path / "file.yaml") is None
    assert provenance.user() is None


def test_user_is_that_of_the_repository(project: ProjectConfig) -> None:
    root = project.roots[1]
    git(root, "config", "user.name", "Bo Lind")
    git(root, "config", "user.email", "bo@operator.example")
    assert GitProvenance(root).user() == BO
    assert str(BO) == "Bo Lind <bo@operator.example>"


def test_rules_are_those_of_the_slot_or_the_defaults(project: ProjectConfig) -> None:
    assert approval_rules(project, ModelSlot("churn", "churn_risk", "cl")).mode == "auto"
    churn = project.use_cases["churn"]
    manual = churn["cl"].approval.model_copy(update={"mode": "manual"})
    changed = {**churn, "cl": churn["cl"].model_copy(update={"approval": manual})}
    config = project.model_copy(update={"use_cases": {"churn": changed}})
    assert approval_rules(config, ModelSlot("churn", "churn_risk", "cl")).mode == "manual"
    assert approval_rules(config, ModelSlot("churn", "churn_risk", "pe")).mode == "auto"
    assert approval_rules(config, ModelSlot("gone", "gone", "cl")).mode == "auto"
