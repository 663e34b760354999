"""The benchmark on two public logs: what it says without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ope_obd
from benchmarks.measuring import BenchmarkSkippedError


def test_absent_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_PUBLIC_DATA", str(tmp_path))
    with pytest.raises(BenchmarkSkippedError, match=r"obd_random_men\.csv is not in .*MLOPS_PUBLIC_DATA"):
        next(ope_obd.run(quick=True))
