"""House rules about calls that could run what somebody else has written; ruff's rules S (bandit's) hold beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conventions.repository import PACKAGES, pyproject, python_files, text, tree

# Module or attribute, as it is written at the call, and what is used instead. Those of bandit are left to ruff.
_FORBIDDEN = {
    "joblib.load": "native formats and skops",
    "joblib.dump": "native formats and skops",
    "cloudpickle.loads": "native formats and skops",
    "dill.loads": "native formats and skops",
    "marshal.loads": "JSON",
    "shelve.open": "JSON",
    "pd.read_pickle": "Parquet",
    "skops.io.get_untrusted_types": "a list of trusted types in the plug-in",
    "mlflow.pyfunc.load_model": "the registry resource, which verifies bundles",
    "mlflow.sklearn.load_model": "the registry resource, which verifies bundles",
    "mlflow.catboost.load_model": "the registry resource, which verifies bundles",
    "yaml.load": "config.yaml_source.read_yaml",
    "yaml.unsafe_load": "config.yaml_source.read_yaml",
    "yaml.full_load": "config.yaml_source.read_yaml",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "tempfile.mktemp": "tempfile.TemporaryDirectory",
    "shutil.unpack_archive": "domain.offers.folder_archive",
}
_FORBIDDEN_ARGUMENTS = {("allow_pickle", True), ("shell", True), ("verify", False), ("autoescape", False)}
_EXCUSED = re.compile(r"# noqa: (?=[^#]*\bS\d{3})[A-Z0-9, ]+(.*)$", re.MULTILINE)


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _find_unsafe(module: ast.Module) -> list[str]:
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    named = [ast.unparse(node.func) for node in calls if ast.unparse(node.func) in _FORBIDDEN]
    given = [
        f"{word.arg}={word.value.value}"
        for node in calls
        for word in node.keywords
        if isinstance(word.value, ast.Constant) and (word.arg, word.value.value) in _FORBIDDEN_ARGUMENTS
    ]
    return named + given


def test_nothing_is_called_that_runs_others_code() -> None:
    found = {str(path): unsafe for path in python_files(*PACKAGES) if (unsafe := _find_unsafe(tree(path)))}
    assert not found, _FORBIDDEN


@pytest.mark.parametrize(
    "code",
    ["joblib.load(p)", "np.load(p, allow_pickle=True)", "run(c, shell=True)", "yaml.load(t, Loader=x)"],
)
def test_the_rule_sees_what_it_forbids(code: str) -> None:
    assert _find_unsafe(ast.parse(code))


def test_arrays_are_loaded_without_objects() -> None:
    silent = [
        f"{path}:{node.lineno}"
        for path in python_files(*PACKAGES)
        for name, node in _calls(path)
        if name in {"np.load", "numpy.load"} and "allow_pickle" not in {word.arg for word in node.keywords}
    ]
    assert not silent, "say allow_pickle=False, so that no default has to be remembered"


def test_processes_end_in_time() -> None:
    patient = [
        f"{path}:{node.lineno}"
        for path in python_files(*PACKAGES)
        for name, node in _calls(path)
        if name in {"subprocess.run", "subprocess.check_output"}
        and "timeout" not in {w.arg for w in node.keywords}
    ]
    assert not patient


def test_bandits_rules_are_on_for_the_product() -> None:
    lint = pyproject()["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)]
    excused = {
        folder: [rule for rule in rules if re.fullmatch(r"S\d+", rule)]
        for folder, rules in lint["per-file-ignores"].items()
        if folder.startswith(PACKAGES)
    }
    assert {folder: rules for folder, rules in excused.items() if rules} == {
        "mlops_assets/sandbox/**": ["S311", "S608"],
        "resources/duckdb_engine.py": ["S608"],
    }


def test_exceptions_from_them_say_why() -> None:
    silent = [
        f"{path}: {match[0]}"
        for path in python_files(*PACKAGES)
        for match in _EXCUSED.finditer(text(path))
        if not match[1].strip(" -")
    ]
    assert not silent
