"""What counts as delivered."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.landing_zone import LocalLandingZone


def test_delivered_files_are_found_and_listed(tmp_path: Path) -> None:
    zone = LocalLandingZone(tmp_path)
    assert zone.find("cl", "a.csv") is None
    assert zone.list("cl") == []
    folder = tmp_path / "cl"
    folder.mkdir()
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.part"):
        (folder / name).write_bytes(b"12345")
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to("/etc/hostname")
    assert [file.path.name for file in zone.list("cl")] == ["a.csv", "b.csv"]
    found = zone.find("cl", "a.csv")
    assert found is not None
    assert (found.size_bytes, found.modified_ns > 0) == (5, True)
    assert zone.find("cl", "c.csv.part") is None
    assert zone.find("cl", "link.csv") is None


@pytest.mark.parametrize("name", ["../pe/a.csv", "/etc/passwd", "a\x00", "a\\b", "..", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="not allowed"):
        LocalLandingZone(tmp_path).find("cl", name)
    with pytest.raises(StorageError, match="not allowed"):
        LocalLandingZone(tmp_path).find(name, "a.csv")
