"""Names of the lake tables that learning writes, of models and of offer policies.

Belongs here: every such name, once. Does not belong here: what the tables hold.
"""

from __future__ import annotations


def corpus_table(use_case: str, model: str) -> str:
    """Lake table of a training corpus."""
    return f"corpus/{use_case}/{model}"


def challenger_table(use_case: str, model: str) -> str:
    """Lake table in which challengers are noted."""
    return f"model/{use_case}/{model}"


def transitions_table(use_case: str) -> str:
    """Lake table of the person-weeks that policies are learned from."""
    return f"offers/{use_case}/transitions"


def simulator_table(use_case: str) -> str:
    """Lake table of the learned simulators of offers."""
    return f"offers/{use_case}/simulator"


def performance_table(use_case: str) -> str:
    """Lake table of the verdicts on what offers brought."""
    return f"offers/{use_case}/performance"


def scores_table(use_case: str, model: str) -> str:
    """Lake table of a champion's daily scores."""
    return f"scores/{use_case}/{model}"


def fleet_table(use_case: str, model: str) -> str:
    """Lake table of a fleet's newest training: one row per group, and one per group and algorithm."""
    return f"fleet/{use_case}/{model}"


def alerts_table(use_case: str, model: str) -> str:
    """Lake table of a fleet's daily alerts, with their reasons."""
    return f"alerts/{use_case}/{model}"


def matched_table(use_case: str, model: str) -> str:
    """Lake table of a fleet's predictions beside what happened: one row per group and day of prediction."""
    return f"matched/{use_case}/{model}"


def fleet_history_table(use_case: str, model: str) -> str:
    """Lake table of a fleet's trainings by their last day of data: one row per group."""
    return f"fleet_history/{use_case}/{model}"
