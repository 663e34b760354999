"""The image: what goes in, who it runs as, what it starts with."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.__main__ import FOLDER, cloud_environments
from tests.conventions.repository import ROOT, project_files

Instruction = tuple[str, str]


def _instructions() -> list[Instruction]:
    """Return the Dockerfile's instructions in order, with their words on one line."""
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(name.upper(), words) for name, words in (line.split(maxsplit=1) for line in lines)]


def _words(name: str) -> list[str]:
    return [words for instruction, words in _instructions() if instruction == name]


def _is_in_context(path: str) -> bool:
    """Whether .dockerignore lets a file in: the last line that fits decides."""
    is_in = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = [path, *map(str, Path(path).parents)]
        fits = any(fnmatch.fnmatchcase(part, pattern) for part in parts) or (
            pattern.startswith("**/") and pattern[3:] in Path(path).parts
        )
        if fits:
            is_in = line.startswith("!")
    return is_in


def test_the_base_has_no_default_and_is_used_by_both_stages() -> None:
    assert _instructions()[0] == ("ARG", "BASE_IMAGE")
    assert _words("FROM") == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    names = [name for name, _ in _instructions()]
    last_user = len(names) - 1 - names[::-1].index("USER")
    user, group = _words("USER")[-1].split(":")
    assert user.isdigit()
    assert group.isdigit()
    assert int(user) >= 10_000
    assert not {"COPY", "RUN"} & set(names[last_user:]), "nothing is made after root is left"


def test_packages_are_installed_from_the_hashed_lock_alone() -> None:
    installs = [part.strip() for run in _words("RUN") for part in run.split("&&") if " install -qq" in part]
    locked, ours = installs
    for option in (
        "--require-hashes",
        "--no-deps",
        "--only-binary :all:",
        "-r /app/requirements-runtime.lock",
    ):
        assert option in locked
    for option in ("--no-deps", "--no-build-isolation", "--no-index", "--editable ."):
        assert option in ours


def test_nothing_is_fetched_by_the_build_but_packages() -> None:
    assert _words("ADD") == []
    text = " ".join(_words("RUN"))
    assert not re.search(r"curl|wget|apt|git |http", text)


def test_no_secret_is_in_it() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    declared = " ".join([*_words("ENV"), *_words("ARG")])
    assert not re.search(r"PASSWORD|TOKEN|KEY|CREDENTIAL", declared)
    assert "--mount=type=secret" not in text


def test_what_is_copied_is_there() -> None:
    sources = [words.split()[:-1] for words in _words("COPY") if not words.startswith("--from")]
    assert sources
    for source in (path for paths in sources for path in paths):
        assert (ROOT / source).exists(), source


def test_only_code_and_configuration_get_in() -> None:
    inside = {path.as_posix() for path in project_files() if _is_in_context(path.as_posix())}
    tops = {path.split("/")[0] for path in inside}
    assert tops == {
        "LICENSE", "README.md", "VERSION", "pyproject.toml", "requirements-runtime.lock", "requirements.lock",
        "workspace.yaml", "configs", "deploy", "mlops_assets", "resources", "sensors",
    }  # fmt: skip
    instances = {f"deploy/{name}/dagster.yaml" for name in ("local", *(e.name for e in cloud_environments()))}
    assert {path for path in inside if path.startswith("deploy/")} == {"deploy/entrypoint.sh", *instances}
    assert not [
        path for path in inside if path.endswith((".cbm", ".skops", ".parquet", ".db", ".pem", ".key"))
    ]


@pytest.mark.parametrize(
    "path", ["var/lake/x.parquet", ".git/config", ".venv/pyvenv.cfg", "tests/conftest.py", ".env"]
)
def test_what_lies_about_stays_outside(path: str) -> None:
    assert not _is_in_context(path)


def test_the_entry_point_is_there_and_can_be_started() -> None:
    assert _words("ENTRYPOINT") == ['["/app/deploy/entrypoint.sh"]']
    assert (FOLDER / "entrypoint.sh").stat().st_mode & stat.S_IXUSR


def _enter(home: Path, environment: str, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "MLOPS_HOME": str(home), "MLOPS_ENVIRONMENT": environment}
    command = [str(FOLDER / "entrypoint.sh"), *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("environment", ["gcp", "staging"])
def test_a_role_finds_the_dagster_instance_of_its_environment(tmp_path: Path, environment: str) -> None:
    result = _enter(tmp_path, environment, "sh", "-c", 'echo "$DAGSTER_HOME"; exit 7')
    assert result.returncode == 7, "the role's own exit status"
    home = Path(result.stdout.strip())
    assert home == tmp_path / "dagster_home"
    assert (home / "dagster.yaml").read_text() == (FOLDER / environment / "dagster.yaml").read_text()


def test_an_environment_without_an_instance_is_refused(tmp_path: Path) -> None:
    result = _enter(tmp_path, "nowhere", "true")
    assert result.returncode == 64
    assert "mlops config render" in result.stderr
    assert list(tmp_path.iterdir()) == []
