"""Hostile inputs of every family are refused in our own words, or do no harm; `hypothesis_inputs` tries many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.attack import Family, try_examples
from tests.security.families import FAMILIES

EXAMPLES = 20


@pytest.mark.filterwarnings("ignore:Glyph", "ignore:constrained_layout")  # charts of texts that no font has
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_hostile_inputs_do_no_harm(family: Family, tmp_path: Path) -> None:
    outcomes = try_examples(family, tmp_path, EXAMPLES)
    assert outcomes.escapes == []
    assert outcomes.crashes == []
    assert outcomes.tried >= EXAMPLES // 2, "the strategy finds too few examples"
    assert outcomes.refused or outcomes.harmless
