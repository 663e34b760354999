"""Errors of the platform as they come back from another process."""

from __future__ import annotations

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mlops_assets.domain.errors import EngineError, LearningError, PlatformError, StorageError

ERRORS = [
    LearningError("no rows", where="corpus", expected="one at least", remedy="deliver the feed"),
    StorageError("the disk is full", remedy="free space", is_retryable=False),
    EngineError("a row has 3 columns", kind="ragged_row", line=7, where="a.csv, line 7"),
]


def fail(number: int) -> None:
    raise ERRORS[number]


def facts(error: PlatformError) -> tuple[object, ...]:
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_says_the_same(error: PlatformError) -> None:
    assert facts(copy.copy(error)) == facts(error)


def test_an_error_of_a_worker_is_raised_as_what_it_is() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.raises(EngineError, match="a row has 3 columns; where: a") as caught:
            pool.submit(fail, 2).result(timeout=60)
        assert caught.value.line == 7
        with pytest.raises(LearningError, match="no rows"):
            pool.submit(fail, 0).result(timeout=60)
