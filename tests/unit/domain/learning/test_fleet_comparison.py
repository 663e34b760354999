"""A gain counts only if it is not luck, in one group and among many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.learning.fleet_comparison import choose_proven, measure_p_value
from mlops_assets.domain.learning.gate import GateEvidence

EVIDENCE = GateEvidence(
    task="binary",
    metric="log_loss",
    is_higher_better=False,
    has_business=False,
    challenger_sha256="a" * 64,
    champion_sha256="b" * 64,
    holdout_sha256="c" * 64,
    holdout_rows=100,
    holdout_positives=20,
    holdout_classes=2,
)


def evidence(gain: float | None, low: float | None, high: float | None) -> GateEvidence:
    return replace(EVIDENCE, gain=gain, gain_low=low, gain_high=high)


def test_p_value_is_that_of_students_t() -> None:
    one_error = evidence(1.0, 1.0 - 1.959964, 1.0 + 1.959964)
    assert measure_p_value(one_error, 0.95, 10**6) == pytest.approx(0.158655, abs=1e-5)
    assert measure_p_value(one_error, 0.95, 6) == pytest.approx(0.181609, abs=1e-5)
    assert measure_p_value(evidence(-1.0, -3.0, 1.0), 0.95, 50) > 0.5


@pytest.mark.parametrize(
    "nothing", [evidence(None, None, None), evidence(0.0, 0.0, 0.0), evidence(1.0, float("nan"), 2.0)]
)
def test_nothing_measured_is_nothing_proven(nothing: GateEvidence) -> None:
    assert measure_p_value(nothing, 0.95, 50) == 1.0
    assert measure_p_value(evidence(1.0, 0.5, 1.5), 0.95, 1) == 1.0


def test_step_up_of_benjamini_and_hochberg() -> None:
    """The example of their paper (1995, section 3.2): four of fifteen are rejected at 0.05."""
    paper = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
             0.6528, 0.7590, 1.0000]  # fmt: skip
    assert choose_proven(paper, 0.05) == [True] * 4 + [False] * 11
    assert choose_proven([], 0.05) == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(0.001, 0.4))
def test_who_is_chosen_does_not_depend_on_the_order(p_values: list[float], rate: float) -> None:
    chosen = choose_proven(p_values, rate)
    assert choose_proven(p_values[::-1], rate) == chosen[::-1]
    assert all(p <= rate for p, hit in zip(p_values, chosen, strict=True) if hit)


def test_groups_without_difference_are_hardly_ever_chosen() -> None:
    random = np.random.default_rng(0)
    rounds = [choose_proven(random.random(1000).tolist(), 0.05) for _ in range(200)]
    assert np.mean([any(chosen) for chosen in rounds]) < 0.09
