"""Cores of a run, shared by the steps that run at once."""

from __future__ import annotations

import pytest

from mlops_assets.config.models import ExecutorConfig


@pytest.mark.parametrize(
    ("kind", "cores", "max_concurrent", "threads"),
    [
        ("in_process", 8, 4, 8),
        ("multiprocess", 8, 4, 2),
        ("multiprocess", 2, 2, 1),
        ("multiprocess", 3, 2, 1),
        ("multiprocess", 1, 4, 1),
    ],
)
def test_steps_that_run_at_once_share_the_cores(
    kind: str, cores: int, max_concurrent: int, threads: int
) -> None:
    settings = ExecutorConfig.model_validate({"kind": kind, "cores": cores, "max_concurrent": max_concurrent})
    assert settings.threads_per_step == threads
