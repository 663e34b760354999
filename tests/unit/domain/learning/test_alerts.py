"""Alerts: worth their cost, no more than people can look at, and counted day by day."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from pydantic import ValidationError

from mlops_assets.domain.learning.alerts import measure_alerts, rank_alerts
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.spec import AlertSpec
from tests.unit.domain.learning.samples import make_spec

COSTS = AlertSpec(missed_event_usd=300, false_alarm_usd=100, capacity_per_day=2)


def make_days(y: list[float], days: list[int]) -> Dataset:
    dates = np.array([dt.date(2026, 3, day) for day in days], dtype="datetime64[D]")
    keys = np.array([f"d{number}" for number in range(len(y))])
    return Dataset((), np.empty((len(y), 0), np.float32), {}, np.array(y), keys, as_of=dates)


def test_threshold_is_where_both_mistakes_cost_the_same() -> None:
    assert COSTS.threshold == 0.25
    p = COSTS.threshold
    assert p * COSTS.missed_event_usd == (1 - p) * COSTS.false_alarm_usd


def test_alerts_are_the_likeliest_that_are_worth_it() -> None:
    keys = np.array(["a", "b", "c", "d"])
    is_alert, ranks = rank_alerts(np.array([0.3, 0.9, 0.2, 0.5]), keys, COSTS)
    assert (is_alert.tolist(), ranks.tolist()) == ([False, True, False, True], [0, 1, 0, 2])
    is_alert, _ = rank_alerts(np.array([0.25, 0.1, 0.2, 0.26]), keys, COSTS)
    assert is_alert.tolist() == [False, False, False, True], "a row at the threshold gains nothing"


def test_equal_scores_are_listed_by_key_whatever_their_order() -> None:
    keys, p = np.array(["c", "a", "b"]), np.full(3, 0.5)
    assert rank_alerts(p, keys, COSTS)[1].tolist() == [0, 1, 2]
    assert rank_alerts(p, keys[::-1], COSTS)[1].tolist() == [2, 1, 0]


def test_precision_is_that_of_each_days_list() -> None:
    """Day 1 has both events on its list of two; day 2 one of its three; a list over both days would differ."""
    rows = make_days([1, 1, 0, 1, 1, 0, 1], [1, 1, 1, 2, 2, 2, 2])
    p = np.array([0.9, 0.8, 0.7, 0.3, 0.1, 0.28, 0.2])
    figures = measure_alerts(rows, p, COSTS)
    assert figures["precision_at_capacity"] == pytest.approx(3 / 4)
    assert figures["recall_at_capacity"] == pytest.approx(3 / 5)
    assert figures["alerts_per_day"] == 2.0
    assert figures["alert_cost_usd_per_1000"] == pytest.approx((100 + 2 * 300) / 7 * 1000)


def test_equal_scores_at_the_border_count_in_proportion() -> None:
    rows = make_days([1, 1, 0, 0], [1, 1, 1, 1])
    assert measure_alerts(rows, np.full(4, 0.5), COSTS)["precision_at_capacity"] == pytest.approx(0.5)


def test_undefined_figures_are_left_out() -> None:
    assert measure_alerts(make_days([], []), np.empty(0), COSTS) == {}
    assert "recall_at_capacity" not in measure_alerts(make_days([0.0], [1]), np.array([0.5]), COSTS)


def test_costs_need_probabilities() -> None:
    costs = COSTS.model_dump()
    assert make_spec(alerts=costs, calibrate=True).alerts == COSTS
    with pytest.raises(ValidationError, match="needs task binary and `calibrate`"):
        make_spec(alerts=costs)
