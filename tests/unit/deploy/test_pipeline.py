"""The pipeline: steps that exist, and scripts that do what they say, against a `gcloud` that only takes notes."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.__main__ import FOLDER, commands
from deploy.cloud_run.roles import ROLES
from tests.conventions.repository import ROOT
from tests.unit.deploy.discovery import find_violations
from tests.unit.deploy.test_release import IMAGE, make_release

PIPELINE = FOLDER / "pipeline"
BUILDS = ("cloudbuild.yaml", "cloudbuild-production.yaml")
_GIVEN_BY_CLOUD_BUILD = {"COMMIT_SHA"}
# Answers what ANSWERS names by a word of the call; exits with 1 where the answer is "FAIL".
_FAKE = """#!/usr/bin/env python3
import json, os, sys
call = " ".join(sys.argv[1:])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(call.replace("\\n", " ") + "\\n")
for words, answer in json.loads(os.environ["ANSWERS"]).items():
    if words in call:
        if answer == "FAIL":
            sys.exit(1)
        print(answer)
        break
"""


@dataclass
class Gcloud:
    """A `gcloud` that takes notes; `answers` by words of a call."""

    folder: Path
    answers: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run one of the pipeline's scripts with it."""
        import json

        (self.folder / "gcloud").write_text(_FAKE)
        (self.folder / "gcloud").chmod(0o755)
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "CALLS": str(self.folder / "calls"), "ANSWERS": json.dumps(self.answers)}
        command = ["sh", str(PIPELINE / script), *map(str, arguments)]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def calls(self) -> list[str]:
        """What it was asked, in order."""
        notes = self.folder / "calls"
        return notes.read_text().splitlines() if notes.exists() else []


