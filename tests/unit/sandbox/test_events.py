"""Every scripted event does what it says."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlops_assets.domain.errors import PlatformError
from mlops_assets.sandbox.events import EVENT_PARAMETERS, FILE_KINDS, ScriptedEvent, default_events
from tests.unit.sandbox.conftest import FIRST_DAY, Operator, one, query

Build = Callable[..., Operator]
_KB = "CASE DATA_UNIT WHEN 'MB' THEN 1024 WHEN 'GB' THEN 1048576 ELSE 1 END"


def _event(kind: str, day: int, last: int | None = None, **parameters: Any) -> ScriptedEvent:
    return ScriptedEvent.model_validate(
        {
            "kind": kind,
            "first_day": FIRST_DAY + dt.timedelta(days=day),
            "last_day": None if last is None else FIRST_DAY + dt.timedelta(days=last),
            "parameters": parameters,
        }
    )


def _with_and_without(
    build: Build, event: ScriptedEvent, *feeds: str, **more: Any
) -> tuple[Operator, Operator]:
    changed, plain = build(*feeds, folder="changed"), build(*feeds, folder="plain")
    changed.start(events=[event], **more)
    plain.start(**more)
    return changed, plain


def _volume_kb(operator: Operator, day: int, column: str = "DATA_LOCAL_VOL") -> float:
    return float(one("SELECT sum({c} * {kb}) FROM {f}", c=column, kb=_KB, f=operator.file("usage", day)))


def test_unit_error_multiplies_volumes_under_the_old_label(build_operator: Build) -> None:
    changed, plain = _with_and_without(build_operator, _event("unit_error", 1), "usage")
    assert changed.file("usage", 0).read_bytes() == plain.file("usage", 0).read_bytes()
    assert _volume_kb(changed, 1) == pytest.approx(1024 * _volume_kb(plain, 1))
    calls = "SELECT sum(CALL_SECS) FROM {f}"
    assert one(calls, f=changed.file("usage", 1)) == one(calls, f=plain.file("usage", 1))


def test_missing_file_never_arrives(build_operator: Build) -> None:
    operator = build_operator("usage", "topups")
    operator.start(days=5, events=[_event("missing_file", 1)])
    assert [operator.file("topups", day).exists() for day in range(5)] == [True, False, True, True, True]
    assert operator.file("usage", 1).exists()


def test_duplicated_file_is_yesterdays_content(build_operator: Build) -> None:
    operator = build_operator("usage")
    operator.start(days=3, events=[_event("duplicated_file", 1)])
    assert operator.file("usage", 1).read_bytes() == operator.file("usage", 0).read_bytes()
    assert operator.file("usage", 2).read_bytes() != operator.file("usage", 0).read_bytes()


def test_duplicated_file_on_the_first_day_is_refused(build_operator: Build) -> None:
    with pytest.raises(PlatformError, match="copy of yesterday"):
        build_operator("usage").start(events=[_event("duplicated_file", 0)])


def test_truncated_file_cannot_be_read(build_operator: Build) -> None:
    changed, plain = _with_and_without(build_operator, _event("truncated_file", 1), "usage")
    assert changed.file("usage", 1).stat().st_size == int(0.6 * plain.file("usage", 1).stat().st_size)
    with pytest.raises(pa.ArrowInvalid, match="Parquet"):
        pq.read_metadata(changed.file("usage", 1))


def test_a_truncated_file_never_stands_there_whole(
    build_operator: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def note(part: Path, target: Path) -> Path:
        sizes.append(part.stat().st_size)
        os.replace(part, target)  # noqa: PTH105 - the method is what is watched
        return target

    monkeypatch.setattr(Path, "replace", note)
    operator = build_operator("usage")
    operator.start(days=1, events=[_event("truncated_file", 0, feed="usage")])
    assert operator.file("usage", 0).stat().st_size in sizes


def test_late_file_arrives_with_a_later_day(build_operator: Build) -> None:
    event = _event("late_file", 1, delay_days=2)
    operator = build_operator("topups", folder="late")
    operator.start(days=3, events=[event])
    assert not operator.file("topups", 1).exists()
    operator.advance()
    assert operator.file("topups", 1).exists()
    assert not list((operator.root / "cl" / "held").iterdir())
    plain = build_operator("topups", folder="plain")
    plain.start(days=4)
    assert operator.files() == plain.files()


def test_corrected_file_replaces_an_incomplete_one(build_operator: Build) -> None:
    event = _event("corrected_file", 1, delay_days=2, lost_share=0.2)
    changed, plain = build_operator("usage", folder="changed"), build_operator("usage", folder="plain")
    changed.start(days=3, events=[event])
    plain.start(days=4)
    count = "SELECT count(*) FROM {f}"
    kept = one(count, f=changed.file("usage", 1)) / one(count, f=plain.file("usage", 1))
    assert kept == pytest.approx(0.8, abs=0.06)
    changed.advance()
    assert changed.files() == plain.files()


def test_festival_lifts_usage_for_its_days_only(build_operator: Build) -> None:
    changed, plain = _with_and_without(
        build_operator, _event("festival", 1, 2), "usage", days=4, subscribers=1500
    )
    ratios = [_volume_kb(changed, day) / _volume_kb(plain, day) for day in range(4)]
    assert ratios[0] == 1.0
    assert min(ratios[1:3]) > 1.5
    assert ratios[3] == pytest.approx(1.0, abs=0.25)


def test_behaviour_shift_lasts_and_moves_the_applications_but_not_the_sessions(build_operator: Build) -> None:
    changed, plain = _with_and_without(
        build_operator, _event("behaviour_shift", 1), "usage", days=4, subscribers=1500
    )
    ratios = [_volume_kb(changed, day) / _volume_kb(plain, day) for day in range(4)]
    assert ratios[0] == 1.0
    assert min(ratios[1:]) > 1.12
    share = [_volume_kb(o, 3, "APP_YT") / _volume_kb(o, 3) for o in (changed, plain)]
    assert share[0] > 1.15 * share[1]
    count = "SELECT count(*) FROM {f}"
    assert one(count, f=changed.file("usage", 3)) == pytest.approx(
        one(count, f=plain.file("usage", 3)), rel=0.02
    )


def test_new_plan_is_listed_and_bought_under_its_local_code(build_operator: Build) -> None:
    operator = build_operator("plans", "plan_purchases")
    event = _event("new_plan", 1, local_code="CL-NEW", adoption_share=1.0)
    operator.start(days=12, events=[event], subscribers=1500)
    codes = [
        {row[0] for row in query("SELECT PLAN_ID FROM {f}", f=operator.file("plans", day))} for day in (0, 1)
    ]
    assert codes[1] - codes[0] == {"CL-NEW"}
    bought = operator.landing / "cl" / "plan_purchases_*.parquet"
    assert one("SELECT count(*) FILTER (PLAN_ID = 'CL-NEW') FROM {f}", f=bought) > 5


def test_base_grows_over_its_days_and_stays(build_operator: Build) -> None:
    operator = build_operator("subscribers")
    operator.start(days=8, events=[_event("base_growth", 1, 5, growth_share=0.25)], subscribers=1500)
    active = [
        one("SELECT count(*) FROM {f} WHERE STATUS = 'A'", f=operator.file("subscribers", d))
        for d in (0, 5, 7)
    ]
    assert active[1] / active[0] == pytest.approx(1.25, abs=0.12)
    assert active[2] > 1.1 * active[0]


def test_price_change_moves_prices_and_demand(build_operator: Build) -> None:
    event = _event("price_change", 1, plan_code="data_s", factor=2.0)
    changed, plain = _with_and_without(
        build_operator, event, "plans", "plan_purchases", days=8, subscribers=1500
    )
    price = "SELECT PRICE::DOUBLE FROM {f} WHERE PLAN_ID = 'CL-DAT-S'"
    assert one(price, f=changed.file("plans", 1)) == pytest.approx(2 * one(price, f=plain.file("plans", 1)))
    bought = "SELECT count(*) FROM {f} WHERE PLAN_ID = 'CL-DAT-S'"
    files = [o.landing / "cl" / "plan_purchases_*.parquet" for o in (changed, plain)]
    assert one(bought, f=files[0]) < 0.7 * one(bought, f=files[1])


def test_fleet_grows(build_operator: Build) -> None:
    operator = build_operator("devices")
    operator.start(days=2, events=[_event("fleet_growth", 1, devices=15)])
    count = "SELECT count(*) FROM {f}"
    assert [one(count, f=operator.file("devices", day)) for day in (0, 1)] == [40, 55]


def test_default_script_is_mild() -> None:
    script = default_events(FIRST_DAY)
    assert [event.kind for event in script] == ["late_file", "corrected_file"]
    assert all(event.first_day < FIRST_DAY + dt.timedelta(weeks=8) for event in script)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"kind": "festival", "parameters": {"data_facto": 2.0}}, "did you mean 'data_factor'"),
        ({"kind": "festival", "parameters": {"share": "all"}}, "must be like"),
        ({"kind": "late_file", "parameters": {"delay_days": 0}}, "at least one whole day"),
        ({"kind": "corrected_file", "parameters": {"delay_days": 0.5}}, "at least one whole day"),
        ({"kind": "earthquake"}, "kind"),
        ({"kind": "festival", "last_day": "2026-01-01"}, "before first_day"),
    ],
)
def test_unacceptable_events_are_explained(event: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ScriptedEvent.model_validate({"first_day": FIRST_DAY, **event})


def test_every_file_kind_names_a_feed() -> None:
    assert all("feed" in EVENT_PARAMETERS[kind] for kind in FILE_KINDS)
