"""A release fills in what only it knows, and refuses anything less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from deploy.__main__ import commands
from deploy.cloud_run.release import release_manifest, serving_revision, share_requests, stop_instances
from deploy.cloud_run.roles import ROLES
from mlops_assets.domain.errors import ConfigError
from tests.unit.deploy.conftest import container_of
from tests.unit.deploy.discovery import find_violations

HEX = "0123456789abcdef" * 4
IMAGE = f"images.operator.example/some-project/mlops-assets/platform@sha256:{HEX}"
COMMIT = "a" * 40


@pytest.mark.parametrize(
    "image",
    [
        "",
        IMAGE.replace(HEX, "DIGEST"),
        IMAGE.replace(HEX, HEX[:63]),
        IMAGE.replace(HEX, HEX.upper()),
        IMAGE.replace(f"@sha256:{HEX}", ":latest"),
        f"{IMAGE}\n",
        f"platform@sha256:{HEX}",
    ],
)
def test_an_image_without_a_digest_is_refused(manifests: dict[str, dict[str, Any]], image: str) -> None:
    with pytest.raises(ConfigError, match="not named by its digest"):
        release_manifest(yaml.safe_dump(manifests["web"]), image, COMMIT)


@pytest.mark.parametrize("commit", ["", "main", "A" * 40, f"{COMMIT}\n"])
def test_a_release_is_of_a_commit(manifests: dict[str, dict[str, Any]], commit: str) -> None:
    with pytest.raises(ConfigError, match="not a commit"):
        release_manifest(yaml.safe_dump(manifests["web"]), IMAGE, commit)


def make_release(environment: str, folder: Path, *more: str) -> None:
    """Write the manifests of a release into a folder."""
    facts = {"environment": environment, "image": IMAGE, "commit": COMMIT, "output": str(folder)}
    words = [word for name, value in facts.items() for word in (f"--{name}", value)]
    commands.main(["release", *words, *more], standalone_mode=False)


def test_all_manifests_of_a_release_can_be_applied(tmp_path: Path) -> None:
    make_release("staging", tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {role.name for role in ROLES} | {"daemon-stopped"}
    for path in tmp_path.iterdir():
        manifest = yaml.safe_load(path.read_text())
        assert "DIGEST" not in path.read_text()
        assert container_of(manifest)["image"] == IMAGE
        assert manifest["metadata"]["labels"]["commit"] == COMMIT
        assert not find_violations(manifest, "run.v1", manifest["kind"])


def test_the_daemon_can_be_stopped_before_tables_change(manifests: dict[str, dict[str, Any]]) -> None:
    stopped = stop_instances(manifests["daemon"])
    assert stopped["metadata"]["annotations"]["run.googleapis.com/manualInstanceCount"] == "0"
    assert manifests["daemon"]["metadata"]["annotations"]["run.googleapis.com/manualInstanceCount"] == "1"
    with pytest.raises(ConfigError, match="Service"):
        stop_instances(manifests["web"])


def test_a_canary_gets_its_share_and_no_more(manifests: dict[str, dict[str, Any]]) -> None:
    released = release_manifest(yaml.safe_dump(manifests["scoring"]), IMAGE, COMMIT)
    shared = share_requests(released, "scoring-000", 10)
    assert shared["spec"]["traffic"] == [
        {"revisionName": "scoring-000", "percent": 90},
        {"latestRevision": True, "percent": 10, "tag": "canary"},
    ]
    assert released["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert not find_violations(shared, "run.v1", "Service")


@pytest.mark.parametrize(
    ("name", "serving", "percent"), [("daemon", "x", 10), ("scoring", "", 10), ("scoring", "x", 101)]
)
def test_a_share_that_cannot_be_is_refused(
    manifests: dict[str, dict[str, Any]], name: str, serving: str, percent: int
) -> None:
    with pytest.raises(ConfigError, match="cannot give"):
        share_requests(release_manifest(yaml.safe_dump(manifests[name]), IMAGE, COMMIT), serving, percent)


@pytest.mark.parametrize(
    ("described", "serving"),
    [
        ("", ""),
        ({"status": {}}, ""),
        (
            {
                "status": {
                    "traffic": [{"revisionName": "a", "percent": 10}, {"revisionName": "b", "percent": 90}]
                }
            },
            "b",
        ),
        (
            {
                "status": {
                    "traffic": [{"revisionName": "a", "percent": 100}, {"revisionName": "b", "tag": "canary"}]
                }
            },
            "a",
        ),
        (
            {
                "status": {
                    "traffic": [
                        {"revisionName": "a", "percent": 60},
                        {"revisionName": "b", "percent": 40},
                        {"revisionName": "a", "tag": "canary"},
                    ]
                }
            },
            "a",
        ),
    ],
)
def test_who_serves_is_who_has_most_requests(described: object, serving: str) -> None:
    assert serving_revision(json.dumps(described) if described else "") == serving


def test_without_a_canary_the_first_release_serves_all(tmp_path: Path) -> None:
    nothing = tmp_path / "serving.json"
    nothing.write_text("")
    make_release("gcp", tmp_path / "out", "--canary", "10", "--serving", str(nothing))
    traffic = yaml.safe_load((tmp_path / "out" / "scoring.yaml").read_text())["spec"]["traffic"]
    assert traffic == [{"latestRevision": True, "percent": 100}]


def test_a_canary_beside_nobody_knows_whom_is_refused(tmp_path: Path) -> None:
    """Without --serving the new revision would take all requests at once, without a word."""
    with pytest.raises(click.UsageError, match="--canary needs --serving"):
        make_release("gcp", tmp_path / "out", "--canary", "10")
    assert not (tmp_path / "out").exists()
