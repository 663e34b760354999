"""The package of a promoted model: everything that serving it takes, as a folder of verified files.

Belongs here: writing and reading the folder. Does not belong here: where packages are kept (the deployment store)
or which of them may serve (releases).

    package.json     slot, version, the SHA-256 of the bundle and of every file below, and what it was made from
    model/           the bundle as it was registered: native model files, signature, training ranges, stamps
    config.json      the slice of the configuration that the use case and the model have
    card.json        the decision that promoted it, with its evidence, and the model card where one was written
    self_test.json   rows and the scores that the model gave when it was packed

The bundle is covered by the hash that the ledger names, the rest by the SHA-256 of `package.json`, which the
pointer names.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_assets.domain.deployment.self_test import SelfTest, make_self_test
from mlops_assets.domain.deployment_ports import Release
from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import Scorer, load_bundle
from mlops_assets.domain.learning.verified_files import read_listed, read_plain, require_sha256
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

PACKAGE_FILE = "package.json"
MODEL_FOLDER = "model"
CONFIG_FILE, CARD_FILE, SELF_TEST_FILE = "config.json", "card.json", "self_test.json"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class PackedModel:
    """A package that was read: the scorer and its self-test, and what people read about it."""

    slot: ModelSlot
    version: str
    scorer: Scorer
    self_test: SelfTest
    config: Mapping[str, Any]
    card: Mapping[str, Any]


def write_package(
    folder: Path,
    bundle: Path,
    entry: LedgerEntry,
    *,
    config: Mapping[str, Any],
    model_card: Mapping[str, Any] | None,
) -> None:
    """Write the package of a promoted version.

    Args:
        folder: new; receives the package.
        bundle: the version's bundle as the registry gave it; verified here against the ledger's hash.
        entry: the promotion.
        config: the configuration's slice, JSON values.
        model_card: the card as JSON values, None if none was written.

    Raises:
        ModelIntegrityError: the bundle is not what was promoted.
        LearningError: the model gives no finite score for its self-test.
    """
    scorer = load_bundle(bundle, entry.bundle_sha256)
    folder.mkdir(parents=True)
    shutil.copytree(bundle, folder / MODEL_FOLDER)
    contents = {
        CONFIG_FILE: _to_json(config),
        CARD_FILE: _to_json({"decision": _describe_decision(entry), "model_card": model_card}),
        SELF_TEST_FILE: make_self_test(scorer).to_json(),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    index = {
        "format": _FORMAT,
        "use_case": entry.slot.use_case,
        "model": entry.slot.model,
        "segment": entry.slot.segment,
        "version": entry.version,
        "bundle_sha256": entry.bundle_sha256,
        "config_sha256": stable_hash(config),
        "trained_config_sha256": scorer.stamps.get("config_sha256"),
        "files": {name: sha256(content.encode()).hexdigest() for name, content in contents.items()},
    }
    (folder / PACKAGE_FILE).write_text(_to_json(index), encoding="utf-8")


def read_package_sha256(folder: Path) -> str:
    """Return the identity of a package: the SHA-256 of its index. ModelIntegrityError if there is none."""
    return sha256(read_plain(folder, PACKAGE_FILE)).hexdigest()


def read_package(folder: Path, slot: ModelSlot, release: Release) -> PackedModel:
    """Verify every byte of a package, then load its model.

    Raises:
        ModelIntegrityError: a file is changed, missing or surplus, or the package is another's; no native loader
            was called.
    """
    content = read_plain(folder, PACKAGE_FILE)
    require_sha256(content, release.package_sha256, folder / PACKAGE_FILE)
    index = json.loads(content)
    _require_same(folder, index, slot, release)
    files = read_listed(folder, index["files"], besides=[PACKAGE_FILE, MODEL_FOLDER])
    return PackedModel(
        slot=slot,
        version=release.version,
        scorer=load_bundle(folder / MODEL_FOLDER, release.bundle_sha256),
        self_test=SelfTest.from_json(files[SELF_TEST_FILE]),
        config=json.loads(files[CONFIG_FILE]),
        card=json.loads(files[CARD_FILE]),
    )


def _require_same(folder: Path, index: Mapping[str, Any], slot: ModelSlot, release: Release) -> None:
    found = [
        index.get(name) for name in ("format", "use_case", "model", "segment", "version", "bundle_sha256")
    ]
    wanted = [_FORMAT, slot.use_case, slot.model, slot.segment, release.version, release.bundle_sha256]
    if found != wanted:
        raise ModelIntegrityError(
            f"the package is of {found}",
            where=str(folder / PACKAGE_FILE),
            expected=f"{wanted} (format, slot, version, bundle)",
            remedy="remove the folder; `mlops deploy update` packs the model anew from the registry",
        )


def _describe_decision(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "decision_id": entry.decision_id,
        "decided_by": entry.decided_by,
        "decided_at_utc": entry.decided_at_utc.isoformat(),
        "as_of_day": entry.as_of_day.isoformat() if entry.as_of_day else None,
        "previous_version": entry.previous_version,
        "reasons": list(entry.reasons),
        "evidence_sha256": entry.evidence_sha256,
        "evidence": entry.evidence,
    }


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
