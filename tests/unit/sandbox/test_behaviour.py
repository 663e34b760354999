"""What people do, seen through the delivered feeds."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.sandbox.parameters import SEGMENTS
from tests.unit.sandbox.conftest import FIRST_DAY, Operator, contracts, geographies, one, query

WEEKS = 5
_VOLUME = "DATA_LOCAL_VOL * CASE DATA_UNIT WHEN 'MB' THEN 1 WHEN 'GB' THEN 1024 ELSE 1 / 1024 END"
# Aggregates anybody would try first: last week's use against the two weeks before, plan, balance, tenure.
_CHURN_SAMPLE = """
WITH u AS (
    SELECT MSISDN, EVENT_TS::DATE AS day, {volume} AS mb, CALLS_ON + CALLS_OFF AS calls FROM {usage}
), s AS (
    SELECT *, strptime(regexp_extract(filename, '_(\\d{{8}})', 1), '%Y%m%d')::DATE AS day
        FROM {subscribers}
), snapshot AS (SELECT DATE '{first}' + unnest([20, 23, 27])::INTEGER AS day),
f AS (
    SELECT a.day, MSISDN, coalesce(sum(mb) FILTER (u.day > a.day - 7), 0) AS mb7,
        coalesce(sum(mb) FILTER (u.day <= a.day - 7), 0) AS mb14,
        count(DISTINCT u.day) FILTER (u.day > a.day - 7) AS active7,
        coalesce(sum(calls) FILTER (u.day > a.day - 7), 0) AS calls7
    FROM snapshot a JOIN u ON u.day BETWEEN a.day - 20 AND a.day GROUP BY ALL
)
SELECT a.day - DATE '{first}', ln((coalesce(mb7, 0) + 1) / (coalesce(mb14, 0) / 2 + 1)), coalesce(active7, 0),
    ln(1 + coalesce(mb7, 0)), coalesce(calls7, 0), ln(1 + greatest(s.BALANCE_MAIN, 0)),
    coalesce(s.PLAN_END_DT - a.day, -10), ln(2 + (a.day - s.ACTIVATION_DT)), c.MSISDN IS NOT NULL
FROM snapshot a JOIN s ON s.day = a.day AND s.STATUS = 'A'
LEFT JOIN f ON f.day = a.day AND f.MSISDN = s.MSISDN
LEFT JOIN s c ON c.MSISDN = s.MSISDN AND c.STATUS = 'C' AND c.day > a.day AND c.day <= a.day + 7
"""


@pytest.fixture(scope="module")
def chile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of the feeds that tell who is about to leave."""
    operator = Operator(
        tmp_path_factory.mktemp("chile"), contracts("usage", "subscribers", "offers_sent"), geographies("cl")
    )
    operator.start(subscribers=4000, days=7 * WEEKS)
    return operator.landing / "cl"


def test_shares_of_segments_sum_to_one() -> None:
    assert sum(segment.share for segment in SEGMENTS) == pytest.approx(1.0)


def test_weekdays_differ(chile: Path) -> None:
    sql = """SELECT isodow(EVENT_TS - INTERVAL 3 HOUR), sum({volume}), sum(CALLS_ON + CALLS_OFF)
        FROM {f} GROUP BY 1"""
    days = {row[0]: row[1:] for row in query(sql, volume=_VOLUME, f=chile / "usage_*.parquet")}
    assert days[6][0] > 1.08 * days[2][0]
    assert days[7][1] < 0.85 * days[2][1]


def test_volumes_are_plausible(chile: Path) -> None:
    sql = """SELECT quantile_cont(mb, [0.25, 0.5, 0.95]) FROM (
        SELECT sum({volume}) AS mb FROM (SELECT *, filename FROM {f}) GROUP BY MSISDN, filename
    ) WHERE mb > 0"""
    low, median, high = one(sql, volume=_VOLUME, f=chile / "usage_*.parquet")
    assert 15 < low < 60
    assert 80 < median < 250
    assert 600 < high < 2000


def test_people_have_a_memory(chile: Path) -> None:
    """The log volume of a day correlates with that of the day before, beyond the person's own mean."""
    sql = """WITH d AS (
            SELECT MSISDN, EVENT_TS::DATE AS day, ln(sum({volume}) + 0.1) AS y FROM {f} GROUP BY ALL),
        e AS (SELECT *, y - avg(y) OVER (PARTITION BY MSISDN) AS r FROM d WHERE y > 1)
        SELECT corr(e.r, p.r) FROM e JOIN e p ON p.MSISDN = e.MSISDN AND p.day = e.day - 1"""
    assert 0.2 < one(sql, volume=_VOLUME, f=chile / "usage_*.parquet") < 0.8


def test_monthly_churn_and_base_are_in_range(chile: Path) -> None:
    sql = """SELECT count(*) FILTER (STATUS = 'C'),
        count(*) FILTER (STATUS = 'A') / count(DISTINCT filename) FROM {f}"""
    left, base = query(sql, f=chile / "subscribers_*.parquet")[0]
    assert 0.035 < left / base / (7 * WEEKS) * 30.4 < 0.065
    ends = [
        one("SELECT count(*) FROM {f} WHERE STATUS = 'A'", f=path)
        for path in sorted(chile.glob("subscribers_*.parquet"))
    ]
    assert max(ends) / min(ends) < 1.05


def test_those_who_left_do_not_come_back(chile: Path) -> None:
    sql = """WITH s AS (SELECT MSISDN, STATUS, filename FROM {f})
        SELECT count(*) FROM s c JOIN s later ON later.MSISDN = c.MSISDN AND later.filename > c.filename
        WHERE c.STATUS = 'C'"""
    assert one(sql, f=chile / "subscribers_*.parquet") == 0


def test_churn_can_be_learned_but_not_perfectly(chile: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    usage, subscribers = chile / "usage_*.parquet", chile / "subscribers_*.parquet"
    sample = query(_CHURN_SAMPLE, volume=_VOLUME, first=FIRST_DAY, usage=usage, subscribers=subscribers)
    rows = np.array(sample, dtype=float)
    early = rows[:, 0] < 27
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[early, 1:-1], rows[early, -1])
        scores = model.predict_proba(rows[~early, 1:-1])[:, 1]
    auc = roc_auc_score(rows[~early, -1], scores)
    assert 0.7 < auc < 0.95


def test_campaign_logs_true_propensities(chile: Path) -> None:
    """Sums of 1/propensity count every eligible person, day and arm once, so that discounts weigh equally."""
    sql = """SELECT sum(1 / PROPENSITY) FILTER (DISCOUNT = 0) / sum(1 / PROPENSITY) FROM {f}"""
    assert one(sql, f=chile / "offers_sent_*.parquet") == pytest.approx(1 / 3, abs=0.06)
    accepted = """SELECT avg(ACCEPTED::INTEGER) FILTER (DISCOUNT > 0)
        / avg(ACCEPTED::INTEGER) FILTER (DISCOUNT = 0) FROM {f}"""
    assert one(accepted, f=chile / "offers_sent_*.parquet") > 1.1


def test_control_group_is_never_contacted(chile: Path) -> None:
    root = chile.parents[1] / "root" / "cl"
    day = FIRST_DAY + dt.timedelta(days=7 * WEEKS)
    latent = root / f"population_{day:%Y%m%d}.parquet"
    sql = """SELECT count(*) FILTER (stratum = 'control') / count(*),
        count(last_contact_date) FILTER (stratum = 'control') FROM {f}"""
    share, contacted = query(sql, f=latent)[0]
    assert share == pytest.approx(0.10, abs=0.02)
    assert contacted == 0
