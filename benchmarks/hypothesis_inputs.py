"""hypothesis_inputs: a thousand hostile examples of every family of inputs; none may escape, none may crash.

Belongs here: trying and counting. Does not belong here: the families, which the tests share (tests.security).
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator

from benchmarks.measuring import Goal, Line
from benchmarks.operator_data import work_folder

NAME = "hypothesis_inputs"
EXAMPLES, QUICK_EXAMPLES = 1_000, 50


def run(*, quick: bool) -> Iterator[Line]:
    """Yield a line a family: escapes and crashes together."""
    from tests.security.attack import try_examples
    from tests.security.families import FAMILIES

    warnings.filterwarnings("ignore", "Glyph|constrained_layout")  # charts of texts that no font has
    for family in FAMILIES:
        started, folder = time.perf_counter(), work_folder() / NAME / family.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = try_examples(family, folder, QUICK_EXAMPLES if quick else EXAMPLES)
        shutil.rmtree(folder)
        yield Line(
            NAME,
            float(len(found.escapes) + len(found.crashes)),
            "escapes and crashes",
            Goal("value", 0.0),
            {"examples": found.tried},
            time.perf_counter() - started,
            part=family.name,
            is_quick=quick,
            facts={
                "refused": found.refused,
                "harmless": found.harmless,
                "escapes": len(found.escapes),
                "crashes": len(found.crashes),
                "first": next(iter([*found.escapes, *found.crashes]), "none"),
            },
        )
