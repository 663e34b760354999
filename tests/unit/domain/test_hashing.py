"""Hashes that are equal whenever the content is."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.hashing import canonical_json, file_sha256, stable_hash


@dataclass(frozen=True)
class Point:
    x: int
    when: dt.date


def test_order_of_keys_does_not_matter() -> None:
    assert stable_hash({"a": 1, "b": [2, 3]}) == stable_hash({"b": [2, 3], "a": 1})
    assert stable_hash([1, 2]) != stable_hash([2, 1])


def test_canonical_forms() -> None:
    value = {
        "p": Point(1, dt.date(2026, 8, 1)),
        "s": {"b", "a"},
        "f": Path("x/y"),
        "t": dt.datetime.fromisoformat("2026-08-01"),
    }
    assert canonical_json(value) == (
        '{"f":"x/y","p":{"when":"2026-08-01","x":1},"s":["a","b"],"t":"2026-08-01T00:00:00"}'
    )


@pytest.mark.parametrize(("value", "error"), [(object(), TypeError), (float("nan"), ValueError)])
def test_without_canonical_form(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        stable_hash(value)


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_equal_values_have_equal_hashes(value: dict[str, int | str]) -> None:
    assert stable_hash(value) == stable_hash(dict(reversed(value.items())))


def test_file_hash_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert file_sha256(path) != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