@pytest.fixture
def gcloud(tmp_path: Path) -> Gcloud:
    return Gcloud(tmp_path)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Manifests of a release of staging."""
    make_release("staging", tmp_path / "release")
    return tmp_path / "release"


def _applied(calls: list[str]) -> list[str]:
    """Return the names of the manifests that were applied, in order."""
    return [Path(call.split()[3]).stem for call in calls if " replace " in call]


def _build(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


# ---------------------------------------------------------------- the build files
@pytest.mark.parametrize("name", BUILDS)
def test_builds_are_valid_for_the_api(name: str) -> None:
    assert find_violations(_build(name), "cloudbuild.v1", "Build") == []


@pytest.mark.parametrize("name", BUILDS)
def test_steps_name_what_is_there(name: str) -> None:
    text = (FOLDER / name).read_text()
    named = re.findall(r"(?:deploy|\.ci)/[A-Za-z/-]+(?:\.[a-z]+)?", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", BUILDS)
def test_steps_call_commands_that_are_there(name: str) -> None:
    text = " ".join(step_text for step in _build(name)["steps"] for step_text in step["args"])
    called = re.findall(r"python -m deploy ([a-z]+)((?: --[a-z]+| \"[^\"]*\"| \$\S+| [a-z]+)*)", text)
    assert called
    for command, rest in called:
        known = {option for parameter in commands.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z]+", rest)) <= known


@pytest.mark.parametrize("name", BUILDS)
def test_every_substitution_is_declared_and_used(name: str) -> None:
    build = _build(name)
    used = set(re.findall(r"(?<!\$)\$\{?([_A-Z][_A-Z0-9]*)", yaml.safe_dump({**build, "substitutions": {}})))
    assert used == set(build["substitutions"]) | (used & _GIVEN_BY_CLOUD_BUILD)


@pytest.mark.parametrize("name", BUILDS)
def test_no_image_of_a_step_has_a_tag(name: str) -> None:
    images = {step["name"] for step in _build(name)["steps"]}
    assert images <= {
        "${_CI_IMAGE}",
        "${_GCLOUD_IMAGE}",
        "${_DOCKER_IMAGE}",
    }


def test_nothing_reaches_staging_untested_or_unscanned() -> None:
    steps = [step["id"] for step in _build("cloudbuild.yaml")["steps"]]
    assert steps == [
        "history", "test", "deployed", "plan", "build", "push", "scan", "manifests", "migrate", "staging", "ask",
    ]  # fmt: skip
    assert not any(
        "waitFor" in step or "allowFailure" in step for name in BUILDS for step in _build(name)["steps"]
    )


def test_production_builds_nothing() -> None:
    steps = [step["id"] for step in _build("cloudbuild-production.yaml")["steps"]]
    assert steps == ["serving", "manifests", "migrate", "canary", "production"]


# ---------------------------------------------------------------- the scripts
def test_a_release_applies_every_role_once_and_the_daemon_last(gcloud: Gcloud, released: Path) -> None:
    assert gcloud.run("migrate.sh", released, "some-project", "some-region").returncode == 0
    assert gcloud.run("release.sh", released, "some-project", "some-region").returncode == 0
    applied = _applied(gcloud.calls)
    assert applied[:2] == ["daemon-stopped", "migrate"]
    assert applied[-1] == "daemon"
    assert sorted(applied) == sorted([role.name for role in ROLES] + ["daemon-stopped"])
    assert [call.split()[1:5] for call in gcloud.calls if " execute " in call] == [
        ["jobs", "execute", "migrate", "--wait"],
        ["jobs", "execute", "smoke", "--wait"],
    ]
    assert all("--project some-project --region some-region" in call for call in gcloud.calls)


def test_each_kind_is_applied_by_its_own_command(gcloud: Gcloud, released: Path) -> None:
    gcloud.run("apply.sh", released, "p", "r", "web", "daemon", "run-s")
    assert [call.split()[1] for call in gcloud.calls] == ["services", "worker-pools", "jobs"]


@pytest.mark.parametrize("environment", ["gcp", "staging"])
def test_committed_manifests_cannot_be_applied(gcloud: Gcloud, environment: str) -> None:
    result = gcloud.run("apply.sh", FOLDER / environment, "p", "r", "web")
    assert result.returncode == 1
    assert "no image by digest" in result.stderr
    assert gcloud.calls == []


def test_a_failed_migration_leaves_the_daemon_stopped(gcloud: Gcloud, released: Path) -> None:
    gcloud.answers = {"execute migrate": "FAIL"}
    assert gcloud.run("migrate.sh", released, "p", "r").returncode == 1
    assert _applied(gcloud.calls) == ["daemon-stopped", "migrate"]


def test_a_role_that_does_not_start_stops_the_release(gcloud: Gcloud, released: Path) -> None:
    gcloud.answers = {"scoring.yaml": "FAIL"}
    assert gcloud.run("release.sh", released, "p", "r").returncode == 1
    assert "daemon" not in _applied(gcloud.calls)


def _canary(tmp_path: Path) -> Path:
    serving = tmp_path / "serving.json"
    serving.write_text('{"status": {"traffic": [{"revisionName": "scoring-before", "percent": 100}]}}')
    make_release("staging", tmp_path / "canary", "--canary", "10", "--serving", str(serving))
    return tmp_path / "canary"


def test_a_canary_that_fails_a_request_is_taken_back(gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud.answers = {"latestReadyRevisionName": "scoring-new", "logging read": "some-entry"}
    result = gcloud.run("canary.sh", _canary(tmp_path), "p", "r", 0)
    assert result.returncode == 1
    assert "scoring-new answered with 5xx" in result.stderr
    (read,) = [call for call in gcloud.calls if call.startswith("logging read")]
    assert 'revision_name="scoring-new"' in read
    assert gcloud.calls[-1].startswith(
        "run services update-traffic scoring --to-revisions scoring-before=100"
    )


def test_a_canary_is_watched_from_before_its_first_request(gcloud: Gcloud, tmp_path: Path) -> None:
    (gcloud.folder / "date").write_text('#!/bin/sh\necho "the time is noted" >> "$CALLS"\necho 12:00\n')
    (gcloud.folder / "date").chmod(0o755)
    gcloud.answers = {"latestReadyRevisionName": "scoring-new"}
    assert gcloud.run("canary.sh", _canary(tmp_path), "p", "r", 0).returncode == 0
    assert gcloud.calls[0] == "the time is noted"
    (read,) = [call for call in gcloud.calls if call.startswith("logging read")]
    assert 'timestamp>="12:00"' in read


def test_a_canary_without_failures_stays(gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud.answers = {"latestReadyRevisionName": "scoring-new"}
    result = gcloud.run("canary.sh", _canary(tmp_path), "p", "r", 0)
    assert (result.returncode, result.stderr) == (0, "")
    assert not any("update-traffic" in call for call in gcloud.calls)


def test_a_log_that_cannot_be_read_is_no_proof(gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud.answers = {"latestReadyRevisionName": "scoring-new", "logging read": "FAIL"}
    assert gcloud.run("canary.sh", _canary(tmp_path), "p", "r", 0).returncode == 1


def test_the_first_release_has_no_canary(gcloud: Gcloud, released: Path) -> None:
    assert gcloud.run("canary.sh", released, "p", "r", 0).returncode == 0
    assert _applied(gcloud.calls) == ["scoring"]
    assert len(gcloud.calls) == 1


def test_a_rollback_moves_the_requests_before_anything_is_made(gcloud: Gcloud, released: Path) -> None:
    gcloud.answers = {"revisions list": "scoring-old"}
    assert gcloud.run("rollback.sh", released, "p", "r").returncode == 0
    assert f"spec.containers.image={IMAGE}" in gcloud.calls[0]
    assert "--to-revisions scoring-old=100" in gcloud.calls[1]
    assert _applied(gcloud.calls)[-1] == "daemon"
    assert "migrate" not in " ".join(gcloud.calls)


def test_a_rollback_beyond_what_cloud_run_keeps_makes_it_again(gcloud: Gcloud, released: Path) -> None:
    assert gcloud.run("rollback.sh", released, "p", "r").returncode == 0
    assert not any("update-traffic" in call for call in gcloud.calls)
    assert "scoring" in _applied(gcloud.calls)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ("", 0),
        ("MEDIUM,x\nLOW,y", 0),
        ("LOW,not HIGH, at all", 0),
        ("MEDIUM,x\nHIGH,y", 1),
        ("CRITICAL,z", 1),
    ],
)
def test_a_grave_vulnerability_stops_the_build(gcloud: Gcloud, found: str, status: int) -> None:
    gcloud.answers = {"images scan": "projects/p/scans/1", "list-vulnerabilities": found}
    result = gcloud.run("scan.sh", IMAGE, "us")
    assert result.returncode == status, result.stderr
    assert IMAGE in gcloud.calls[0]


def test_no_result_is_no_clean_image(gcloud: Gcloud) -> None:
    assert gcloud.run("scan.sh", IMAGE, "us").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("described", "status", "said"),
    [
        ("", 0, "nothing is deployed yet"),
        ('{"metadata": {"labels": {"commit": "HEAD"}}}', 0, "plan: the configuration"),
        (
            '{"metadata": {"labels": {"commit": "0000000000000000000000000000000000000000"}}}',
            1,
            "cannot be said",
        ),
    ],
)
def test_the_plan_says_what_changes(gcloud: Gcloud, described: str, status: int, said: str) -> None:
    if not (ROOT / ".venv" / "bin" / "mlops").exists() or not (ROOT / ".git").exists():
        pytest.skip("needs the set-up of `make setup` and a repository")
    file = gcloud.folder / "deployed.json"
    file.write_text(described)
    result = gcloud.run("plan.sh", file)
    assert result.returncode == status, result.stderr
    assert said in result.stdout + result.stderr
