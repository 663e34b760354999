"""Many questions to one store, at the same time where each is a request to a service.

Belongs here: how they are asked. Does not belong here: any store (package `resources`) or any question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Store(Protocol):
    """What knows how many questions of one caller it answers sooner together than in turn."""

    @property
    def questions_at_once(self) -> int:
        """Return 1 where an answer is a file nearby, more where it is a request to a service."""
        ...


def ask_together(
    store: Store, ask: Callable[[Question], Answer], questions: Sequence[Question]
) -> list[Answer]:
    """Return the answers in the order of the questions.

    Args:
        store: that is asked.
        ask: one of its methods, such as `lake.path`; called in threads.
        questions: one call each.

    Raises:
        What `ask` raises, for the first question for which it does.
    """
    at_once = min(store.questions_at_once, len(questions))
    if at_once <= 1:
        return [ask(one) for one in questions]
    with ThreadPoolExecutor(at_once, thread_name_prefix="ask") as pool:
        return list(pool.map(ask, questions))
