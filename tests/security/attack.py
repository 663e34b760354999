"""A family of hostile inputs: how they are made, what they are tried on, and what counts as an escape.

Belongs here: the shape of a family and counting its outcomes. Does not belong here: any family (attacks_on_*).
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings

from mlops_assets.domain.errors import PlatformError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Attack = Callable[[Any], None]


class EscapeError(AssertionError):
    """A hostile input got through: it left its folder, became code or markup, or said what it must not."""


@dataclasses.dataclass(frozen=True)
class Family:
    """One kind of input.

    Attributes:
        name: what is attacked.
        examples: the inputs.
        target: opens what is attacked in an empty folder and gives a function that tries one input. It returns if the
            input did no harm or was refused with a PlatformError; anything else that it raises is a crash.
    """

    name: str
    examples: SearchStrategy[Any]
    target: Callable[[Path], AbstractContextManager[Attack]]


@dataclasses.dataclass
class Outcomes:
    """What became of the examples of a family."""

    harmless: int = 0
    refused: int = 0
    escapes: list[str] = dataclasses.field(default_factory=list)
    crashes: list[str] = dataclasses.field(default_factory=list)

    @property
    def tried(self) -> int:
        """Number of examples."""
        return self.harmless + self.refused + len(self.escapes) + len(self.crashes)

    def note(self, attack: Attack, example: Any) -> None:
        """Try one example and count its outcome."""
        try:
            attack(example)
        except PlatformError:
            self.refused += 1
        except EscapeError as error:
            self.escapes.append(f"{str(error)[:200]} <- {example!r:.200}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.crashes.append(f"{type(error).__name__} in {place.name} <- {example!r:.200}")
        else:
            self.harmless += 1


def try_examples(family: Family, folder: Path, most: int, *, is_repeatable: bool = True) -> Outcomes:
    """Try up to `most` examples, all of them whatever they do, and return the outcomes."""
    outcomes = Outcomes()
    with family.target(folder) as attack:

        @settings(
            max_examples=most,
            derandomize=is_repeatable,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(family.examples)
        def attempt(example: Any) -> None:
            outcomes.note(attack, example)

        attempt()
    return outcomes
