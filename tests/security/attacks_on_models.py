"""Changed model files: found before a native loader sees them. Archives: nothing is written beside their folder.

Belongs here: families about stored models. Does not belong here: the scoring service (attacks_on_service).
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from mlops_assets.domain.learning import bundle as bundles
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.learning.bundle import load_bundle, save_bundle
from mlops_assets.domain.offers.folder_archive import unpack_folder
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import damaged, encodable_text, hostile_text
from tests.unit.domain.deployment.deployment_world import make_scorer

_EXTRA = st.one_of(
    hostile_text, st.sampled_from(("model.pkl", "../x", "bundle.json ", "MODEL.CBM", "x.so", "conftest.py"))
)
_changes = st.one_of(
    st.tuples(st.just("damage"), st.integers(0, 9), st.integers(0, 2**31)),
    st.tuples(st.just("add"), _EXTRA, st.binary(max_size=20)),
    st.tuples(st.just("remove"), st.integers(0, 9), st.none()),
    st.tuples(st.just("link"), st.integers(0, 9), st.none()),
    st.tuples(st.just("swap"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("replace"), st.integers(0, 9), st.binary(max_size=50)),
)


@contextmanager
def _bundle(folder: Path) -> Iterator[Attack]:
    """Whatever is changed in a bundle's folder, no loader is called, unless the bytes are as before."""
    original, outside = folder / "original", folder / "outside"
    expected = save_bundle(original, make_scorer(1))
    content = {path.name: path.read_bytes() for path in original.iterdir()}
    outside.mkdir()
    algorithm = ALGORITHMS["catboost"]

    def attack(change: tuple[str, Any, Any]) -> None:
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        if not _change(copy, outside, change):
            return
        bundles._kept.clear()
        with mock.patch.object(type(algorithm), "load", autospec=True, side_effect=_refuse_to_load):
            if _content(copy) == content:
                return
            load_bundle(copy, expected)
        raise EscapeError(f"a changed bundle was loaded: {change[0]}")

    yield attack


def _refuse_to_load(*_: Any) -> None:
    raise EscapeError("a native loader was given a changed bundle")


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()
    }


def _change(folder: Path, outside: Path, change: tuple[str, Any, Any]) -> bool:
    """Change a bundle's folder; return whether the file system could do it."""
    kind, which, more = change
    names = sorted(path.name for path in folder.iterdir())
    if kind == "add":
        try:
            path = folder / which
            if path.resolve().parent != folder.resolve() or path.exists():
                return False
            path.write_bytes(more)
        except (OSError, ValueError):
            return False
        return True
    path = folder / names[which % len(names)]
    before = path.read_bytes()
    if kind == "damage":
        at = more % len(before)
        path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    elif kind == "remove":
        path.unlink()
    elif kind == "link":
        (outside / path.name).write_bytes(before)
        path.unlink()
        path.symlink_to(outside / path.name)
    elif kind == "swap":
        path.write_bytes((folder / names[more % len(names)]).read_bytes())
    else:
        path.write_bytes(more)
    return True


_KINDS = (
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
    tarfile.GNUTYPE_SPARSE,
)


@st.composite
def _archives(draw: st.DrawFn) -> bytes:
    stream = io.BytesIO()
    mode = draw(st.sampled_from(("w", "w", "w", "w:gz", "w:xz")))
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for _ in range(draw(st.integers(0, 3))):
            member = tarfile.TarInfo(
                draw(st.one_of(st.sampled_from(("a.cbm", "policy.json", "/etc/cron.d/x")), encodable_text))
            )
            member.type = draw(st.sampled_from(_KINDS))
            member.linkname = draw(st.one_of(st.just("../canary"), encodable_text))
            content = draw(st.binary(max_size=30))
            member.size = len(content) if member.type == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content))
    content = stream.getvalue()
    return draw(damaged(content)) if draw(st.booleans()) else content


@contextmanager
def _archive(folder: Path) -> Iterator[Attack]:
    (folder / "canary").write_text("do not touch")
    source, target = folder / "archive.tar", folder / "unpacked"

    def attack(content: bytes) -> None:
        shutil.rmtree(target, ignore_errors=True)
        source.write_bytes(content)
        try:
            unpack_folder(source, target)
        finally:
            _require_alone(folder, target)

    yield attack


def _require_alone(folder: Path, target: Path) -> None:
    found = sorted(path.name for path in folder.iterdir() if path != target)
    if found != ["archive.tar", "canary"] or (folder / "canary").read_text() != "do not touch":
        raise EscapeError(f"beside the folder: {found}")
    if odd := [path.name for path in target.iterdir() if path.is_symlink() or not path.is_file()]:
        raise EscapeError(f"unpacked {odd}, which are no plain files")


MODEL_FAMILIES = (
    Family("model_bundles", _changes, _bundle),
    Family("policy_archives", _archives(), _archive),
)
