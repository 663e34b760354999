"""The scoring service over HTTP: what it answers, refuses, and how it changes models under load."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.domain.learning.dataset import dataset_from_arrow
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.serving.app import ServiceLimits, build_app
from tests.integration.serving.http_server import Client, serving
from tests.unit.domain.deployment.deployment_world import SLOT, DeploymentWorld, make_scorer
from tests.unit.domain.learning.samples import FEATURES, make_table

TABLE = make_table(20, seed=3)
ROWS = [{name: row[name] for name in FEATURES} for row in TABLE.to_pylist()]
# One row is scored at once, twenty in the scoring thread.
LIMITS = ServiceLimits(most_rows=50, most_bytes=100_000, few_bytes=500, poll_every_s=0.02)
BARE = ModelSlot("churn", "churn_risk", "pe")


@pytest.fixture
def world(tmp_path: Path) -> DeploymentWorld:
    world = DeploymentWorld(tmp_path)
    world.promote(1)
    world.update()
    return world


@pytest.fixture
def client(world: DeploymentWorld) -> Iterator[Client]:
    app = build_app(world.store, world.ledger, slots=[SLOT, BARE], limits=LIMITS)
    with serving(app) as port, Client(port) as client:
        yield client


def test_scores_are_the_models(client: Client, world: DeploymentWorld) -> None:
    status, answer = client.score(ROWS)
    assert status == 200
    batch = dataset_from_arrow(TABLE, FEATURES, categorical=make_scorer(1).categorical)
    np.testing.assert_allclose(answer["scores"], make_scorer(1).predict(batch), rtol=0, atol=1e-12)
    entry = world.ledger.champion(SLOT)
    assert entry is not None
    assert (answer["model_version"], answer["bundle_sha256"]) == (entry.version, entry.bundle_sha256)
    assert client.headers["x-model-version"] == "1"


def test_refusals_name_row_feature_and_remedy(client: Client) -> None:
    row = {name: value for name, value in ROWS[0].items() if name != "plan"}
    status, answer = client.score([ROWS[0], {**row, "noise": "loud"}])
    assert (status, answer["model_version"]) == (422, "1")
    (finding,) = answer["findings"]
    assert finding == {
        "row": 1,
        "feature": "plan",
        "problem": "the feature is missing",
        "expected": "every feature of the model",
        "remedy": "send null if the value is not known",
    }


def test_the_unusual_is_scored_with_a_warning(client: Client) -> None:
    status, answer = client.score([{**ROWS[0], "usage_mb": 1e9}])
    assert (status, answer["warning_count"], len(answer["scores"])) == (200, 1, 1)
    assert answer["warnings"][0]["feature"] == "usage_mb"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"rows": [{"a": NaN}]}', b"\xff\xfe"])
def test_broken_bodies_are_refused(client: Client, body: bytes) -> None:
    status, answer = client.call("POST", "/v1/score/churn/churn_risk/cl", body)
    assert (status, answer["model_version"]) == (422, "1")
    assert client.score(ROWS)[0] == 200


def test_limits_of_size(client: Client) -> None:
    assert client.score([ROWS[0]] * 50)[0] == 200
    assert client.score([ROWS[0]] * 51)[0] == 422
    status, answer = client.call("POST", "/v1/score/churn/churn_risk/cl", b" " * 100_001)
    assert (status, answer["expected"]) == (413, "at most 100,000 bytes")


@pytest.mark.parametrize(
    "slot", ["churn/churn_risk/xx", "churn/other/cl", "%00/%ff/..%2f", "%00/%ff/%ed%a0%80"]
)
def test_unknown_slots(client: Client, slot: str) -> None:
    status, answer = client.score(ROWS, slot)
    assert status == 404
    assert "churn/churn_risk/cl" in answer.get("expected", "") or answer == {"detail": "Not Found"}


def test_a_slot_without_model(client: Client) -> None:
    status, answer = client.score(ROWS, "churn/churn_risk/pe")
    assert status == 503
    assert "mlops deploy update" in answer["remedy"]


def test_what_answers_is_listed(client: Client) -> None:
    status, answer = client.call("GET", "/v1/models")
    (model,) = answer["models"]
    assert (status, model["model_version"], model["algorithm"]) == (200, "1", "catboost")
    assert [feature["name"] for feature in model["features"]] == FEATURES
    assert [feature["kind"] for feature in model["features"]] == ["numeric"] * 3 + ["categorical"] * 2
    assert client.call("GET", "/healthz") == (200, {"status": "alive"})
    assert client.call("GET", "/readyz")[0] == 200


def test_a_client_that_leaves_early_disturbs_nobody(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as half:
        half.sendall(
            b'POST /v1/score/churn/churn_risk/cl HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"rows"'
        )
    assert client.score(ROWS)[0] == 200


def test_a_bad_package_is_never_served(client: Client, world: DeploymentWorld) -> None:
    second = world.promote(2)
    world.update()
    client.wait_for("2", ROWS)
    third = world.promote(3)
    # The pointer moves by hand, past the updater's own verification.
    pointer = world.store.pointer(SLOT)
    assert pointer is not None
    assert pointer.serving is not None
    forged = pointer.serving.model_copy(
        update={
            "version": third.version,
            "decision_id": third.decision_id,
            "bundle_sha256": third.bundle_sha256,
        }
    )
    world.store.swap(pointer.model_copy(update={"generation": pointer.generation + 1, "serving": forged}))
    while client.call("GET", "/readyz")[0] == 200:
        assert client.score(ROWS)[1]["model_version"] == second.version
    status, answer = client.call("GET", "/readyz")
    assert (status, answer["ready"]) == (503, False)
    assert "version 2 goes on answering" in answer["problems"][0]
    assert client.score(ROWS)[1]["model_version"] == second.version
    world.update()
    client.wait_for("3", ROWS)
    assert client.call("GET", "/readyz")[0] == 200


def test_models_change_under_load_without_a_failed_request(client: Client, world: DeploymentWorld) -> None:
    bundles = {1: make_scorer(1), 2: make_scorer(2), 3: make_scorer(3)}
    batch = dataset_from_arrow(TABLE, FEATURES, categorical=make_scorer(1).categorical)
    expected = {str(seed): scorer.predict(batch) for seed, scorer in bundles.items()}
    answers: list[tuple[int, dict[str, Any]]] = []
    is_over = threading.Event()

    def ask() -> None:
        with Client(client.port) as own:
            while not is_over.is_set():
                answers.append(own.score(ROWS))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for seed in (2, 3):
            world.promote(seed)
            world.update()
            client.wait_for(str(seed), ROWS)
        for version in ("1", "2", "3", "1"):
            known = {entry.version: entry for entry in world.ledger.entries}
            world.decide(version, known[version].bundle_sha256)
            world.update()
            client.wait_for(version, ROWS)
    finally:
        is_over.set()
        for asker in askers:
            asker.join()
    assert {status for status, _ in answers} == {200}
    assert {answer["model_version"] for _, answer in answers} == {"1", "2", "3"}
    for _, answer in answers:
        np.testing.assert_allclose(answer["scores"], expected[answer["model_version"]], rtol=0, atol=1e-12)


def test_requests_beyond_what_can_wait_are_told_to_come_back(world: DeploymentWorld) -> None:
    limits = LIMITS.model_copy(update={"most_waiting": 0})
    with serving(build_app(world.store, world.ledger, limits=limits)) as port, Client(port) as client:
        status, answer = client.score(ROWS)
        assert (status, answer["remedy"]) == (503, "try again in a second")
