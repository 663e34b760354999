"""The same days on a laptop's folders and on bucket and server: the same tables, champions and reports."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.integration.cloud.cloud_operator import (
    ENVIRONMENT,
    PASSWORD_VARIABLE,
    Site,
    differing,
    run_days,
    upload_landing,
    write_environment,
)
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.integration.small_operator import (
    FIRST_DAY,
    READY_DAY,
    RESTLESS,
    copy_configs,
    deliver,
    shorten_churn,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
LAST_DAY = READY_DAY + dt.timedelta(days=1)  # trained on the day before, scored on this one


@pytest.fixture
def sites(
    tmp_path: Path, postgres: PostgresServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Site, Site]:
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed (PyPI)")
    home, configs = tmp_path / "local", copy_configs(tmp_path / "configs")
    shorten_churn(configs)
    write_environment(configs, postgres, bucket)
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    days = (LAST_DAY - FIRST_DAY).days + 1
    deliver(home, configs, subscribers=600, days=days, behaviour=RESTLESS)
    upload_landing(home, bucket)
    local = run_days(home, configs, "local", FIRST_DAY, LAST_DAY)
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    return local, run_days(tmp_path / "cloud", configs, ENVIRONMENT, FIRST_DAY, LAST_DAY)


def test_champions_tables_and_reports_are_the_same(sites: tuple[Site, Site], tmp_path: Path) -> None:
    local, cloud = sites
    assert cloud.days() == local.days()
    assert cloud.decisions() == local.decisions()
    assert "promoted" in [outcome for _, outcome, *_ in cloud.decisions()]
    assert any(row for *_, row, _ in cloud.days()), "the last day was scored"
    assert differing(cloud.tables(), local.tables()) == []
    assert differing(cloud.reports(), local.reports()) == []
    assert len(cloud.reports()) > len(local.results)
    kept = {path.relative_to(tmp_path / "cloud").parts[0] for path in (tmp_path / "cloud").rglob("*.*")}
    assert kept <= {"cache", "tmp", "dagster_home", "mail"}, "nothing that counts is left on the machine"
