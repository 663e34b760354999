"""From committed manifests to those of one release: with an image by digest, and a share of requests for its revision.

Belongs here: filling in what only a release knows, refusing anything less. Does not belong here: calling Google Cloud
(the pipeline's steps).
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from typing import Any

import yaml

from mlops_assets.domain.errors import ConfigError

_IMAGE = re.compile(r"^[a-z0-9][a-z0-9.-]*\.[a-z]+/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_REVISION = re.compile(r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
KINDS = ("Service", "WorkerPool", "Job")
CANARY_TAG = "canary"


def release_manifest(text: str, image: str, commit: str) -> dict[str, Any]:
    """Return a committed manifest as one that can be applied.

    Args:
        text: YAML of a service, worker pool or job.
        image: by digest.
        commit: that the image was built from; kept as a label, so that what is deployed can be compared.

    Raises:
        ConfigError: the image is not named by digest, the commit is not one, or the manifest is of another kind.
    """
    _check_image(image)
    if not _COMMIT.fullmatch(commit):
        raise ConfigError(f"not a commit: {commit!r}", expected="40 hexadecimal digits")
    manifest: dict[str, Any] = yaml.safe_load(text)
    if manifest.get("kind") not in KINDS:
        raise ConfigError(f"not a manifest of Cloud Run: {manifest.get('kind')}", expected=", ".join(KINDS))
    for container in _containers(manifest):
        container["image"] = image
    manifest["metadata"]["labels"]["commit"] = commit
    return manifest


def share_requests(manifest: dict[str, Any], serving: str, percent: int) -> dict[str, Any]:
    """Return a service's manifest with which its new revision gets a share, and the one that serves keeps the rest.

    Args:
        manifest: of `release_manifest`.
        serving: name of the revision that serves now.
        percent: of the requests for the new one, 0 to 100.

    Raises:
        ConfigError: the manifest is not of a service, the share is not one, or the revision's name is not one.
    """
    if manifest["kind"] != "Service" or not 0 <= percent <= 100 or not _REVISION.fullmatch(serving):
        raise ConfigError(
            f"cannot give {percent} % of the requests of a {manifest['kind']} to a revision beside {serving or 'none'}",
            expected="a Service, 0 to 100 percent, and the name of the revision that serves",
        )
    traffic = [
        {"revisionName": serving, "percent": 100 - percent},
        {"latestRevision": True, "percent": percent, "tag": CANARY_TAG},
    ]
    return {**manifest, "spec": {**manifest["spec"], "traffic": traffic}}


def stop_instances(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a worker pool's manifest without instances.

    Raises:
        ConfigError: the manifest is of another kind.
    """
    if manifest["kind"] != "WorkerPool":
        raise ConfigError(
            f"a {manifest['kind']} has no number of instances of its own", expected="a WorkerPool"
        )
    stopped = copy.deepcopy(manifest)
    stopped["metadata"]["annotations"]["run.googleapis.com/manualInstanceCount"] = "0"
    return stopped


def serving_revision(described: str) -> str:
    """Return the revision that has most requests; empty if there is no service yet.

    Args:
        described: JSON of `gcloud run services describe`; empty if there is none.
    """
    traffic = json.loads(described or "{}").get("status", {}).get("traffic", [])
    shares: Counter[str] = Counter()
    for target in traffic:  # a revision with a tag is named twice, once without a share
        shares[target["revisionName"]] += target.get("percent", 0)
    return shares.most_common(1)[0][0] if shares else ""


def deployed_commit(described: str) -> str:
    """Return the commit of what is deployed; empty if there is no service yet, or one without the label."""
    labels = json.loads(described or "{}").get("metadata", {}).get("labels", {})
    return str(labels.get("commit", ""))


def _check_image(image: str) -> None:
    """Refuse an image that is named by a tag, or whose digest is a placeholder or not of 64 hexadecimal digits."""
    if not _IMAGE.fullmatch(image):
        raise ConfigError(
            f"the image is not named by its digest: {image}",
            expected="HOST/PROJECT/REPOSITORY/NAME@sha256: and 64 hexadecimal digits",
            remedy="take the digest from the build: `gcloud artifacts docker images describe`",
        )


def _containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = manifest["spec"]["template"]["spec"]
    found: list[dict[str, Any]] = (spec["template"]["spec"] if manifest["kind"] == "Job" else spec)[
        "containers"
    ]
    return found
