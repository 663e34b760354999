"""loop_replay: ten weeks of the sandbox with every scripted event; who is retrained, and what it brings.

In one geography behaviour shifts for good (and later a plan, a price and the base change as well); in the other
one there are faults of files and a festival only. Three more weeks show both champions on days that neither has
seen.

Belongs here: the script, the replay, and what is counted. Does not belong here: deciding (mlops_assets).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import BenchmarkFailedError, Goal, Line, Usage, run_fresh
from benchmarks.operator_data import work_folder
from mlops_assets.sandbox.events import EventKind, Scalar, ScriptedEvent

if TYPE_CHECKING:
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.config.models import ProjectConfig
    from mlops_assets.domain.ports import LedgerEntry, ModelSlot

NAME = "loop_replay"
FIRST_DAY = dt.date(2026, 8, 3)
DAYS, LATER_DAYS = 70, 21
SUBSCRIBERS, QUICK_SUBSCRIBERS = 6_000, 3_000
MOVED, STEADY = "pe", "cl"
SHIFT_NUMBER = 42
_SEED = 20260803


def script() -> list[ScriptedEvent]:
    """Return every kind of event: faults in both geographies, what lasts in one."""

    def event(
        kind: EventKind, geography: str, first: int, last: int | None = None, **parameters: Scalar
    ) -> ScriptedEvent:
        return ScriptedEvent(
            kind=kind, geography=geography, first_day=_day(first),
            last_day=None if last is None else _day(last), parameters=parameters,
        )  # fmt: skip

    return [
        event("late_file", STEADY, 17),
        event("corrected_file", MOVED, 31),
        event("unit_error", STEADY, 38, 41),
        event("missing_file", MOVED, 36),
        event("festival", STEADY, 45),
        event("duplicated_file", STEADY, 50),
        event("truncated_file", STEADY, 53),
        event("unit_error", STEADY, 57, 58, factor=8.0),
        event("festival", STEADY, 62, 63),
        event("behaviour_shift", MOVED, SHIFT_NUMBER),
        event("new_plan", MOVED, 58),
        event("base_growth", MOVED, 60, 69),
        event("price_change", MOVED, 64),
        event("fleet_growth", STEADY, 55),
    ]


def _day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


def replay(home: str, subscribers: int) -> dict[str, Any]:
    """Live through all days as `mlops run` does and return what was retrained, and how both champions do later."""
    from mlops_assets.commands.replay import Replay
    from mlops_assets.commands.sandbox import sandbox_arguments
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.config.loader import load_project
    from mlops_assets.sandbox.simulation import advance, init_sandbox

    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    last = _day(DAYS + LATER_DAYS - 1)
    workspace = Workspace.of_one_process(Path(home), _of_churn(load_project())).covering(last)
    arguments = sandbox_arguments(workspace)
    init_sandbox(
        **arguments, subscribers=subscribers, first_day=FIRST_DAY, days=0, seed=_SEED, devices=None,
        events=script(), on_day=None,
    )  # fmt: skip
    with workspace.open_instance() as instance:
        replayed = Replay(workspace, instance)
        for number in range(DAYS + LATER_DAYS):
            advance(**arguments, days=1)
            day = _day(number)
            results = replayed.run(day, day, lambda _: None, rebuild_from=FIRST_DAY)
            if failed := [one for one in results if one.status == "failed"]:
                raise BenchmarkFailedError(f"{failed[0].day}: {failed[0].findings}")
    return _tell(workspace)


def _of_churn(config: ProjectConfig) -> ProjectConfig:
    """Return the configuration of churn alone, with the code of the plan to come as a change would have added it."""
    moved = config.geographies[MOVED]
    codes = {**moved.plan_codes, "NEW-XL": "data_xl"}
    geographies = {**config.geographies, MOVED: moved.model_copy(update={"plan_codes": codes})}
    use_cases = {"churn": config.use_cases["churn"]}
    return config.model_copy(update={"geographies": geographies, "use_cases": use_cases})


def _tell(workspace: Workspace) -> dict[str, Any]:
    ledger = workspace.platform.ledger
    told: dict[str, Any] = {"retrained": [], "decisions": []}
    for slot in ledger.slots():
        history = ledger.history(slot)
        decided = [(str(one.as_of_day), one.outcome, one.version) for one in history]
        told["decisions"].append([slot.segment, decided])
        if len(history) > 1:
            told["retrained"].append(slot.segment)
        if slot.segment == MOVED:
            told |= _compare_later(workspace, slot, history)
    return told


def _compare_later(workspace: Workspace, slot: ModelSlot, history: list[LedgerEntry]) -> dict[str, Any]:
    """Return how the first promotion after the shift and the champion before it do on later days."""
    from mlops_assets.domain.learning.champions import load_version
    from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap
    from mlops_assets.domain.learning.metrics import measure

    promoted = [one for one in history if one.outcome == "promoted"]
    after = [one for one in promoted[1:] if one.as_of_day and one.as_of_day > _day(SHIFT_NUMBER)]
    if not after or after[0].as_of_day is None:
        return {"promoted_on": None}
    new = after[0]
    old = promoted[promoted.index(new) - 1]
    registry = workspace.platform.registry
    models = [load_version(registry, slot, one.version, one.bundle_sha256) for one in (new, old)]
    first = after[0].as_of_day + dt.timedelta(days=1)
    y, scores, units = _score_later(workspace, slot, models, first)
    figures = [measure("roc_auc", y, one) for one in scores]
    drawn = bootstrap([EVALUATORS["roc_auc"](y, one, None) for one in scores], units, 400, 0)
    gains = drawn[0] - drawn[1]
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return {
        "promoted_on": str(new.as_of_day), "new": figures[0], "old": figures[1],
        "gain_low": float(low), "gain_high": float(high), "rows": len(y), "positives": int(y.sum()),
    }  # fmt: skip


def _score_later(
    workspace: Workspace, slot: ModelSlot, models: list[Any], first: dt.date
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return labels, both models' scores and the subscribers of weekly as-of days from a day on."""
    import pyarrow.parquet as pq

    from mlops_assets.domain.learning.dataset import dataset_from_arrow
    from mlops_assets.domain.learning.population import population_sql
    from mlops_assets.domain.learning.spec import EventLabel
    from mlops_assets.domain.ports import PartitionId, ViewSource

    settings = workspace.config.use_cases[slot.use_case][slot.segment]
    label = settings.models[slot.model].label
    if not isinstance(label, EventLabel):
        raise BenchmarkFailedError("the model has no event label")
    lake, engine, corpus = workspace.platform.lake, workspace.platform.engine, settings.corpus
    labels, scores, units = [], [[] for _ in models], []
    day = first
    while day + dt.timedelta(days=label.horizon_days) <= _day(DAYS + LATER_DAYS - 1):
        source = lake.path(PartitionId(corpus.table, slot.segment, day))
        leavers: set[int] = set()
        for ahead in range(1, label.horizon_days + 1):
            events = PartitionId(label.table, slot.segment, day + dt.timedelta(days=ahead))
            leavers |= set(pq.read_table(lake.path(events))[corpus.entity_key].to_pylist())
        for number, model in enumerate(models):
            sql = population_sql(corpus, model.features, "population", pq.read_schema(source), engine.dialect)
            rows = engine.fetch(sql, {"population": ViewSource(files=[source])})
            dataset = dataset_from_arrow(
                rows, model.features, key_column=corpus.entity_key, categorical=model.categorical
            )
            scores[number].append(model.predict(dataset))
            if not number:
                keys = rows[corpus.entity_key].to_pylist()
                labels.append(np.array([float(key in leavers) for key in keys]))
                units.append(np.array(keys))
        day += dt.timedelta(days=1)
    numbers = np.unique(np.concatenate(units), return_inverse=True)[1]
    return np.concatenate(labels), [np.concatenate(one) for one in scores], numbers


