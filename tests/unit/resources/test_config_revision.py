"""Folders of a commit are laid out as they were, and what git does not know is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlops_assets.domain.errors import ConfigError
from resources.config_revision import folders_at


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@operator.example"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit of two config folders, and a change since."""
    folder = tmp_path / "repository"
    for name in ("configs", "more/configs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.yaml").write_text("old: 1\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    (folder / "configs" / "a.yaml").write_text("new: 1\n")
    (folder / "configs" / "b.yaml").write_text("new: 1\n")
    return folder


def test_folders_are_those_of_the_commit(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    roots = [repository / "configs", repository / "more" / "configs", repository / "later", outside]
    with folders_at(roots, "HEAD") as found:
        assert [sorted(p.name for p in root.iterdir()) for root in found.roots] == [
            ["a.yaml"],
            ["a.yaml"],
            [],
            [],
        ]
        assert (found.roots[0] / "a.yaml").read_text() == "old: 1\n"
        assert found.roots[3] == outside
        assert found.rename(f"where: {found.roots[0]}/a.yaml:1") == "where: HEAD:configs/a.yaml:1"
        assert len(found.commit) == 40
    assert not found.top.exists()
    assert (repository / "configs" / "a.yaml").read_text() == "new: 1\n"


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "", "HEAD:configs"])
def test_unknown_revision_is_refused(repository: Path, revision: str) -> None:
    with (
        pytest.raises(ConfigError, match="git knows no commit"),
        folders_at([repository / "configs"], revision),
    ):
        pass


def test_folder_that_the_revision_lacks_is_refused(repository: Path) -> None:
    (repository / "later").mkdir()
    with pytest.raises(ConfigError, match="has no later"), folders_at([repository / "later"], "HEAD"):
        pass


def test_a_revision_that_is_not_all_here_is_not_taken_for_empty(repository: Path) -> None:
    """As in a clone without blobs, or a damaged one."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD:more/configs/a.yaml"],
        check=True,
        capture_output=True,
    )
    blob = listed.stdout.decode().strip()
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    roots = [repository / "configs", repository / "more" / "configs"]
    with pytest.raises(ConfigError, match=r"cannot read configs.*fetch"), folders_at(roots, "HEAD"):
        pass


def test_outside_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in no git repository"), folders_at([tmp_path], "HEAD"):
        pass


def test_without_git_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="git cannot be run"), folders_at([repository], "HEAD"):
        pass
