"""A copy of the project's configuration that a test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.config.loader import PROJECT_CONFIGS

Edit = Callable[[str, str, str], str]


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of configs/ in a temporary folder."""
    return Path(shutil.copytree(PROJECT_CONFIGS, tmp_path / "configs"))


@pytest.fixture
def edit(configs: Path) -> Edit:
    """Replace a text in one file of the copy (it must be there); returns `file:line` of the new text's end."""

    def replace(file: str, old: str, new: str) -> str:
        path = configs / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))
        return f"{path.name}:{text[: text.index(old)].count(chr(10)) + new.count(chr(10)) + 1}"

    return replace
