"""House rules about files: names, size, what their text may hold."""

from __future__ import annotations

import ast
import re

from tests.conventions.repository import PACKAGES, project_files, python_files, text, tree

_MAX_LINES = 400
_SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}
# Put together here, so that this file does not hold what it forbids.
_REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("repo1", "maven"),
        ("golang", "org"),
    )
]
_MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/\w")


def test_names_say_what_is_inside() -> None:
    offenders = [
        str(path)
        for path in python_files()
        if _SAYS_NOTHING.intersection({*path.parts[:-1], *path.stem.split("_")})
    ]
    assert not offenders


def test_files_are_short() -> None:
    lengths = {str(path): len(text(path).splitlines()) for path in python_files(*PACKAGES)}
    assert not {path: lines for path, lines in lengths.items() if lines > _MAX_LINES}


def test_every_module_has_a_docstring() -> None:
    offenders = [str(path) for path in python_files() if not ast.get_docstring(tree(path))]
    assert not offenders


def test_modules_say_what_belongs_there() -> None:
    offenders = [
        str(path)
        for path in python_files(*PACKAGES)
        if path.stem != "__init__" and "elong" not in (ast.get_docstring(tree(path)) or "")
    ]
    assert not offenders, "say in the module docstring what belongs here and what does not"


def test_no_file_names_a_package_registry() -> None:
    offenders = [str(path) for path in project_files() if any(host in text(path) for host in _REGISTRY_HOSTS)]
    assert not offenders


def test_no_file_names_a_folder_of_one_machine() -> None:
    offenders = [str(path) for path in project_files() if _MACHINE_PATH.search(text(path))]
    assert not offenders


def test_annotations_stay_real_where_dagster_reads_them() -> None:
    offenders = [
        str(path)
        for path in python_files("mlops_assets/assets", "sensors")
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert not offenders, "Dagster resolves the annotations of asset functions; strings break `context`"
