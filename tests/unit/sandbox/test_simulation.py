"""The sandbox's commands: determinism, repetition, state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets.domain.errors import ConfigError, PlatformError
from mlops_assets.sandbox import file_drop, simulation
from mlops_assets.sandbox.events import ScriptedEvent
from mlops_assets.sandbox.geography_world import DayOutcome, GeographyWorld
from mlops_assets.sandbox.sandbox_state import load_state
from tests.unit.sandbox.conftest import FIRST_DAY, Operator, query

Build = Callable[..., Operator]


class KilledError(Exception):
    """Stands for the end of the process."""


def test_same_seed_gives_the_same_bytes_with_any_number_of_threads(build_operator: Build) -> None:
    one, two = build_operator(codes=("cl", "pe"), folder="a"), build_operator(codes=("cl", "pe"), folder="b")
    one.start(days=2)
    two.start(days=2, threads=2)
    assert one.files() == two.files()
    assert len(one.files()) == 2 * 2 * 9


def test_another_seed_gives_other_content(build_operator: Build) -> None:
    one, two = build_operator("usage", folder="a"), build_operator("usage", folder="b")
    one.start(days=1)
    two.start(days=1, seed=8)
    assert one.files() != two.files()


def test_day_by_day_is_the_same_as_all_at_once(build_operator: Build) -> None:
    one, two = build_operator(folder="a"), build_operator(folder="b")
    one.start(days=9)
    two.start(days=0)
    for days in (1, 2, 6):
        two.advance(days=days)
    assert one.files() == two.files()


@pytest.mark.parametrize("where", ["files", "latent tables", "state"])
def test_killed_day_is_repeated_identically(
    build_operator: Build, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whole, killed = (
        build_operator("usage", "topups", folder="a"),
        build_operator("usage", "topups", folder="b"),
    )
    events = [ScriptedEvent(kind="late_file", first_day=FIRST_DAY, parameters={"delay_days": 1})]
    whole.start(days=3, events=events)
    killed.start(days=1, events=events)

    def kill(*_: Any, **__: Any) -> None:
        raise KilledError

    module, name = {
        "files": (file_drop, "_arriving"),
        "latent tables": (GeographyWorld, "save"),
        "state": (simulation, "save_state"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, kill)
        with pytest.raises(KilledError):
            killed.advance(days=2)
    killed.advance(days=2)
    assert killed.files() == whole.files()


def test_repeating_init_continues_and_another_one_is_refused(build_operator: Build) -> None:
    operator = build_operator("usage")
    operator.start(days=1)
    assert operator.start(days=3).next_day.day == FIRST_DAY.day + 3
    assert operator.file("usage", 2).exists()
    with pytest.raises(PlatformError, match="seed"):
        operator.start(seed=99)


def test_new_geography_starts_on_the_next_day(build_operator: Build) -> None:
    before = build_operator("subscribers")
    before.start(days=2)
    state = build_operator("subscribers", codes=("cl", "pe")).advance(days=1)
    assert state.geographies["pe"].first_day == load_state(before.root).geographies["cl"].first_day.replace(
        day=7
    )
    after = build_operator("subscribers", codes=("cl", "pe"))
    assert not after.file("subscribers", 1, "pe").exists()
    assert query("SELECT count(*) BETWEEN 580 AND 620 FROM {f}", f=after.file("subscribers", 2, "pe")) == [
        (True,)
    ]


def test_a_geography_that_was_left_out_lives_its_days_later(build_operator: Build) -> None:
    both = build_operator("subscribers", "topups", codes=("cl", "pe"), folder="whole")
    both.start(days=5)
    some = build_operator("subscribers", "topups", codes=("cl", "pe"), folder="some")
    some.start(days=2)
    build_operator("subscribers", "topups", folder="some").advance(days=2)
    assert not some.file("subscribers", 2, "pe").exists()
    assert some.advance(days=1).geographies["pe"].next_day == FIRST_DAY + dt.timedelta(days=5)
    assert some.files() == both.files()


def test_outcome_of_every_geography_day_is_reported(build_operator: Build) -> None:
    seen: list[DayOutcome] = []
    build_operator("usage", "plans", codes=("cl", "pe")).start(days=2, on_day=seen.append)
    assert [(o.geography, o.day.day, len(o.files)) for o in seen] == [
        ("cl", 5, 2),
        ("pe", 5, 2),
        ("cl", 6, 2),
        ("pe", 6, 2),
    ]


def test_events_can_be_scheduled_for_the_future_only(build_operator: Build) -> None:
    operator = build_operator("usage")
    operator.start(days=2)
    coming = ScriptedEvent(kind="festival", first_day=FIRST_DAY.replace(day=9))
    simulation.schedule_event(operator.root, coming)
    assert simulation.list_events(operator.root) == [coming]
    with pytest.raises(ConfigError, match="already delivered"):
        simulation.schedule_event(operator.root, ScriptedEvent(kind="festival", first_day=FIRST_DAY))


def test_advance_without_a_sandbox_says_what_to_do(build_operator: Build) -> None:
    with pytest.raises(PlatformError, match="mlops sandbox init"):
        build_operator("usage").advance()


def test_damaged_state_is_named(build_operator: Build) -> None:
    operator = build_operator("usage")
    operator.root.mkdir(parents=True)
    (operator.root / "sandbox.json").write_text("{}")
    with pytest.raises(PlatformError, match="cannot be read"):
        operator.advance()


def test_latent_tables_are_not_in_the_landing_zone(delivered: Operator) -> None:
    assert (delivered.root / "README.md").exists()
    assert {path.suffix for path in delivered.landing.rglob("*.*")} == {".parquet", ".csv"}
    assert not list(delivered.landing.rglob("population*"))
    truth = delivered.root / "cl" / "truth"
    assert query(
        "SELECT count(*) > 50, min(acceptance_probability) > 0 FROM {f}", f=truth / "offers_*.parquet"
    ) == [(True, True)]
    assert query("SELECT bool_and(reason IS NOT NULL) FROM {f}", f=truth / "churn_*.parquet") == [(True,)]
