"""A use case is added to a geography's list, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlops_assets.config.loader import PROJECT_CONFIGS
from mlops_assets.config.use_case_lists import add_use_case, render_use_case_lists
from mlops_assets.domain.errors import ConfigError

PATH = Path("geographies.yaml")
BLOCK = """geographies:
  cl:
    use_cases: # who runs
      - churn   # the first
      - network_event
    name: Chile
"""


def lists(text: str) -> dict[str, list[str]]:
    """Return the lists of a file."""
    return {code: entry.get("use_cases") for code, entry in yaml.safe_load(text)["geographies"].items()}


@pytest.mark.parametrize(
    "text",
    [
        (PROJECT_CONFIGS / "geographies.yaml").read_text(),
        BLOCK,
        "geographies:\n  cl: {use_cases: [ ], name: x}\n",
        render_use_case_lists({"cl": ["churn"]}),
        "geographies:\n  cl: {use_cases: [churn, ], name: x}\n",
        "geographies:\n  cl:\n    use_cases: [\n      churn, # the first\n      network_event # the last\n    ]\n",
    ],
    ids=["the project's", "block", "empty", "rendered", "comma at the end", "comments"],
)
def test_name_is_added_and_the_rest_stays(text: str) -> None:
    changed = add_use_case(text, PATH, "cl", "win_back")
    before = lists(text)
    assert lists(changed) == {**before, "cl": [*before["cl"], "win_back"]}
    assert changed.replace("win_back", "").replace(" ", "").replace(",", "").replace(
        "-\n", ""
    ) == text.replace(" ", "").replace(",", "")


@pytest.mark.parametrize(
    "text", ["", "geographies: {pe: {use_cases: [churn]}}", "geographies: {cl: {like: pe}}"]
)
def test_geography_without_a_list_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="geography cl has no list of use cases here"):
        add_use_case(text, PATH, "cl", "win_back")
