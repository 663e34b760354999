"""House rules about imports that import-linter (`make contracts`) cannot see."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.conventions.repository import PACKAGES, ROOT, pyproject, python_files

_OUTSIDE = {"dagster", "mlflow", "google.cloud"}
_HEAVY = _OUTSIDE | {"pandas", "sklearn", "catboost", "prophet", "skops", "optuna", "matplotlib"}
_LOAD = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(list(sys.modules)))
"""


def _loaded_by(modules: list[str]) -> set[str]:
    command = [sys.executable, "-c", _LOAD, *modules]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def _modules(*folders: str) -> list[str]:
    return [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in python_files(*folders)
        if path.name != "__main__.py"
    ]


@pytest.mark.parametrize("package", ["mlops_assets", "mlops_assets.domain", "mlops_assets.config"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert not _loaded_by([package]) & _HEAVY


def test_domain_and_config_load_no_orchestrator_registry_or_cloud() -> None:
    assert not _loaded_by(_modules("mlops_assets/domain", "mlops_assets/config")) & _OUTSIDE


def test_every_part_of_the_house_has_its_layer() -> None:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = {part.strip(" ()") for layer in layers for part in re.split(r"[|:]", layer)}
    present = {".".join(module.split(".")[:2]) for module in _modules("mlops_assets")} - {"mlops_assets"}
    assert present | set(PACKAGES) - {"mlops_assets"} == named
