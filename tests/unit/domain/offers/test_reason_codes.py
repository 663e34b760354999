"""Reasons are short, stable and point the right way."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.offers.reason_codes import explain_offers, name_reason, usual_values


@pytest.mark.parametrize(
    ("column", "value", "median", "code"),
    [
        ("balance_main_acc", 1.0, 2.0, "low_balance"),
        ("days_to_expiry", 2.0, 9.0, "plan_expires_soon"),
        ("days_to_expiry", -2.0, 9.0, "plan_expired"),
        ("topup_propensity", 0.9, 0.4, "high_topup_propensity"),
        ("topup_propensity", float("nan"), 0.4, "unknown_topup_propensity"),
        ("topup_propensity", 0.4, 0.4, "usual_topup_propensity"),
        ("topup_propensity", 0.4, float("nan"), "usual_topup_propensity"),
    ],
)
def test_names(column: str, value: float, median: float, code: str) -> None:
    assert name_reason(column, value, median) == code


def test_the_strongest_three_that_speak_for_the_offer() -> None:
    usual = usual_values(
        ["a", "b", "c", "d", "e"], np.array([[0, 0, 0, 0, 0], [2, 2, 2, 2, 2]], dtype=np.float32)
    )
    values = np.array([[0, 2, 0, 2, 2], [0, 0, 0, 0, 0]], dtype=np.float32)
    added = np.array([[0.1, 0.4, -0.9, 0.2, 0.3], [0, 0, -1, 0, 0]])
    assert explain_offers(usual, values, added) == [["high_b", "high_e", "high_d"], ["best_for_all"]]


def test_a_column_that_nobody_has_is_usual_for_all() -> None:
    usual = usual_values(["a"], np.full((3, 1), np.nan, dtype=np.float32))
    assert np.isnan(usual.medians[0])
