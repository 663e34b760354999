"""What every report store promises, and where the local one may write."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from mlops_assets.domain.errors import StorageError
from resources.report_store import LocalReportStore
from tests.fakes.report_store import FakeReportStore


class Store(Protocol):
    def save(self, relative_path: str, content: str | bytes) -> Path: ...
    def list(self) -> list[str]: ...
    def read(self, relative_path: str) -> bytes: ...


@pytest.fixture(params=["local", "fake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalReportStore(tmp_path / "reports") if request.param == "local" else FakeReportStore()


def test_text_and_bytes_come_back(store: Store) -> None:
    assert store.list() == []
    assert store.save("churn/cl/card.html", "grün").name == "card.html"
    store.save("table.parquet", b"\x00\x01")
    store.save("churn/cl/card.html", "blau")
    assert store.list() == ["churn/cl/card.html", "table.parquet"]
    assert store.read("churn/cl/card.html") == b"blau"
    assert store.read("table.parquet") == b"\x00\x01"


def test_an_absent_report_is_named(store: Store) -> None:
    with pytest.raises(StorageError, match=r"absent\.html"):
        store.read("absent.html")


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\\b", "a\0b", "folder/", ".", ".hidden", "//x"],
)
def test_paths_that_leave_the_folder_are_refused(store: Store, path: str) -> None:
    with pytest.raises(StorageError, match="cannot have this path"):
        store.save(path, "x")
    assert store.list() == []


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "link").symlink_to(outside)
    with pytest.raises(StorageError, match="through a link"):
        LocalReportStore(tmp_path / "reports").save("link/x.html", "x")
    assert list(outside.iterdir()) == []


def test_unfinished_files_are_not_listed(tmp_path: Path) -> None:
    store = LocalReportStore(tmp_path)
    store.save("a.html", "x")
    (tmp_path / ".0123456789abcdef.tmp.html").write_text("half")
    assert store.list() == ["a.html"]
