"""A decision as reports show it: outcome in words, checks as a table, what a reader may do.

Belongs here: what the reports on models and on policies share. Does not belong here: any report.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlops_assets.domain.reporting.formats import format_name, shorten_hash
from mlops_assets.domain.reporting.model_card import CheckResult, DecisionNote
from mlops_assets.domain.reporting.tables import Mark, Table, make_table

_OUTCOMES: dict[str, Mark] = {
    "promoted": Mark("Promoted: the challenger is the champion now", "good"),
    "rejected": Mark("Rejected: the champion stays", "neutral"),
    "pending": Mark("Waits for approval: the champion stays until somebody decides", "neutral"),
}


def describe_outcome(decision: DecisionNote) -> Mark:
    """Return the outcome in a few words."""
    return _OUTCOMES.get(decision.outcome, Mark(format_name(decision.outcome), "neutral"))


def make_check_table(decision: DecisionNote) -> Table:
    """Return every check of the gate."""
    return make_table(
        "Checks of the promotion gate",
        ["Check", "Result", "Observed", "Required"],
        [_check_row(one) for one in decision.checks],
    )


def _check_row(check: CheckResult) -> tuple[str | Mark, ...]:
    result = Mark("passed", "good") if check.has_passed else Mark("failed", "bad")
    return format_name(check.name), result, check.observed, check.required


def list_commands(
    use_case: str, model: str, segment: str, decision: DecisionNote, champion_version: str | None
) -> Iterator[tuple[str, str]]:
    """Yield what a reader may do, each command as it is typed, and what it does."""
    slot = f"{use_case} {model} --segment {segment}"
    pending = shorten_hash(decision.decision_id)
    if decision.outcome == "pending":
        yield f'mlops approvals approve {pending} --note "why"', "makes the challenger the champion"
        yield f'mlops approvals reject {pending} --note "why"', "leaves the champion as it is"
    if decision.outcome == "promoted" and champion_version:
        yield f'mlops rollback {slot} --note "why"', f"makes version {champion_version} champion again"
    yield f"mlops history {slot}", "shows every decision about the model"
