"""A label that names what does not exist is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import ConfigError
from tests.unit.config.conftest import Edit

FILE = "use_cases/personalized_offer.yaml"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "where: {plan_code: [combo_m]}",
            "where: {plan_codes: [combo_m]}",
            ["unknown column of feeds/plan_purchases"],
        ),
        (
            "where: {plan_code: [combo_m]}",
            "where: {plan_code: [combo_n]}",
            ["unknown value of plan_code 'combo_n'", "did you mean 'combo_m'"],
        ),
        (
            "where: {plan_code: [combo_m]}",
            "given: {one_of: {plan_code: [combo_n]}}",
            ["unknown value of plan_code 'combo_n'"],
        ),
        (
            'where: {is_accepted: ["true"]}',
            'where: {is_accepted: ["yes"]}',
            ["unknown value of is_accepted 'yes'"],
        ),
        ('where: {is_accepted: ["true"]}', "where: {channel: [smss]}", ["did you mean 'sms'"]),
        (
            "at_least: {discount_usd_cents: 1}",
            "at_least: {discount: 1}",
            ["did you mean 'discount_usd_cents'"],
        ),
        (
            "at_least: {discount_usd_cents: 1}",
            "at_least: {channel: 1}",
            ["channel is a text column", "a number"],
        ),
        (
            "at_least: {discount_usd_cents: 1}",
            "one_of: {discount_usd_cents: []}",
            ["`one_of` names no value"],
        ),
        ("value: amount_usd_cents", "value: channel", ["channel is a text column", "a number"]),
        ("value: amount_usd_cents", "value: amount_usd", ["did you mean 'amount_usd_cents'"]),
        ("value: data_local_kb", "value: data_local_kb, days_until_first: true", ["a model has one"]),
        (
            "days_until_first: true",
            "days_until_first: false",
            ["the label is for task binary, not regression"],
        ),
    ],
)
def test_finding_names_file_and_remedy(
    configs: Path, edit: Edit, old: str, new: str, expected: list[str]
) -> None:
    edit(FILE, old, new)
    with pytest.raises(ConfigError) as caught:
        load_project([configs], "local")
    text = str(caught.value)
    assert "personalized_offer.yaml:" in text
    for part in expected:
        assert part in text
