"""The campaign system with offers that the platform proposes."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mlops_assets.sandbox import simulation
from mlops_assets.sandbox.geography_world import DayOutcome
from mlops_assets.sandbox.parameters import CampaignParameters
from tests.unit.sandbox.conftest import FIRST_DAY, SHORT_PAST, Operator, contracts, geographies

DAY = FIRST_DAY + dt.timedelta(days=2)
CAMPAIGN = CampaignParameters()
FEEDS = ("offers_sent", "subscribers", "plans")


def fetch(sql: str, **paths: Path) -> list[tuple[Any, ...]]:
    return duckdb.sql(sql.format(**paths)).fetchall()


def write_offers(
    folder: Path, operator: Operator, *, plan: str, every: int, propensity: float = 0.8125
) -> Path:
    """Propose a plan to every n-th active customer of Chile, and nothing to the other ones."""
    snapshot = operator.landing / "cl" / f"subscribers_{DAY - dt.timedelta(days=1):%Y%m%d}.parquet"
    found = fetch(
        "SELECT DISTINCT MSISDN FROM '{snapshot}' WHERE STATUS = 'A' ORDER BY MSISDN", snapshot=snapshot
    )
    lines = ["SUBSCRIBER,PLAN_ID,DISCOUNT,PROPENSITY,MODEL"]
    for number, (person,) in enumerate(found):
        is_offered = number % every == 0
        lines.append(f"{person},{plan if is_offered else 'NONE'},{500 if is_offered else 0},{propensity},3")
    target = folder / "cl" / f"personalized_offer_{DAY:%Y%m%d}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n")
    return target


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = Operator(tmp_path_factory.mktemp("campaign"), contracts(*FEEDS), geographies("cl"))
    operator.start(subscribers=6000, days=2)
    return operator


def go_on(operator: Operator, target: Path, offers: Path | None) -> list[tuple[Any, ...]]:
    """Let DAY pass in a copy; return person, plan, propensity and discount of each contact."""
    shutil.copytree(operator.folder, target, dirs_exist_ok=True)
    chains = {"cl": ["cl"]}
    simulation.advance(
        target / "root",
        target / "landing",
        operator.contracts,
        operator.geographies,
        chains,
        behaviour=SHORT_PAST,
        offers=offers,
    )
    sent = target / "landing" / "cl" / f"offers_sent_{DAY:%Y%m%d}.parquet"
    return fetch("SELECT DISTINCT MSISDN, PLAN_ID, PROPENSITY, DISCOUNT FROM '{sent}'", sent=sent)


def test_proposed_offers_are_sent_and_all_others_nearly_stop(two_days: Operator, tmp_path: Path) -> None:
    file = write_offers(tmp_path / "offers", two_days, plan="CL-DAT-M", every=3)
    proposed = dict(fetch("SELECT SUBSCRIBER, PLAN_ID FROM '{file}'", file=file))
    offered = {person for person, plan in proposed.items() if plan != "NONE"}
    contacts = go_on(two_days, tmp_path / "with", tmp_path / "offers")
    as_proposed = [row for row in contacts if row[0] in offered and row[2] == 0.8125]
    assert len(as_proposed) / len(offered) == pytest.approx(CAMPAIGN.proposed_sent_share, abs=0.025)
    assert {(plan, round(discount)) for _, plan, _, discount in as_proposed} == {("CL-DAT-M", 500)}
    other = [row for row in contacts if row[0] in offered and row[2] != 0.8125]
    assert 0 < len(other) / len(offered) < 0.05
    left_alone = set(proposed) - offered
    reached = [row for row in contacts if row[0] in left_alone]
    usual = [row for row in go_on(two_days, tmp_path / "without", None) if row[0] in left_alone]
    assert len(reached) < 0.1 * len(usual)


def test_a_plan_that_is_not_sold_is_not_sent(two_days: Operator, tmp_path: Path) -> None:
    file = write_offers(tmp_path / "offers", two_days, plan="CL-GONE", every=2)
    covered = {person for (person,) in fetch("SELECT SUBSCRIBER FROM '{file}'", file=file)}
    contacts = [row for row in go_on(two_days, tmp_path / "with", tmp_path / "offers") if row[0] in covered]
    assert len(contacts) < 0.005 * len(covered)


@pytest.mark.parametrize("has_folder", [True, False])
def test_without_a_file_of_the_day_nothing_changes(
    two_days: Operator, tmp_path: Path, *, has_folder: bool
) -> None:
    offers = tmp_path / "offers"
    if has_folder:
        write_offers(offers, two_days, plan="CL-DAT-M", every=3).rename(offers / "cl" / "other_20200101.csv")
    contacts = go_on(two_days, tmp_path / "with", offers)
    assert sorted(contacts) == sorted(go_on(two_days, tmp_path / "without", None))


def test_offers_that_are_delivered_while_days_pass_are_sent(tmp_path: Path) -> None:
    operator = Operator(tmp_path, contracts(*FEEDS), geographies("cl"))

    def propose(outcome: DayOutcome) -> None:
        if outcome.day == DAY - dt.timedelta(days=1):
            write_offers(tmp_path / "offers", operator, plan="CL-DAT-M", every=2)

    operator.start(days=3, offers=tmp_path / "offers", on_day=propose)
    sent = operator.landing / "cl" / f"offers_sent_{DAY:%Y%m%d}.parquet"
    assert len(fetch("SELECT * FROM '{sent}' WHERE PROPENSITY = 0.8125", sent=sent)) > 50


def test_a_repeated_day_is_the_same(two_days: Operator, tmp_path: Path) -> None:
    write_offers(tmp_path / "offers", two_days, plan="CL-BOO-1", every=2)
    first = go_on(two_days, tmp_path / "first", tmp_path / "offers")
    assert sorted(first) == sorted(go_on(two_days, tmp_path / "again", tmp_path / "offers"))
