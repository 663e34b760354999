"""`mlops config plan`: what a change of the configuration does, before it is merged.

Belongs here: arguments, both sides, output and exit status. Does not belong here: the comparison
(mlops_assets.config.change_plan).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from mlops_assets.commands.output import Output, with_json
from mlops_assets.config.change_consequences import tell_consequences
from mlops_assets.config.change_plan import ChangePlan, SlotChange, plan_change
from mlops_assets.config.loader import LoadedProject, config_roots, load_project_with_sources
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.errors import ConfigError
from resources.config_revision import RevisionFolders, folders_at

CHANGES_STATUS = 2
WORKING_TREE = "working tree"
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


class WrongCallError(click.UsageError):
    """A usage error that ends with 1."""

    exit_code = 1


class PlanCommand(click.Command):
    """Ends with 1 when it is called wrongly: click's 2 would read as "something changes"."""

    @override
    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Parse the words; a usage error ends with 1."""
        try:
            return super().make_context(*arguments, **more)
        except click.UsageError as error:
            raise WrongCallError(error.format_message(), error.ctx) from error


@click.command("plan", cls=PlanCommand)
@click.option("--against", required=True, metavar="REV", help="What holds now: a branch, tag or commit.")
@click.option("--to", metavar="REV", help="What is to hold; default: the files as they are on disk.")
@with_json
def plan_command(against: str, to: str | None, *, out: Output) -> None:
    """Say what a change of configs/ does: feeds, models, segments, approvals, assets, and what follows.

    Both sides are read by the code of now. Exit status: 0 nothing changes, 2 something does, 1 an error: one side does
    not load (it says which), or git does not know the revision.

    Example: mlops config plan --against main
    """
    roots = config_roots()
    with ExitStack() as stack:
        old = stack.enter_context(folders_at(roots, against))
        new = stack.enter_context(folders_at(roots, to)) if to else None
        before = _load(old.roots, against, old)
        after = _load(new.roots if new else roots, to or WORKING_TREE, new)
        plan = plan_change(before, after, _code_versions(before.config), _code_versions(after.config))
    consequences = tell_consequences(plan, after.config)
    sides = {
        "against": {"revision": old.revision, "commit": old.commit},
        "to": {"revision": to, "commit": new.commit if new else None},
    }
    text = "\n".join(_text(plan, consequences, f"{against} ({old.commit[:10]})", to or WORKING_TREE))
    out.tell({**sides, **_record(plan), "consequences": consequences}, text)
    if not plan.is_empty:
        raise SystemExit(CHANGES_STATUS)


def _load(roots: Sequence[Path], side: str, folders: RevisionFolders | None) -> LoadedProject:
    try:
        return load_project_with_sources(roots)
    except ConfigError as error:
        told = folders.rename(str(error)) if folders else str(error)
        raise ConfigError(f"the configuration of {side} does not load: {told}") from error


def _code_versions(config: ProjectConfig) -> dict[str, str]:
    """Return the code version of every asset of a configuration's graph, by key; nothing is opened."""
    import dagster as dg

    from mlops_assets.definitions import build_defs

    assets = [
        one for one in build_defs(config, resources={}).assets or [] if isinstance(one, dg.AssetsDefinition)
    ]
    return {
        key.to_user_string(): version or ""
        for asset in assets
        for key, version in asset.code_versions_by_key.items()
    }


def _record(plan: ChangePlan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    slots = [
        {
            **asdict(change.slot),
            "action": change.action,
            "effects": change.effects,
            "needs_training": change.needs_training,
            "settings": [asdict(one) for one in change.settings],
        }
        for change in plan.slots
    ]
    return {
        "is_changed": not plan.is_empty,
        "items": [asdict(item) for item in plan.items],
        "slots": slots,
        "feeds_to_homologate": [asdict(feed) for feed in plan.feeds],
        "assets": [asdict(asset) for asset in plan.assets],
    }


def _text(plan: ChangePlan, consequences: Sequence[str], against: str, to: str) -> Iterator[str]:
    yield f"configuration of {to} against {against}"
    if plan.is_empty:
        yield "nothing changes"
        return
    for item in plan.items:
        yield f"{_SIGNS[item.action]} {item.kind.replace('_', ' ')} {item.name}"
        yield from (f"    {one.text}" for one in item.settings)
    for same in _same_changes(plan.slots):
        first, segments = same[0], ", ".join(change.slot.segment for change in same)
        effects = f" ({', '.join(first.effects)})" if first.effects else ""
        yield f"{_SIGNS[first.action]} model {first.slot.use_case}/{first.slot.model} in {segments}{effects}"
        yield from (f"    {one.text}" for one in first.settings)
    if plan.assets:
        yield "assets (~ another code version):"
        yield from (f"  {_SIGNS[asset.action]} {asset.key}" for asset in plan.assets)
    yield "what follows:"
    yield from (f"  - {sentence}" for sentence in consequences)


def _same_changes(slots: Sequence[SlotChange]) -> Iterator[list[SlotChange]]:
    """Yield the segments of a model of which the same is said."""

    def key(change: SlotChange) -> tuple[str, str, str, str]:
        told = "\n".join(one.text for one in change.settings)
        return change.slot.use_case, change.slot.model, change.action, told

    for _, same in groupby(sorted(slots, key=key), key=key):
        yield list(same)
