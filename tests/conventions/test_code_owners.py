"""House rule: every file of the configuration has a reviewer, and it is the team that the file names as its owner."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conventions.repository import project_files, text

_CONFIGS = [path for path in project_files() if path.parts[0] == "configs"]


def _lines() -> list[tuple[str, list[str]]]:
    words = [line.split() for line in text(Path("CODEOWNERS")).splitlines()]
    return [(line[0], line[1:]) for line in words if line and not line[0].startswith("#")]


def _fits(pattern: str, path: Path) -> bool:
    name = f"/{path.as_posix()}"
    return name.startswith(pattern) if pattern.endswith("/") else name == pattern


def _owners(path: Path) -> list[str]:
    fitting = [owners for pattern, owners in _lines() if _fits(pattern, path)]
    return fitting[-1] if fitting else []


@pytest.mark.parametrize("path", _CONFIGS, ids=str)
def test_every_config_file_has_its_owner(path: Path) -> None:
    owners = _owners(path)
    assert owners, "add a line to CODEOWNERS"
    assert all(owner.startswith("@operator/") for owner in owners)
    named = yaml.safe_load(text(path)).get("owner", "") if path.suffix == ".yaml" else ""
    if named:
        assert owners == [named.replace("team:", "@operator/")]


def test_every_line_is_about_something() -> None:
    for pattern, owners in _lines():
        assert owners, pattern
        assert not set("*?[!") & set(pattern), "the test reads plain paths and folders only"
        assert any(_fits(pattern, path) for path in project_files()), pattern


def test_nobody_is_asked_twice_by_one_file() -> None:
    patterns = [pattern for pattern, _ in _lines()]
    assert len(set(patterns)) == len(patterns)
