"""How corpora, challengers and decisions look in Dagster.

Belongs here: metadata values of the learning stages. Does not belong here: the model card, which is for people
outside Dagster (mlops_assets.domain.reporting).
"""

import base64
from typing import Any

import dagster as dg

from mlops_assets.assets.presentation import link_run, record_table
from mlops_assets.config import names
from mlops_assets.domain.learning.corpus import CorpusOutcome
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.formats import shorten_hash
from mlops_assets.domain.reporting.tables import escape_markdown

Metadata = dict[str, dg.MetadataValue[Any]]


def corpus_metadata(outcome: CorpusOutcome) -> Metadata:
    """Return rows and positives of each part, its as-of days and what was left out."""
    parts = [
        {
            "part": name,
            "rows": part.rows,
            "positives": part.positives,
            "as_of_days": ", ".join(part.as_of_days),
        }
        for name, part in outcome.parts.items()
    ]
    return {
        "dagster/row_count": dg.MetadataValue.int(outcome.manifest.row_count),
        "parts": record_table(parts),
        "left_out_rows": dg.MetadataValue.int(int(outcome.manifest.facts["left_out_rows"])),
        "anomalies_removed": dg.MetadataValue.json(outcome.manifest.facts["anomalies_removed"]),
        "anomaly_days_judged": dg.MetadataValue.int(int(outcome.manifest.facts["anomaly_days_judged"])),
        "content_sha256": dg.MetadataValue.text(outcome.content_sha256),
    }


def challenger_metadata(challenger: Challenger, run_url: str) -> Metadata:
    """Return leaderboard, importances (with a chart) and where the run is tracked."""
    return {
        "leaderboard": record_table(challenger.leaderboard),
        "reason": dg.MetadataValue.text(challenger.reason),
        "importances": dg.MetadataValue.md(_importance_chart(challenger)),
        "version": dg.MetadataValue.text(challenger.version),
        "bundle_sha256": dg.MetadataValue.text(challenger.bundle_sha256),
        "mlflow_run": link_run(run_url),
    }


def decision_metadata(entry: LedgerEntry) -> Metadata:
    """Return outcome, reasons, checks and figures of a decision."""
    figures = entry.evidence["figures"]
    return {
        "outcome": dg.MetadataValue.text(entry.outcome),
        "version": dg.MetadataValue.text(entry.version),
        "reasons": dg.MetadataValue.md("\n".join(f"- {escape_markdown(reason)}" for reason in entry.reasons)),
        "checks": record_table(
            [
                {"check": c["name"], "passed": c["is_passed"], "detail": c["detail"]}
                for c in entry.evidence["checks"]
            ]
        ),
        "segments": record_table(figures["segments"]),
        "evidence_sha256": dg.MetadataValue.text(entry.evidence_sha256),
        **_approval(entry),
        **_main_figures(figures),
    }


def gate_check_spec(champion: dg.AssetKey, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """Return the check that `report_decision` answers."""
    return dg.AssetCheckSpec(
        names.CHECK_GATE,
        asset=champion,
        partitions_def=partitions,
        description="The challenger passed every check of the gate.",
    )


def report_decision(entry: LedgerEntry) -> dg.MaterializeResult:
    """Return a decision as its asset reports it.

    The check is about the gate alone: what passed it may wait for a person, or be rejected by one.
    """
    check = dg.AssetCheckResult(
        check_name=names.CHECK_GATE,
        passed=all(check["is_passed"] for check in entry.evidence["checks"]),
        severity=dg.AssetCheckSeverity.WARN,
    )
    return dg.MaterializeResult(
        metadata=decision_metadata(entry),
        data_version=dg.DataVersion(f"{entry.outcome}-{entry.bundle_sha256[:12]}"),
        check_results=[check],
    )


def _approval(entry: LedgerEntry) -> Metadata:
    if entry.outcome != "pending":
        return {}
    decision_id, until = shorten_hash(entry.decision_id), entry.evidence["approval"]["expires_at_utc"][:16]
    text = f"**waits for approval until {until} UTC**: `mlops approvals show {decision_id}`, then `approve` or `reject`"
    return {"approval": dg.MetadataValue.md(text)}


def _main_figures(figures: dict[str, Any]) -> Metadata:
    challenger = figures["challenger"] or {}
    wanted = {
        figures["metric"]: challenger.get("metric"),
        "gain": figures["gain"],
        "business": challenger.get("business"),
    }
    return {
        f"holdout_{name}": dg.MetadataValue.float(float(value))
        for name, value in wanted.items()
        if value is not None
    }


def _importance_chart(challenger: Challenger) -> str:
    # Dagster shows Markdown without inline SVG, but with images from data addresses.
    from mlops_assets.domain.reporting.charts import draw_importances_png

    png = draw_importances_png(
        list(challenger.importances.items())[:20], title="Share of the total importance"
    )
    return f"![importances](data:image/png;base64,{base64.b64encode(png).decode()})"
