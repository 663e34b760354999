"""The self-test of a package: rows and the scores that the model gave when it was packed.

Belongs here: making the rows, recording and comparing scores. Does not belong here: where they are kept (package).

The rows are drawn from the deciles of each feature by itself, so that they cover what the model meets and are no
subscriber's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.deployment.scoring_request import Row, read_rows
from mlops_assets.domain.errors import DeploymentError
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.training_ranges import TrainingRanges

DRAWN_ROWS = 32
TOLERANCE = 1e-6  # processors differ in the last digits of a sum
UNMET = "__unmet_category__"


@dataclass(frozen=True)
class SelfTest:
    """Rows as a request holds them, and the model's scores: a number a row, or one for each class."""

    rows: tuple[Row, ...]
    scores: tuple[Any, ...]

    def to_json(self) -> str:
        """Return the test as JSON."""
        content = {"rows": list(self.rows), "scores": list(self.scores)}
        return json.dumps(content, allow_nan=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, content: bytes) -> SelfTest:
        """Rebuild from `to_json`."""
        state: Mapping[str, Any] = json.loads(content)
        return cls(tuple(state["rows"]), tuple(state["scores"]))


def make_self_test(scorer: Scorer) -> SelfTest:
    """Return rows for the scorer with its scores; the same scorer gives the same test.

    Raises:
        LearningError: the scorer gives no finite score for one of them.
    """
    rows = tuple(_make_rows(scorer))
    dataset = read_rows(rows, scorer.signature, scorer.ranges).dataset
    return SelfTest(rows, tuple(scorer.predict(dataset).tolist()))


def run_self_test(scorer: Scorer, test: SelfTest) -> None:
    """Score the rows again and compare.

    Raises:
        DeploymentError: a score differs from the recorded one by more than TOLERANCE, or there is none.
        RequestRefusedError: the rows do not fit the model.
        LearningError: the scorer gives no finite score.
    """
    import numpy as np

    found = scorer.predict(read_rows(test.rows, scorer.signature, scorer.ranges).dataset)
    expected = np.asarray(test.scores, dtype=np.float64)
    if found.shape != expected.shape or not len(expected):
        raise _failed(f"there are {found.shape} scores", f"{expected.shape}, at least one")
    differs = np.abs(found - expected) > TOLERANCE * np.maximum(1.0, np.abs(expected))
    if differs.any():
        worst = float(np.abs(found - expected).max())
        raise _failed(
            f"{int(differs.sum())} of {differs.size} scores differ, by up to {worst:.3g}",
            f"the scores recorded when the model was packed, within {TOLERANCE:g}",
        )


def _make_rows(scorer: Scorer) -> Iterator[Row]:
    signature, ranges = scorer.signature, scorer.ranges or TrainingRanges()
    yield dict.fromkeys(signature.features)  # nothing is known
    yield {name: UNMET if name in signature.categorical else 0 for name in signature.features}
    for decile in (0, 5, 10):
        yield {name: _value_at(ranges, name, decile) for name in signature.features}
    draw = random.Random(0)  # noqa: S311 - a sample, no secret
    for _ in range(DRAWN_ROWS if scorer.ranges else 0):
        yield {name: _draw(ranges, name, draw) for name in signature.features}


def _value_at(ranges: TrainingRanges, name: str, decile: int) -> float | str | None:
    if name in ranges.numeric and ranges.numeric[name].deciles:
        return ranges.numeric[name].deciles[decile]
    if name in ranges.categorical and ranges.categorical[name].values:
        values = ranges.categorical[name].values
        return values[(len(values) - 1) * decile // 10]
    return None


def _draw(ranges: TrainingRanges, name: str, draw: random.Random) -> float | str | None:
    if name in ranges.numeric and ranges.numeric[name].deciles:
        place, deciles = draw.randrange(10), ranges.numeric[name].deciles
        value = draw.uniform(deciles[place], deciles[place + 1])
        return None if ranges.numeric[name].has_missing and draw.random() < 0.1 else value
    if name in ranges.categorical and ranges.categorical[name].values:
        return draw.choice(ranges.categorical[name].values)
    return None


def _failed(fact: str, expected: str) -> DeploymentError:
    return DeploymentError(
        f"the self-test failed: {fact}",
        expected=expected,
        remedy="look for another version of the model's library on this machine; the model was not activated",
    )