def run(*, quick: bool) -> Iterator[Line]:
    """Yield geographies retrained without cause, those not retrained, and the later gain."""
    started = Usage.taken()
    home = work_folder() / "loop_replay"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    subscribers = QUICK_SUBSCRIBERS if quick else SUBSCRIBERS
    told = run_fresh("benchmarks.loop_replay:replay", {"home": str(home), "subscribers": subscribers}).result
    shutil.rmtree(home)
    seconds = Usage.taken().since(started).wall_s
    sizes = {"subscribers": subscribers, "days": DAYS, "later_days": LATER_DAYS, "events": len(script())}
    wrong = [segment for segment in told["retrained"] if segment != MOVED]
    facts = {"decisions": told["decisions"]}
    yield Line(
        NAME, len(wrong), "geographies", Goal("value", 0), sizes, seconds, part="retrained without a shift",
        is_quick=quick, facts=facts,
    )  # fmt: skip
    answered = bool(told.get("promoted_on"))
    yield Line(
        NAME, float(answered), "geographies", Goal("value", 1, is_at_most=False), sizes, seconds,
        part="shift answered by a promotion", is_quick=quick, facts={"promoted_on": told.get("promoted_on")},
    )  # fmt: skip
    if answered:
        gain_facts = {name: told[name] for name in ("gain_low", "gain_high", "rows", "positives")}
        yield Line(
            NAME, told["new"], "ROC AUC", Goal("ratio", 1.0, is_at_most=False), sizes, seconds,
            part="later days", peer="the champion before", peer_value=told["old"], is_quick=quick,
            facts=gain_facts,
        )  # fmt: skip
