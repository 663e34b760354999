"""What the house rules are checked against: the project's own files.

Belongs here: finding and parsing them. Does not belong here: any rule.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mlops_assets", "resources", "sensors", "deploy", "docs_site")
_NOT_OURS = {".venv", ".git", "var", "__pycache__", "node_modules", "build", "dist"}


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that is, or would be, committed; relative to the root."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
            "\0"
        )
        found = {Path(name) for name in names if name}
    else:
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*")}
    return tuple(
        sorted(path for path in found if not _NOT_OURS.intersection(path.parts) and (ROOT / path).is_file())
    )


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Return the Python files below these top-level folders, all of them if none is named."""
    return tuple(
        path
        for path in project_files()
        if path.suffix == ".py"
        and (not folders or path.as_posix().startswith(tuple(f"{f}/" for f in folders)))
    )


@cache
def tree(path: Path) -> ast.Module:
    """Parse a file of the project."""
    return ast.parse(text(path), filename=str(path))


@cache
def text(path: Path) -> str:
    """Read a file of the project; bytes that are not UTF-8 are replaced."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


@cache
def pyproject() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads(text(Path("pyproject.toml")))
