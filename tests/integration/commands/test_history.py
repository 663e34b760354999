"""`mlops run --history`: past days are imported as they would have been lived, without what nobody reads of them."""

from __future__ import annotations

from pathlib import Path

from mlops_assets.config import names
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_home, day_number, lake_content

DAYS = [(str(day_number(n)), "built") for n in range(3)]


def test_imported_days_are_those_that_were_lived(delivered: Path, tmp_path: Path, mlops: CommandLine) -> None:
    """Two processes import them, one lives through them; afterwards both are up to date."""
    homes = {name: copy_home(delivered, tmp_path / name) for name in ("imported", "lived")}
    for name, words in (("imported", ("run", "--history")), ("lived", ("run",))):
        mlops.use(homes[name])
        told = mlops(*words)
        assert (told.status, told.days) == (0, DAYS), told
    imported, lived = (lake_content(homes[name]) for name in ("imported", "lived"))
    rests_on = {where: found for where, found in lived.items() if names.is_history(where.split("/"))}
    assert {where.split("/")[0] for where in rests_on} == {"feeds", "etl", "quality"}
    assert {where: imported[where] for where in rests_on} == rests_on

    assert not (homes["imported"] / "reports").exists()
    mlops.use(homes["imported"])
    nothing = mlops("run", "--history")
    assert (nothing.status, nothing.days) == (0, [(day, "unchanged") for day, _ in DAYS]), nothing
    again = mlops("run")
    assert (again.status, {status for _, status in again.days}) == (0, {"unchanged"}), again
