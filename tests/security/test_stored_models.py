"""Only native formats are loaded, only after their hashes were compared; archives hold plain files; notes are text."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from mlops_assets.domain.errors import ApprovalError, ModelIntegrityError, StorageError
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.learning.approval import require_person
from mlops_assets.domain.learning.bundle import load_bundle, save_bundle
from mlops_assets.domain.offers.folder_archive import unpack_folder
from tests.unit.domain.deployment.deployment_world import make_scorer

# A pickle that would make a folder named HACKED: protocol 0, written by hand since nothing here may write pickles.
PICKLE = b"cos\nmkdir\n(S'HACKED'\ntR."


@pytest.mark.parametrize("algorithm", ["linear", "random_forest", "hist_gradient_boosting"])
def test_a_pickle_is_refused_even_where_its_hash_is_right(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bundle"
    save_bundle(folder, make_scorer(1, algorithm))
    with pytest.raises(ModelIntegrityError, match="no skops file"):
        load_bundle(folder, _forge(folder, "model.skops", PICKLE))
    assert not (tmp_path / "HACKED").exists()


def test_a_type_that_no_algorithm_writes_is_refused(tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    folder = tmp_path / "bundle"
    save_bundle(folder, make_scorer(1, "linear"))
    content = skops.io.dumps({"estimator": FunctionTransformer(func=Path.unlink), "weights": {}})
    with pytest.raises(ModelIntegrityError, match="types that this algorithm never writes"):
        load_bundle(folder, _forge(folder, "model.skops", content))


def test_no_algorithm_trusts_a_type_that_runs_code() -> None:
    """What skops may build beside plain types is scikit-learn's and numpy's own."""
    import inspect

    for name, algorithm in ALGORITHMS.items():
        source = inspect.getsource(type(algorithm))
        trusted = [line for line in source.splitlines() if "trusted=" in line]
        assert all("os." not in line and "get_untrusted_types" not in line for line in trusted), name


def test_an_array_of_objects_is_refused_even_where_its_hash_is_right(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    content = header + b" " * (127 - len(header)) + b"\n" + PICKLE
    folder = tmp_path / "bundle"
    save_bundle(folder, make_scorer(1))
    (folder / "seen_keys.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_bundle(folder, _forge(folder, "seen_keys.npy", content))


def _forge(folder: Path, name: str, content: bytes) -> str:
    """Replace a file of a bundle, put its hash into the index, and return the hash of the index."""
    (folder / name).write_bytes(content)
    index = json.loads((folder / "bundle.json").read_text())
    index["files"][name] = sha256(content).hexdigest()
    encoded = json.dumps(index).encode()
    (folder / "bundle.json").write_bytes(encoded)
    return sha256(encoded).hexdigest()


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_nothing_is_decompressed(mode: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a.cbm")
        member.size = 10_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    with pytest.raises(StorageError, match="cannot be unpacked"):
        unpack_folder(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".", "a\\b"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_an_archive_writes_plain_files_into_its_folder_only(name: str, kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "../canary"
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(StorageError, match="no plain file"):
        unpack_folder(tmp_path / "a.tar", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "out"]


@pytest.mark.parametrize("note", ["x\x1b[2J", "x\0", "x\ud800", "x" * 2001, "\u202egnp.exe", "x\ry"])
def test_a_note_that_steers_a_terminal_is_refused(note: str) -> None:
    for by, why in (("ana", note), (note, "better")):
        with pytest.raises(ApprovalError, match=r"the (note|name) (holds|has)"):
            require_person(by, why, "churn")
    require_person("ana", "better\nin both geographies: +0.02 <b>", "churn")
