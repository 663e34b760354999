"""A request fits the model or is refused in words; what is merely unusual is a warning."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.deployment.scoring_request import (
    MOST_FINDINGS,
    RequestRefusedError,
    parse_rows,
    read_rows,
)
from mlops_assets.domain.learning.dataset import dataset_from_arrow
from tests.unit.domain.deployment.deployment_world import make_scorer
from tests.unit.domain.learning.samples import FEATURES, make_table

SCORER = make_scorer(1)
GOOD: dict[str, Any] = {"usage_mb": 0.5, "noise": 0, "topups": None, "plan": "basic", "is_roaming": True}


def refusal(rows: list[Any]) -> RequestRefusedError:
    with pytest.raises(RequestRefusedError) as caught:
        read_rows(parse_rows(json.dumps({"rows": rows}).encode()), SCORER.signature, SCORER.ranges)
    return caught.value


def test_rows_score_as_in_a_batch() -> None:
    table = make_table(50, seed=8)
    rows = [{name: row[name] for name in FEATURES} for row in table.to_pylist()]
    batch = dataset_from_arrow(table, FEATURES, categorical=SCORER.categorical)
    read = read_rows(parse_rows(json.dumps({"rows": rows}).encode()), SCORER.signature, SCORER.ranges)
    np.testing.assert_array_equal(SCORER.predict(read.dataset), SCORER.predict(batch))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"{}", b'{"rows": {}}', b'{"rows": []}', b'{"rows": [1]}', b"\xff",
        b'{"rows": [], "more": 1}', b'{"rows": [], "rows": []}', b"[" * 100_000, b'{"rows": [{"a": 1, "a": 2}]}',
        b'{"rows": [{"a": NaN}]}', b'{"rows": [{"a": Infinity}]}', b'{"rows": [{"a": ' + b"9" * 5000 + b"}]}",
    ],
)  # fmt: skip
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        parse_rows(body)
    assert caught.value.findings[0].expected


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(RequestRefusedError, match=r"3 rows.*1 to 2"):
        parse_rows(json.dumps({"rows": [GOOD] * 3}).encode(), most_rows=2)


def test_missing_and_extra_features_are_named() -> None:
    row = {name: value for name, value in GOOD.items() if name != "noise"} | {"colour": "red"}
    found = [(f.row, f.feature, f.problem) for f in refusal([GOOD, row]).findings]
    assert found == [
        (1, "noise", "the feature is missing"),
        (1, "colour", "the model has no such feature"),
    ]


@pytest.mark.parametrize(
    ("feature", "value", "problem"),
    [
        ("usage_mb", "12", "the value is text"),
        ("usage_mb", True, "the value is a boolean"),
        ("usage_mb", [1], "the value is a list"),
        ("usage_mb", 1e39, "beyond what the model can read"),
        ("usage_mb", 10**400, "beyond what the model can read"),
        ("plan", 3, "the value is a number"),
        ("plan", {}, "the value is an object"),
        ("plan", "x" * 257, "the text is too long"),
        ("plan", "\ud800", "no valid Unicode"),
    ],
)
def test_impossible_values_are_refused(feature: str, value: Any, problem: str) -> None:
    (finding,) = refusal([{**GOOD, feature: value}]).findings
    assert (finding.row, finding.feature) == (0, feature)
    assert problem in finding.problem
    assert finding.expected


def test_a_number_that_overflows_is_not_finite() -> None:
    body = json.dumps({"rows": [GOOD]}).replace("0.5", "1e999").encode()
    with pytest.raises(RequestRefusedError, match="not finite"):
        read_rows(parse_rows(body), SCORER.signature, None)


def test_findings_are_bounded_and_repeat_no_value() -> None:
    error = refusal([{**GOOD, "usage_mb": "secret-4711"}] * (MOST_FINDINGS + 5))
    assert len(error.findings) == MOST_FINDINGS
    assert "4711" not in str(error) + str(error.findings)


def test_the_unusual_is_a_warning() -> None:
    rows = [{**GOOD, "usage_mb": 1e6, "plan": "gold", "is_roaming": None}, GOOD]
    read = read_rows(rows, SCORER.signature, SCORER.ranges)
    found = {(f.row, f.feature): f.problem for f in read.warnings}
    assert found == {
        (0, "usage_mb"): "outside the range of training",
        (0, "plan"): "a category that training has not met",
        (0, "is_roaming"): "no value, and training had one in every row",
    }
    assert read.warning_count == 3
    assert np.isfinite(SCORER.predict(read.dataset)).all()


def test_without_ranges_nothing_is_unusual() -> None:
    assert read_rows([{**GOOD, "usage_mb": 1e6}], SCORER.signature, None).warnings == ()


def test_the_training_rows_are_not_unusual() -> None:
    rows = [{name: row[name] for name in FEATURES} for row in make_table(200, seed=1).to_pylist()]
    assert read_rows(rows, SCORER.signature, SCORER.ranges).warning_count == 0


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=1),
)


@given(st.lists(st.dictionaries(st.sampled_from([*FEATURES, "other"]), _VALUES), min_size=1, max_size=3))
def test_any_rows_are_scored_or_refused(rows: list[dict[str, Any]]) -> None:
    try:
        read = read_rows(rows, SCORER.signature, SCORER.ranges)
    except RequestRefusedError:
        return  # in words, not with any other error
    else:
        assert all(set(row) == set(FEATURES) for row in rows)
        assert all(math.isfinite(score) for score in SCORER.predict(read.dataset))
