"""Names of the lake tables that learning writes.

Belongs here: every such name, once. Does not belong here: what the tables hold.
"""

from __future__ import annotations


def corpus_table(use_case: str, model: str) -> str:
    """Lake table of a training corpus."""
    return f"corpus/{use_case}/{model}"


def challenger_table(use_case: str, model: str) -> str:
    """Lake table in which challengers are noted."""
    return f"model/{use_case}/{model}"


def scores_table(use_case: str, model: str) -> str:
    """Lake table of a champion's daily scores."""
    return f"scores/{use_case}/{model}"
