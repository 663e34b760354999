"""Person-weeks and folders come back from their files as they were."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.offers.decision_data import (
    NO_OFFER_CHOICE,
    OfferAction,
    OfferStates,
    StateLayout,
    Transitions,
)
from mlops_assets.domain.offers.folder_archive import pack_folder, unpack_folder
from mlops_assets.domain.offers.transition_files import hash_transitions, read_transitions, write_transitions


def make_transitions(rows: int = 40, choices: int = 12, seed: int = 1) -> Transitions:
    random = np.random.default_rng(seed)
    layout = StateLayout(("balance", "churn_risk"))
    offers = tuple(OfferAction(f"data_{n}", "data", 2.0 + n, 1.0, 7, 512.0, 0.1) for n in range(1, choices))
    values = random.normal(size=(rows, len(layout.columns))).astype(np.float32)
    values[::7, 0] = np.nan
    chances = random.random(rows)
    chances[::5] = np.nan
    return Transitions(
        states=OfferStates(layout, values, np.arange(rows) // 2),
        actions=random.integers(0, choices, rows),
        choices=(NO_OFFER_CHOICE, *offers),
        eligible=random.random((rows, choices)) < 0.5,
        propensities=chances,
        is_accepted=random.random(rows) < 0.2,
        organic_plan=random.integers(0, 3, rows),
        plans=offers[:2],
        margin_usd=random.normal(size=rows),
        is_churned=random.random(rows) < 0.1,
        next_values=random.normal(size=values.shape).astype(np.float32),
        weeks=np.arange(rows) % 2,
    )


@pytest.mark.parametrize(("rows", "choices"), [(40, 12), (3, 1), (1, 8), (5, 9), (0, 4)])
def test_person_weeks_come_back_as_they_were(tmp_path: Path, rows: int, choices: int) -> None:
    made = make_transitions(rows, choices)
    write_transitions(tmp_path / "weeks.parquet", made)
    found = read_transitions(tmp_path / "weeks.parquet")
    assert (found.choices, found.plans, found.states.layout) == (
        made.choices,
        made.plans,
        made.states.layout,
    )
    for field in dataclasses.fields(Transitions):
        wanted = getattr(made, field.name)
        if isinstance(wanted, np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), wanted)
            assert getattr(found, field.name).dtype == wanted.dtype, field.name
    np.testing.assert_array_equal(found.states.values, made.states.values)
    np.testing.assert_array_equal(found.states.customers, made.states.customers)
    assert hash_transitions(found) == hash_transitions(made)


def test_same_content_has_the_same_hash_and_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_transitions(tmp_path / name, make_transitions())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "name", ["actions", "propensities", "is_accepted", "margin_usd", "eligible", "next_values", "weeks"]
)
def test_any_change_changes_the_hash(name: str) -> None:
    made = make_transitions()
    array = getattr(made, name).copy()
    array.flat[1] = not array.flat[1] if array.dtype == bool else array.flat[1] + 1
    assert hash_transitions(dataclasses.replace(made, **{name: array})) != hash_transitions(made)


def test_another_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer": [1]}), tmp_path / "other.parquet")
    with pytest.raises(StorageError, match="form none of person-weeks"):
        read_transitions(tmp_path / "other.parquet")


def test_folder_comes_back_and_packs_to_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "b.cbm").write_bytes(b"\x00trees")
    (folder / "a.json").write_text("{}")
    pack_folder(folder, tmp_path / "one.tar")
    (folder / "a.json").touch()
    pack_folder(folder, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    found = unpack_folder(tmp_path / "one.tar", tmp_path / "found")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        "a.json": b"{}",
        "b.cbm": b"\x00trees",
    }


def test_archive_that_reaches_out_or_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.add(tmp_path / "file", arcname="../outside")
    with pytest.raises(StorageError, match="cannot be unpacked"):
        unpack_folder(tmp_path / "evil.tar", tmp_path / "a")
    assert not (tmp_path / "outside").exists()
    with pytest.raises(StorageError, match="cannot be unpacked"):
        unpack_folder(tmp_path / "file", tmp_path / "b")
