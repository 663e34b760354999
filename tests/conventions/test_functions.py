"""House rules about functions: length, and what they may ask the machine for."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conventions.repository import PACKAGES, python_files, tree

_MEDIAN_LINES, _P90_LINES, _MAX_LINES, _MAX_GRAPH_BODY_LINES = 15, 40, 60, 30
_GRAPH_DECORATORS = {"asset", "asset_check", "multi_asset", "multi_asset_check", "schedule", "sensor"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(*folders: str) -> Iterator[tuple[Path, Function]]:
    for path in python_files(*folders):
        for node in ast.walk(tree(path)):
            if isinstance(node, Function):
                yield path, node


def _code_lines(node: Function) -> int:
    """Count the lines from `def` to the end, without the docstring."""
    first = node.body[0]
    is_documented = ast.get_docstring(node, clean=False) is not None
    docstring_lines = (first.end_lineno or first.lineno) - first.lineno + 1 if is_documented else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines


def _decorator_name(decorator: ast.expr) -> str:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def test_functions_are_short() -> None:
    lines = {f"{path}:{node.lineno} {node.name}": _code_lines(node) for path, node in _functions(*PACKAGES)}
    assert not {where: count for where, count in lines.items() if count > _MAX_LINES}
    assert statistics.median(lines.values()) <= _MEDIAN_LINES
    assert statistics.quantiles(lines.values(), n=10)[-1] < _P90_LINES


def test_bodies_of_assets_and_sensors_are_thin() -> None:
    offenders = {}
    for path, node in _functions("mlops_assets/assets", "sensors"):
        if _GRAPH_DECORATORS.intersection(map(_decorator_name, node.decorator_list)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > _MAX_GRAPH_BODY_LINES:
                offenders[f"{path}:{node.lineno} {node.name}"] = lines
    assert not offenders


def _asks_for_naive_time(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    is_aware = bool(node.args or node.keywords)
    return {
        "utcnow": True,
        "utcfromtimestamp": True,
        "today": True,
        "now": not is_aware,
        "fromtimestamp": len(node.args) + len(node.keywords) < 2,
    }.get(node.func.attr, False)


def _asks_the_machine(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute):
        return False
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    return node.attr in {"utcnow", "now", "today"} or (owner, node.attr) in {
        ("os", "environ"),
        ("os", "getenv"),
        ("time", "time"),
        ("time", "time_ns"),
    }


def _places(check: object, *folders: str) -> list[str]:
    assert callable(check)
    return [
        f"{path}:{getattr(node, 'lineno', 0)}"
        for path in python_files(*folders)
        for node in ast.walk(tree(path))
        if check(node)
    ]


def test_no_naive_datetime() -> None:
    assert not _places(_asks_for_naive_time, *PACKAGES, "benchmarks", "tests")


def test_domain_sees_neither_clock_nor_environment() -> None:
    assert not _places(_asks_the_machine, "mlops_assets/domain")


@pytest.mark.parametrize(
    ("code", "is_wrong"),
    [
        ("dt.datetime.now()", True),
        ("datetime.utcnow()", True),
        ("date.today()", True),
        ("datetime.fromtimestamp(0)", True),
        ("datetime.now(tz=UTC)", False),
        ("datetime.fromtimestamp(0, UTC)", False),
    ],
)
def test_naive_time_is_recognised(code: str, is_wrong: bool) -> None:
    assert any(map(_asks_for_naive_time, ast.walk(ast.parse(code)))) is is_wrong
