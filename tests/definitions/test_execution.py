"""The multiprocess executor forks its steps from a warm server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
import dagster as dg
from mlops_assets.assets.execution import build_executor
from mlops_assets.config.models import ExecutorConfig

@dg.asset
def probe() -> None:
    loaded = sorted(m for m in ("ibis", "catboost", "sklearn", "mlops_assets.definitions") if m in sys.modules)
    with open(os.environ["PROBE_FILE"], "w") as file:
        json.dump({"flag": os.environ.get("MLOPS_PRELOADED"), "loaded": loaded}, file)

defs = dg.Definitions(
    assets=[probe], jobs=[dg.define_asset_job("job", "*")],
    executor=build_executor(ExecutorConfig(kind="multiprocess", max_concurrent=1)),
)

def build_job():
    return defs.resolve_job_def("job")

if __name__ == "__main__":
    from probe_program import build_job
    with dg.DagsterInstance.local_temp(sys.argv[1]) as instance:
        result = dg.execute_job(dg.reconstructable(build_job), instance=instance)
        sys.exit(0 if result.success else 1)
"""


@pytest.mark.slow
def test_steps_start_warm(tmp_path: Path) -> None:
    """A preload that fails is silent in Python; only a step can tell whether it took effect."""
    (tmp_path / "probe_program.py").write_text(PROGRAM)
    (tmp_path / "instance").mkdir()
    found = tmp_path / "found.json"
    environment = {
        "PATH": "/usr/bin:/bin",
        "PROBE_FILE": str(found),
        "MLOPS_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(tmp_path),
    }
    command = [sys.executable, str(tmp_path / "probe_program.py"), str(tmp_path / "instance")]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    state = json.loads(found.read_text())
    assert state["flag"] is not None
    assert state["loaded"] == ["catboost", "ibis", "mlops_assets.definitions", "sklearn"]
