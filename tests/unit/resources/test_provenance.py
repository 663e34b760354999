"""Where code says that it comes from: the repository that it is in, or the image's build."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from resources.provenance import COMMIT_VARIABLE, GitProvenance

if TYPE_CHECKING:
    import pytest

BUILT_FROM = "b" * 40


def test_without_a_repository_the_image_says_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.lock").write_text("x==1\n")
    monkeypatch.setenv(COMMIT_VARIABLE, BUILT_FROM)
    assert GitProvenance(tmp_path).stamps() == {
        "git_commit": BUILT_FROM,
        "is_git_dirty": False,
        "environment_lock_sha256": sha256(b"x==1\n").hexdigest(),
    }


def test_without_either_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    assert GitProvenance(tmp_path).stamps()["git_commit"] == "unknown"


def test_a_repository_is_believed_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@operator.example"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    monkeypatch.setenv(COMMIT_VARIABLE, BUILT_FROM)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert GitProvenance(tmp_path).stamps()["git_commit"] == head
