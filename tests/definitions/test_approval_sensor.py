"""The approvals sensor: what it records, repairs and requests, and what it says when there is nothing to do."""

import datetime as dt
from dataclasses import replace

import dagster as dg
import pytest

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.learning.approval import ApprovalSpec, note_terms, resolution_id
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from sensors.approvals import build_approval_sensors
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.integration.small_operator import churn_project

SLOT = ModelSlot("churn", "churn_risk", "cl")
NOW = dt.datetime.now(dt.UTC)


class CountingRegistry(FakeModelRegistry):
    """Knows any version, and counts how often it is asked for aliases."""

    questions = 0
    fails = False

    def aliases(self, name: str) -> dict[str, str]:
        self.questions += 1
        if self.fails:
            raise RegistryError("no connection", where=name)
        return super().aliases(name)

    def project_aliases(self, name: str, champion: str | None, challenger: str | None) -> None:
        wanted = {"champion": champion, "challenger": challenger}
        self.aliases_by_name[name] = {alias: version for alias, version in wanted.items() if version}


def pending_since(decided_at_utc: dt.datetime) -> LedgerEntry:
    """Return a first challenger that waits for a person."""
    terms = note_terms(ApprovalSpec(mode="manual"), decided_at_utc)
    return LedgerEntry(
        decision_id="p1",
        slot=SLOT,
        outcome="pending",
        version="1",
        bundle_sha256="a" * 64,
        previous_version=None,
        decided_by="gate",
        decided_at_utc=decided_at_utc,
        as_of_day=None,
        evidence_sha256="e" * 64,
        reasons=("gain",),
        evidence={"figures": {}, "checks": [], "approval": terms},
    )


class Site:
    """A ledger, a registry, and the sensor's cursor between ticks."""

    def __init__(self) -> None:
        self.ledger, self.registry = FakePromotionLedger(), CountingRegistry()
        self.cursor: str | None = None
        (self.sensor,) = build_approval_sensors(churn_project())

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        """Evaluate the sensor once."""
        resources = {"ledger": self.ledger, "registry": self.registry}
        with dg.build_sensor_context(resources=resources, cursor=self.cursor) as context:
            result = self.sensor(context)
            self.cursor = context.cursor
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result


@pytest.fixture
def site() -> Site:
    return Site()


def test_it_says_that_nobody_decided(site: Site) -> None:
    result = site.tick()
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "no person has decided anything"
    site.ledger.record(pending_since(NOW))
    result = site.tick()
    assert isinstance(result, dg.SkipReason)
    assert "they say challenger 1 now" in (result.skip_message or "")


def test_overdue_decision_is_recorded_and_its_card_renewed(site: Site) -> None:
    site.ledger.record(pending_since(NOW - dt.timedelta(days=15)))
    result = site.tick()
    assert site.ledger.history(SLOT)[-1].outcome == "expired"
    assert isinstance(result, dg.SensorResult)
    requests = result.run_requests or []
    name = f"decision/{SLOT.registered_name}/{resolution_id('p1')}"
    assert [request.run_key for request in requests] == [f"{name}/deployment", f"{name}/reports"]
    assert {request.partition_key for request in requests} == {"cl"}
    assert [list(key.path) for request in requests for key in request.asset_selection or []] == [
        ["deployment", "churn", "churn_risk"],
        ["reports", "churn", "churn_risk_card"],
    ]
    again = site.tick()
    assert isinstance(again, dg.SensorResult)
    keys = [request.run_key for request in requests]
    assert [r.run_key for r in again.run_requests or []] == keys, "Dagster runs a key once"
    assert len(site.ledger.history(SLOT)) == 2


def test_aliases_are_repaired_once_the_ledger_moved(site: Site) -> None:
    pending = pending_since(NOW)
    site.ledger.record(pending)
    site.tick()
    asked = site.registry.questions
    site.tick()
    assert site.registry.questions == asked, "the ledger did not move"
    site.ledger.record(replace(pending, decision_id=resolution_id("p1"), outcome="promoted", decided_by="Bo"))
    assert isinstance(site.tick(), dg.SensorResult)
    assert site.registry.aliases_by_name[SLOT.registered_name] == {"champion": "1", "challenger": "1"}


def test_registry_that_fails_is_asked_again(site: Site) -> None:
    site.ledger.record(pending_since(NOW))
    site.registry.fails = True
    with pytest.raises(RegistryError):
        site.tick()
    site.registry.fails = False
    site.tick()
    assert site.registry.aliases_by_name[SLOT.registered_name] == {"challenger": "1"}


def test_decision_of_the_gate_after_it_needs_no_follow_up(site: Site) -> None:
    pending = pending_since(NOW)
    site.ledger.record(pending)
    site.ledger.record(replace(pending, decision_id=resolution_id("p1"), outcome="rejected", decided_by="Bo"))
    assert isinstance(site.tick(), dg.SensorResult)
    site.ledger.record(replace(pending, decision_id="next", outcome="rejected", version="2"))
    assert isinstance(site.tick(), dg.SkipReason)
