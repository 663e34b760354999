"""How decision logs, simulators and policies look in Dagster.

Belongs here: metadata values and the check of the offers' learning stages. Does not belong here: the ladder report,
which is for people outside Dagster (mlops_assets.domain.reporting).
"""

from typing import Any

import dagster as dg

from mlops_assets.assets.presentation import link_run, record_table
from mlops_assets.config import names
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.offers.decision_log import FrozenLog
from mlops_assets.domain.offers.worlds import WorldsOutcome

Metadata = dict[str, dg.MetadataValue[Any]]


def log_metadata(log: FrozenLog) -> Metadata:
    """Return rows, weeks, what was left out and which champions scored."""
    facts = log.manifest.facts
    counts = [{"what": name.replace("_", " "), "rows": count} for name, count in facts["counts"].items()]
    inputs = [{"model": name, "version": version} for name, version in facts["input_champions"].items()]
    left_out = [f"- week after {day}: {why}" for day, why in facts["left_out_weeks"].items()]
    return {
        "dagster/row_count": dg.MetadataValue.int(log.manifest.row_count),
        "people": dg.MetadataValue.int(int(facts["people"])),
        "weeks": dg.MetadataValue.text(", ".join(facts["as_of_days"])),
        "held_out_from": dg.MetadataValue.text(log.holdout_first_day.isoformat()),
        "counts": record_table(counts),
        "input_champions": record_table(inputs),
        "left_out_weeks": dg.MetadataValue.md("\n".join(left_out) or "none"),
        "content_sha256": dg.MetadataValue.text(log.sha256),
    }


def worlds_metadata(worlds: WorldsOutcome) -> Metadata:
    """Return the checks of both worlds, and their identities."""
    return {
        "figures": record_table(worlds.figures),
        "held_out_weeks": dg.MetadataValue.text(f"{worlds.holdout_first_day} to {worlds.holdout_last_day}"),
        **{f"{name}_sha256": dg.MetadataValue.text(sha256) for name, sha256 in worlds.sha256.items()},
    }


def worlds_check(worlds: WorldsOutcome) -> dg.AssetCheckResult:
    """Return the check that stops a training in a wrong world."""
    return dg.AssetCheckResult(
        check_name=names.CHECK_SIMULATOR,
        passed=worlds.holds,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(worlds.failures) or None,
        metadata={"figures": record_table(worlds.figures)},
    )


def policy_metadata(challenger: Challenger, run_url: str) -> Metadata:
    """Return the ladder and where its runs are tracked."""
    return {
        "ladder": record_table(challenger.leaderboard),
        "reason": dg.MetadataValue.text(challenger.reason),
        "policy": dg.MetadataValue.text(challenger.algorithm),
        "version": dg.MetadataValue.text(challenger.version),
        "bundle_sha256": dg.MetadataValue.text(challenger.bundle_sha256),
        "mlflow_run": link_run(run_url),
    }
