"""A folder of files as one file of a lake partition, and back.

Belongs here: packing and unpacking, byte for byte the same for the same files. Does not belong here: verifying what
the files hold, which their own index does (tree_bundle.py).
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from mlops_assets.domain.errors import StorageError


def pack_folder(folder: Path, target: Path) -> None:
    """Write the plain files of a folder, in order of their names, into one file."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.name)  # without time and owner: the same files, the same bytes
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def unpack_folder(source: Path, folder: Path) -> Path:
    """Write the files of an archive into a new folder and return it.

    Raises:
        StorageError: the archive cannot be read, or would write elsewhere than into the folder.
    """
    folder.mkdir(parents=True)
    try:
        with tarfile.open(source, "r:") as archive:  # "r" would decompress whatever is there, without bounds
            archive.extractall(folder, members=map(_require_plain_file, archive), filter="data")
    except (tarfile.TarError, OSError, ValueError) as error:
        raise StorageError(
            f"the archive cannot be unpacked: {error}",
            where=str(source),
            remedy="build the partition again",
            is_retryable=False,
        ) from error
    return folder


def _require_plain_file(member: tarfile.TarInfo) -> tarfile.TarInfo:
    if not member.isreg() or member.name in ("", ".", "..") or {"/", "\\", "\0"} & set(member.name):
        raise tarfile.ExtractError(f"{member.name!r} is no plain file of the folder")
    return member
