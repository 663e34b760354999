"""Many questions to one store: in order, at the same time where that helps, and with the first error."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from mlops_assets.domain.ask_together import ask_together


@dataclass
class Service:
    """Answers once as many have asked as it takes at a time."""

    questions_at_once: int

    def __post_init__(self) -> None:
        self.met, self.askers = threading.Barrier(self.questions_at_once), set[int]()

    def double(self, number: int) -> int:
        self.met.wait(timeout=10.0)
        self.askers.add(threading.get_ident())
        if number < 0:
            raise ValueError(str(number))
        return 2 * number


@pytest.mark.parametrize("at_once", [1, 4])
def test_answers_are_in_order_and_awaited_together(at_once: int) -> None:
    service = Service(at_once)
    assert ask_together(service, service.double, list(range(8))) == [2 * number for number in range(8)]
    assert len(service.askers) == at_once
    assert (threading.get_ident() in service.askers) == (at_once == 1)


def test_nothing_is_asked_of_nobody_and_one_question_needs_no_thread() -> None:
    service = Service(4)
    assert ask_together(service, service.double, []) == []
    service.met = threading.Barrier(1)
    assert ask_together(service, service.double, [3]) == [6]
    assert service.askers == {threading.get_ident()}


def test_first_error_in_the_order_of_the_questions_is_raised() -> None:
    service = Service(4)
    with pytest.raises(ValueError, match="-2"):
        ask_together(service, service.double, [1, -2, -3, 4])
