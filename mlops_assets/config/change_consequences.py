"""What follows from a planned change, in sentences.

Belongs here: one sentence per consequence. Does not belong here: finding the differences (change_plan).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from mlops_assets.config.change_plan import ChangePlan, Effect, ItemChange, SlotChange
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.learning.spec import EventLabel, TimeSplit

_ANY_DAY = dt.date(2000, 1, 1)
_WHERE = "<where>"  # stands for the model and its segments


def tell_consequences(plan: ChangePlan, after: ProjectConfig) -> list[str]:
    """Return what follows from a plan, most weighty first.

    Args:
        plan: the differences.
        after: the configuration that is to hold.
    """
    rules: list[tuple[Effect, Callable[[SlotChange], str]]] = [
        ("approval", _tell_approval),
        (
            "gate",
            _always(f"the next decision about {_WHERE} is taken by the new gate; nothing is trained for it"),
        ),
        (
            "business",
            _always(f"the next decision about {_WHERE} uses the new business figure; nothing is trained"),
        ),
        ("retraining", _always(f"drift of {_WHERE} is answered by the new policy from the next day on")),
        ("scoring", _tell_scoring),
        ("offers", _tell_offers),
        ("people", _always(f"texts, owner or recipients of {_WHERE} change")),
    ]
    changed = [change for change in plan.slots if change.action == "changed"]
    sentences = [
        *_group(_with_action(plan, "added"), lambda change: _tell_first_champion(change, after)),
        *_group(_with_action(plan, "removed"), _always(_REMOVED)),
        *_group([change for change in changed if change.needs_training], _tell_training),
    ]
    for effect, tell in rules:
        sentences += _group([change for change in changed if effect in change.effects], tell)
    sentences += [*_tell_feeds(plan, after), *_tell_day_items(plan)]
    return sentences


def _with_action(plan: ChangePlan, action: str) -> list[SlotChange]:
    return [change for change in plan.slots if change.action == action]


def _always(sentence: str) -> Callable[[SlotChange], str]:
    return lambda _: sentence


def _group(changes: Iterable[SlotChange], tell: Callable[[SlotChange], str]) -> list[str]:
    """Say once what holds for several segments of a model."""

    def key(change: SlotChange) -> tuple[str, str, str]:
        return change.slot.use_case, change.slot.model, tell(change)

    return [
        sentence.replace(_WHERE, f"{use_case}/{model} in {', '.join(one.slot.segment for one in same)}")
        for (use_case, model, sentence), same in groupby(sorted(changes, key=key), key=key)
    ]


_REMOVED = f"{_WHERE}: neither trained nor scored any more; what the ledger and the lake hold stays"


def _tell_first_champion(change: SlotChange, after: ProjectConfig) -> str:
    from mlops_assets.domain.learning.splits import first_trainable_day

    settings = after.use_cases[change.slot.use_case][change.slot.segment]
    who = "the gate" if settings.approval.mode == "auto" else "a person, after the gate,"
    if change.slot.model not in settings.models:
        return (
            f"first policy of {_WHERE}: trained once every model of its state has a champion; {who} decides, and no "
            "offer is made before"
        )
    split, label = settings.corpus.split, settings.models[change.slot.model].label
    when = "once its snapshot is delivered"
    if isinstance(split, TimeSplit):
        horizon_days = label.horizon_days if isinstance(label, EventLabel) else 0
        ready = first_trainable_day(_ANY_DAY, horizon_days, split, settings.corpus.min_history_days)
        when = f"after {(ready - _ANY_DAY).days + 1} days of data"
    return f"first champion of {_WHERE}: trained by itself {when} unless the ledger names one; {who} decides"


def _tell_training(change: SlotChange) -> str:
    words = {"corpus": "another corpus", "model": "other fits"}
    why = " and ".join(words[effect] for effect in change.effects if effect in words)
    scored = [
        one for one in change.settings if one.path[:2] in {("corpus", "table"), ("corpus", "filter_equals")}
    ]
    rows = "; other rows are scored from the next day on" if scored else ""
    return (
        f"retraining of {_WHERE} at the next training ({why}); until then the champion serves{rows}. Not to wait "
        f"for drift: `mlops train {change.slot.use_case}`, with `--segment` for one segment"
    )


def _tell_approval(change: SlotChange) -> str:
    for one in change.settings:
        if one.path == ("approval", "mode"):
            words = {
                "manual": "manual: challengers wait for a person",
                "auto": "automatic: the gate promotes",
            }
            return f"approvals of {_WHERE} become {words[one.after]}"
    return f"approvals of {_WHERE} follow the new rules; the old ones hold as well for what waits already"


def _tell_scoring(change: SlotChange) -> str:
    sentences = [
        f"{_WHERE}: {'scored every day from the next one on' if one.after else 'not scored daily any more'}"
        for one in change.settings
        if one.path == ("score_daily",)
    ]
    if any(one.path[2:3] == ("alerts",) for one in change.settings):
        sentences.append(f"{_WHERE}: alerts are chosen by the new costs and capacity from the next day on")
    return "; ".join(sentences)


def _tell_offers(change: SlotChange) -> str:
    """Say when each part of `offers` counts: a policy knows the choices and the state that it was trained with."""
    parts = {one.path[1:3] for one in change.settings if one.path[0] == "offers"}
    names = {part[0] for part in parts}
    sentences = []
    if {("catalogue", "plans"), ("catalogue", "eligible")} & parts:
        sentences.append(
            f"{_WHERE}: who may be offered what changes with the next day's offers; a new plan or discount is "
            "offered once a policy trained with it is promoted"
        )
    if {("catalogue", rule) for rule in ("contact_policy", "budget", "fairness")} & parts:
        sentences.append(f"{_WHERE}: contacts and budget follow the new limits from the next day's offers on")
    if "exploration" in names:
        sentences.append(f"{_WHERE}: control group and random offers are drawn anew by the next day's offers")
    if names & {"state", "agent", "simulator_check"}:
        sentences.append(
            f"{_WHERE}: simulator and policies are made anew with the next training of the agent"
        )
    if "gate" in names:
        sentences.append(f"the next decision about the policy of {_WHERE} is taken by the new gate")
    if "performance" in names:
        sentences.append(
            f"what the offers of {_WHERE} bring is judged by the new rules from the next week on"
        )
    return "; ".join(sentences)


def _tell_feeds(plan: ChangePlan, after: ProjectConfig) -> Iterator[str]:
    first_day = after.environment.calendar.first_day
    for is_new, codes, feeds in _feeds_by_geographies(plan):
        names = f"{'feed' if len(feeds) == 1 else 'feeds'} {', '.join(feeds)}"
        if codes == ("all",):
            yield f"{names}: the snapshot is homologated{'' if is_new else ' again'} with its next run"
        elif is_new:
            yield f"{names} of {', '.join(codes)}: homologated from the first delivered day on"
        else:
            yield (
                f"{names} of {', '.join(codes)}: all delivered days from {first_day} on are homologated again; "
                f"the tables and scores that rest on them follow"
            )
    if any(item.kind in {"feed", "geography"} for item in plan.items):
        yield "every delivered day is due again (`mlops run`, or the feed sensor); partitions that are current stay"


def _feeds_by_geographies(plan: ChangePlan) -> Iterator[tuple[bool, tuple[str, ...], list[str]]]:
    groups: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for rebuild in plan.feeds:
        groups.setdefault((rebuild.is_new, rebuild.geographies), []).append(rebuild.feed)
    for (is_new, codes), feeds in groups.items():
        yield is_new, codes, feeds


def _tell_day_items(plan: ChangePlan) -> Iterator[str]:
    for item in plan.items:
        if item.kind == "monitor":
            yield _tell_monitor(item)
        if item.kind == "environment":
            yield f"environment {item.name}: {item.action}; it counts where MLOPS_ENVIRONMENT names it, after a restart"


def _tell_monitor(item: ItemChange) -> str:
    words = {
        "added": "judges from the next day that runs on; ranges need their history first",
        "removed": "judges no day any more; what it has judged stays",
        "changed": "judges by its new settings from the next day that runs on",
    }
    return f"monitor {item.name}: {words[item.action]}"
