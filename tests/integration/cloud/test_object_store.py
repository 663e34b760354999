"""Objects on a real server: whole or not there, compare-and-swap, repeated within bounds, clear errors."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.object_store import ABSENT, ObjectChangedError, ObjectStore, close_client
from tests.integration.cloud.gcs_server import FaultyProxy

# An answer of 503 to a download is not read to its end by Google's library: its socket closes with the garbage.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]


def test_what_is_written_is_found_read_listed_and_deleted(store: ObjectStore, tmp_path: Path) -> None:
    assert store.find("a/b") is None
    assert store.read("a/b") is None
    assert store.read_versioned("a/b") == (b"", ABSENT)
    assert store.list() == []
    generation = store.write("a/b", b"content")
    store.write("a/empty", b"")
    store.write("ab/c", b"x")
    found = store.find("a/b")
    assert found is not None
    assert (found.name, found.size_bytes, found.generation) == ("a/b", 7, generation)
    assert store.read("a/b") == b"content"
    assert store.read("a/b", most_bytes=3) == b"con"
    assert store.read("a/b", most_bytes=300) == b"content"
    assert store.read("a/empty", most_bytes=3) == b""
    assert store.read_versioned("a/b") == (b"content", generation)
    assert [item.name for item in store.list("a")] == ["a/b", "a/empty"]
    assert [item.name for item in store.list()] == ["a/b", "a/empty", "ab/c"]
    store.download("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"
    store.delete("a/b")
    store.delete("a/b")
    assert store.find("a/b") is None


def test_prefixes_do_not_see_each_other(store: ObjectStore, bucket: str) -> None:
    store.write("x", b"1")
    ObjectStore(bucket, "some/prefix2").write("x", b"2")
    assert [item.name for item in store.list()] == ["x"]
    assert [item.name for item in ObjectStore(bucket, "some").list()] == ["prefix/x", "prefix2/x"]
    assert store.read("x") == b"1"


def test_a_file_of_twenty_megabytes_goes_there_and_back(store: ObjectStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 80_000
    (tmp_path / "big").write_bytes(content)
    store.upload("big", tmp_path / "big")
    store.download("big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_write_against_another_generation_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    first = store.write("x", b"1", expected=ABSENT)
    (tmp_path / "file").write_bytes(b"2")
    for attempt in (
        lambda: store.write("x", b"2", expected=ABSENT),
        lambda: store.write("x", b"2", expected=first + 1),
        lambda: store.upload("x", tmp_path / "file"),
    ):
        with pytest.raises(ObjectChangedError, match="changed by somebody else"):
            attempt()
    assert store.read("x") == b"1"
    assert store.write("x", b"2", expected=first) > first


def test_of_many_who_create_an_object_one_wins(store: ObjectStore) -> None:
    def create(number: int) -> bool:
        try:
            store.write("x", str(number).encode(), expected=ABSENT)
        except ObjectChangedError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(create, range(32)))
    assert sum(won) == 1
    assert store.read("x") == str(won.index(True)).encode()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_service_is_asked_again(store: ObjectStore, proxy: FaultyProxy, status: int) -> None:
    store.find("x")
    left = [status, status]
    proxy.fault = lambda *_: left.pop() if left else None
    assert store.write("x", b"1", expected=ABSENT) > 0
    assert left == []
    left += [status]
    assert store.read("x") == b"1"
    left += [status]
    assert [item.name for item in store.list()] == ["x"]


def test_a_write_whose_answer_was_lost_knows_itself(store: ObjectStore, proxy: FaultyProxy) -> None:
    store.find("x")
    left = ["lose"]
    proxy.fault = lambda method, _: left.pop() if left and method == "POST" else None
    generation = store.write("x", b"1", expected=ABSENT)
    assert left == []
    assert store.read_versioned("x") == (b"1", generation)
    left += ["lose"]
    second = store.write("x", b"2", expected=generation)
    assert store.read_versioned("x") == (b"2", second)


def test_a_service_that_stays_down_is_a_retryable_error_in_bounded_time(
    store: ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    store.write("x", b"1")
    proxy.fault = lambda *_: 503
    (tmp_path / "file").write_bytes(b"2")
    for attempt in (
        lambda: store.write("y", b"2"),
        lambda: store.read("x"),
        store.list,
        lambda: store.upload("z", tmp_path / "file"),
    ):
        started_s = time.monotonic()
        with pytest.raises(StorageError, match="does not answer as it should") as caught:
            attempt()
        assert caught.value.is_retryable
        assert store.bucket_name in str(caught.value)
        assert time.monotonic() - started_s < 3 * store.patience_s
    proxy.fault = lambda *_: None
    assert [item.name for item in store.list()] == ["x"]


def test_a_service_that_is_not_there_is_a_retryable_error(store: ObjectStore, proxy: FaultyProxy) -> None:
    store.write("x", b"1")
    close_client()
    proxy.stop()
    with pytest.raises(StorageError, match="does not answer") as caught:
        store.write("y", b"1")
    assert caught.value.is_retryable


@pytest.mark.parametrize("status", [401, 403])
def test_a_forbidden_bucket_is_a_lasting_error(store: ObjectStore, proxy: FaultyProxy, status: int) -> None:
    proxy.fault = lambda *_: status
    with pytest.raises(StorageError, match=r"not open to us.*service account") as caught:
        store.read("x")
    assert not caught.value.is_retryable
    assert proxy.seen < 4


def test_an_absent_bucket_is_no_empty_one(bucket: str) -> None:
    store = ObjectStore(f"{bucket}-typo", "p", patience_s=1.0)
    for attempt in (lambda: store.find("x"), lambda: store.read("x"), store.list):
        with pytest.raises(StorageError, match="no such bucket") as caught:
            attempt()
        assert not caught.value.is_retryable


def test_a_lost_object_is_said(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="an object is gone"):
        store.download("absent", tmp_path / "copy")
