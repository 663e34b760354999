"""The effect of a contact: found where it is, not found where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.offers.contact_effect import NO_EFFECT, estimate_on_mean, estimate_on_odds

ROWS = 20_000
RANDOM = np.random.default_rng(5)
DESIGN = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
# People with a high first column are contacted more often and answer differently: confounded unless it is taken out.
MEMORY = RANDOM.poisson(np.exp(0.5 * DESIGN[:, 0]), ROWS).astype(np.float64)


@pytest.mark.parametrize("truth", [-0.4, 0.0])
def test_odds(truth: float) -> None:
    logit = -2 + DESIGN[:, 0] + truth * MEMORY
    hits = RANDOM.random(ROWS) < 1 / (1 + np.exp(-logit))
    found = estimate_on_odds(DESIGN, MEMORY, hits, sign=-1, seed=0, threads=1)
    assert abs(found.raw - truth) < 4 * found.standard_error + 0.04
    assert found.standard_error < 0.05
    assert found.value <= 0
    plain = np.polyfit(MEMORY, hits, 1)[0]
    assert plain > found.raw / 20  # without taking the rest out, contacts look better than they are


def test_mean() -> None:
    target = DESIGN[:, 0] ** 2 + 0.1 * MEMORY + RANDOM.normal(size=ROWS)
    found = estimate_on_mean(DESIGN, MEMORY, target, sign=1, seed=0, threads=1)
    assert abs(found.value - 0.1) < 4 * found.standard_error + 0.02


def test_the_wrong_sign_counts_as_none() -> None:
    target = -0.2 * MEMORY + RANDOM.normal(size=ROWS)
    found = estimate_on_mean(DESIGN, MEMORY, target, sign=1, seed=0, threads=1)
    assert found.value == 0
    assert found.raw < -0.1


def test_nothing_to_compare_is_no_effect() -> None:
    nobody = np.zeros(ROWS, dtype=bool)
    assert estimate_on_odds(DESIGN, MEMORY, nobody, sign=1, seed=0, threads=1) == NO_EFFECT
    assert estimate_on_odds(DESIGN, np.zeros(ROWS), ~nobody, sign=1, seed=0, threads=1) == NO_EFFECT
    assert estimate_on_mean(DESIGN, np.ones(ROWS), MEMORY, sign=1, seed=0, threads=1) == NO_EFFECT
