"""Groups of assets are counted, ordered and drawn, whatever they are called."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from docs_site.graph_picture import count_groups, describe_groups, draw_groups
from mlops_assets.domain.reporting.lineage_page import LineageNode


def _node(key: str, group: str, *parents: str) -> LineageNode:
    return LineageNode(key=key, stage=key.partition("/")[0], group=group, parents=parents)


NODES = [
    _node("feeds/a", "shared"),
    _node("etl/b", "shared", "feeds/a"),
    _node("model/x", "a<b", "etl/b"),
    _node("scores/x", "a<b", "model/x", "etl/b"),
    _node("reports/all", "operation", "scores/x", "etl/b", "feeds/gone"),
]


def test_dependencies_between_groups_are_counted() -> None:
    groups = count_groups(NODES)
    assert groups.stages == {
        "a<b": {"model": 1, "scores": 1},
        "operation": {"reports": 1},
        "shared": {"feeds": 1, "etl": 1},
    }
    assert groups.passes == {("a<b", "operation"): 1, ("shared", "a<b"): 2, ("shared", "operation"): 1}
    assert groups.in_order() == ["shared", "a<b", "operation"]


def test_groups_that_rest_on_each_other_are_ordered_all_the_same() -> None:
    both = [_node("etl/x", "one", "etl/y"), _node("etl/y", "two", "etl/x")]
    assert sorted(count_groups(both).in_order()) == ["one", "two"]


def test_picture_says_in_words_what_it_draws() -> None:
    picture = ET.fromstring(draw_groups(count_groups(NODES)))  # noqa: S314 - our own
    names = {"svg": "http://www.w3.org/2000/svg"}
    words = [text.text for text in picture.iterfind(".//svg:text", names)]
    assert {"shared", "a<b", "operation", "2"} <= set(words)
    assert len(picture.findall("svg:path", names)) == 3
    description = picture.findtext("svg:desc", namespaces=names)
    assert description == "a<b to operation: 1; shared to a<b: 2; shared to operation: 1"
    assert "prefers-color-scheme:dark" in (picture.findtext("svg:style", namespaces=names) or "")


def test_tables_hold_the_same() -> None:
    tables = describe_groups(count_groups(NODES))
    assert "| `shared` | 2 | feeds\u00a01, etl\u00a01 |" in tables
    assert "| `shared` | `a<b` | 2 |" in tables
