"""What the pages for operators say of the deployment, against what is there."""

from __future__ import annotations

import re

import pytest

from deploy.__main__ import FOLDER, cloud_environments, commands
from deploy.cloud_run.render import role_secrets
from deploy.cloud_run.roles import ROLES
from deploy.cloud_run.site import Site, read_site
from deploy.cost import Assumptions, Prices, estimate_month, render_estimate
from mlops_assets.domain.deployment import activation_mail
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.reporting import alert_mail, delivery_mail
from tests.conventions.repository import ROOT

CLOUD = (ROOT / "docs" / "cloud.md").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def _production() -> Site:
    (environment,) = [found for found in cloud_environments() if found.name == "gcp"]
    return read_site(environment)


def test_the_estimate_is_the_one_that_is_computed() -> None:
    items = estimate_month(_production(), ROLES, Prices(), Assumptions())
    assert render_estimate(items) in CLOUD, "put there what `python -m deploy cost` prints"


def test_the_estimate_of_no_environment_of_the_cloud_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"local is no environment of Google Cloud.*gcp or staging"):
        commands.main(["cost", "--environment", "local"], standalone_mode=False)


def test_the_estimate_follows_prices_sizes_and_assumptions() -> None:
    def usd(what: str, prices: Prices, assumed: Assumptions) -> float:
        items = estimate_month(_production(), ROLES, prices, assumed)
        return sum(item.usd for item in items if what in item.what)

    usual, assumed = Prices(), Assumptions()
    # By hand: 2 CPU and 8 GiB for 730 hours.
    assert usd("daemon", usual, assumed) == pytest.approx(730 * 3600 * (2 * 0.000018 + 8 * 0.000002))
    doubled = usual.model_copy(update={"cpu_s": 2 * usual.cpu_s, "gib_s": 2 * usual.gib_s})
    assert usd("scoring", doubled, assumed) == pytest.approx(2 * usd("scoring", usual, assumed))
    alone = assumed.model_copy(update={"has_standby": False})
    assert usd("Cloud SQL", usual, alone) == pytest.approx(usd("Cloud SQL", usual, assumed) / 2)


def test_the_assumed_instance_is_the_one_that_terraform_makes() -> None:
    (tier,) = re.findall(r"db-custom-(\d+)-(\d+)", (FOLDER / "terraform" / "database.tf").read_text())
    assumed = Assumptions()
    assert (assumed.sql_cpu, assumed.sql_gb * 1024) == tuple(map(int, tier))


def test_every_role_and_what_it_may_do_is_on_the_page() -> None:
    for role in ROLES:
        assert f"`{role.name}`" in CLOUD, role.name
    rows = {
        account: cells
        for line in CLOUD.splitlines()
        if line.startswith("| `mlops-")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
        for account in re.findall(r"`([a-z-]+)`", cells[0])
    }
    words = {"none": "", "read": "reads", "write": "writes"}
    for role in ROLES:
        _, bucket, landing, _, secrets = rows[role.account_name]
        assert (bucket, landing) == (words[role.bucket], words[role.landing]), role.name
        assert len(secrets.split(",")) == len(role_secrets(role, _production())), role.name


@pytest.mark.parametrize(
    "report",
    [
        alert_mail.RUN_REPORT,
        alert_mail.CHECK_REPORT,
        delivery_mail.HELD_REPORT,
        delivery_mail.ESCALATION_REPORT,
        activation_mail.REPORT,
    ],
)
def test_every_alert_has_its_answer(report: str) -> None:
    assert f"| `{report}` |" in RUNBOOK


def test_no_mail_is_forgotten() -> None:
    """Every place that makes a mail is one of those that the table was written from."""
    makers = {
        path.stem
        for path in (ROOT / "mlops_assets").rglob("*.py")
        if re.search(r"\bMailMessage\(\n", path.read_text()) and "class MailMessage" not in path.read_text()
    }
    assert makers == {
        "activation_mail",
        "alert_mail",
        "delivery_mail",
        "fleet_alert_list",
        "ladder_report_page",
        "monitor_reports",
        "offer_report_page",
        "retraining_report_page",
    }, "say in docs/runbook.md what is to be done about the new mail, then name its module here"


def test_paths_on_the_pages_are_there() -> None:
    named = set(re.findall(r"\b((?:deploy|tests|configs)/[A-Za-z_/-]+\.[a-z]+)\b", CLOUD + RUNBOOK))
    theirs = {"deploy/terraform/yours.tfvars", "deploy/terraform/yours.t"}
    assert named
    assert [path for path in named - theirs if not (ROOT / path).exists()] == []
