"""What a change of the configuration does, before it is merged: two checked configurations compared.

Belongs here: differences, what each means for feeds and models, and what follows. Does not belong here: loading
either side, the asset graph's code versions (both are handed in), or how a plan is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mlops_assets.config.feed_geographies import feed_geographies
from mlops_assets.config.loader import LoadedProject
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.setting_changes import SettingChange, compare_settings
from mlops_assets.domain.ports import ModelSlot

Action = Literal["added", "removed", "changed"]
# What a change means for a model of one segment; the first two need a training to take effect.
Effect = Literal[
    "corpus", "model", "gate", "business", "approval", "retraining", "scoring", "offers", "people"
]
NEEDS_TRAINING: frozenset[Effect] = frozenset({"corpus", "model"})
_EFFECT_OF_FIELD: Mapping[str, Effect] = {
    "name": "people",
    "description": "people",
    "owner": "people",
    "recipients": "people",
    "segment_by": "corpus",
    "corpus": "corpus",
    "score_daily": "scoring",
    "approval": "approval",
    "retraining": "retraining",
    "offers": "offers",
}
_EFFECT_OF_MODEL_FIELD: Mapping[str, Effect] = {
    "task": "corpus",
    "label": "corpus",
    "features": "corpus",
    "algorithms": "model",
    "metric": "model",
    "quantile": "model",
    "calibrate": "model",
    "seed": "model",
    "warm_start": "retraining",
    "gate": "gate",
    "business": "business",
    "fleet": "model",
    "alerts": "scoring",
}


@dataclass(frozen=True)
class ItemChange:
    """A feed, geography, use case, monitor or environment that differs. Settings only of what `changed`."""

    kind: Literal["feed", "geography", "use_case", "monitor", "environment"]
    name: str
    action: Action
    settings: tuple[SettingChange, ...] = ()


@dataclass(frozen=True)
class SlotChange:
    """What becomes of one model in one segment.

    Attributes:
        slot: use case, model and segment.
        action: `added` slots get their first champion, `removed` ones are served no more.
        effects: what the changed settings mean, in the order of `Effect`.
        settings: what differs, as the segment has it.
    """

    slot: ModelSlot
    action: Action
    effects: tuple[Effect, ...] = ()
    settings: tuple[SettingChange, ...] = ()

    @property
    def needs_training(self) -> bool:
        """Whether the change takes effect only with a newly trained model."""
        return self.action == "added" or bool(NEEDS_TRAINING & set(self.effects))


@dataclass(frozen=True)
class FeedRebuild:
    """A feed whose rows are made for the first time (`is_new`), or become others.

    `geographies` is `all` alone for snapshots.
    """

    feed: str
    geographies: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True)
class AssetChange:
    """An asset that appears, disappears, or whose code version is another."""

    key: str
    action: Action


@dataclass(frozen=True)
class ChangePlan:
    """Everything that differs between two configurations, and what follows from it."""

    items: tuple[ItemChange, ...]
    slots: tuple[SlotChange, ...]
    feeds: tuple[FeedRebuild, ...]
    assets: tuple[AssetChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.items or self.slots or self.feeds or self.assets)


def plan_change(
    before: LoadedProject,
    after: LoadedProject,
    assets_before: Mapping[str, str],
    assets_after: Mapping[str, str],
) -> ChangePlan:
    """Compare two configurations.

    Args:
        before: what holds now.
        after: what is to hold.
        assets_before: code version by asset key, of the graph that `before` makes.
        assets_after: the same of `after`.
    """
    return ChangePlan(
        items=tuple(_compare_items(before, after)),
        slots=tuple(_compare_slots(before.config, after.config)),
        feeds=tuple(_compare_homologation(before.config, after.config)),
        assets=tuple(
            AssetChange(key, _action(key, assets_before, assets_after))
            for key in sorted({*assets_before, *assets_after})
            if assets_before.get(key) != assets_after.get(key)
        ),
    )


def _action(name: Any, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Action:
    if name not in before:
        return "added"
    return "changed" if name in after else "removed"


def _compare_items(before: LoadedProject, after: LoadedProject) -> Iterable[ItemChange]:
    kinds: list[tuple[Any, Mapping[str, Any], Mapping[str, Any]]] = [
        ("geography", before.config.geographies, after.config.geographies),
        ("use_case", before.config.use_cases, after.config.use_cases),
        ("feed", before.config.feeds, after.config.feeds),
        ("monitor", before.config.monitors, after.config.monitors),
        ("environment", before.environments, after.environments),
    ]
    for kind, old, new in kinds:
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            action = _action(name, old, new)
            is_plain = action == "changed" and kind != "use_case"  # use cases are told slot by slot
            settings = compare_settings(_plain(old[name]), _plain(new[name])) if is_plain else ()
            yield ItemChange(kind, name, action, settings)


def _plain(record: Any) -> dict[str, Any]:
    plain: dict[str, Any] = record.model_dump(mode="json")
    if "columns" in plain:  # by name, so that a column that moves does not make all of them differ
        plain["columns"] = {column["name"]: column for column in plain["columns"]}
    return plain


def _compare_slots(before: ProjectConfig, after: ProjectConfig) -> Iterable[SlotChange]:
    old, new = _slot_settings(before), _slot_settings(after)
    for slot in sorted({*old, *new}, key=lambda slot: (slot.use_case, slot.model, slot.segment)):
        action = _action(slot, old, new)
        if action != "changed":
            yield SlotChange(slot, action)
        elif settings := compare_settings(old[slot], new[slot]):
            found = {effect_of(change.path) for change in settings}
            effects = tuple(effect for effect in get_args(Effect) if effect in found)
            yield SlotChange(slot, action, effects, settings)


def _slot_settings(config: ProjectConfig) -> dict[ModelSlot, dict[str, Any]]:
    """Return what each slot depends on; the agent of a use case is a slot of its own beside its models."""
    found: dict[ModelSlot, dict[str, Any]] = {}
    for use_case, segments in config.use_cases.items():
        for segment, settings in segments.items():
            plain = settings.model_dump(mode="json")
            models, offers = plain.pop("models"), plain.pop("offers")
            found |= {
                ModelSlot(use_case, model, segment): {**plain, "models": {model: spec}}
                for model, spec in models.items()
            }
            if offers is not None:
                offers["catalogue"]["plans"] = {one["plan_code"]: one for one in offers["catalogue"]["plans"]}
                slot = ModelSlot(use_case, offers["agent"]["name"], segment)
                found[slot] = {"approval": plain["approval"], "offers": offers}
    return found


def effect_of(path: tuple[str, ...]) -> Effect:
    """Return what a change of a use case's setting means for its model.

    Args:
        path: of the setting, such as `("models", "churn_risk", "gate", "floor")`.

    Raises:
        KeyError: a setting that nobody has thought about; add its field to the tables above.
    """
    if path[0] != "models":
        return _EFFECT_OF_FIELD[path[0]]
    if path[2:4] == ("gate", "segment_columns"):  # the corpus carries these columns
        return "corpus"
    return _EFFECT_OF_MODEL_FIELD[path[2]]


def _compare_homologation(before: ProjectConfig, after: ProjectConfig) -> Iterable[FeedRebuild]:
    old, new = _homologation_keys(before), _homologation_keys(after)
    for feed in sorted(after.feeds):
        codes = [code for name, code in new if name == feed]
        fresh = tuple(code for code in codes if (feed, code) not in old)
        again = tuple(code for code in codes if old.get((feed, code), new[feed, code]) != new[feed, code])
        yield from (FeedRebuild(feed, some, is_new=some is fresh) for some in (fresh, again) if some)


def _homologation_keys(config: ProjectConfig) -> dict[tuple[str, str], str]:
    from mlops_assets.domain.feeds.homologation import homologation_key

    return {
        (name, code): homologation_key(contract.for_geography(chain), geography)
        for name, contract in sorted(config.feeds.items())
        for code, (geography, chain) in feed_geographies(config, contract).items()
    }
