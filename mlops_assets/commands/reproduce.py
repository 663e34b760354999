"""`mlops reproduce`: make a model version again and compare.

Belongs here: arguments, output and exit status. Does not belong here: the comparison (mlops_assets.domain.learning).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from mlops_assets.commands.completion import complete_model, complete_segment, complete_use_case
from mlops_assets.commands.models import PARTLY_STATUS, choose_slots
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.policy_slots import is_policy_slot
from mlops_assets.config.run_plan import column_notes
from mlops_assets.domain.errors import ConfigError, LearningError
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.reproduction import Reproduction, Workshop, reproduce_version
from mlops_assets.domain.ports import ModelSlot
from resources.environments import open_scratch

_POLICY_STAMPS = ("git_commit", "config_sha256", "transitions_sha256", "simulator_sha256", "input_champions")


@click.command()
@click.argument("use_case", shell_complete=complete_use_case)
@click.argument("model", shell_complete=complete_model)
@click.argument("version")
@click.option("--segment", shell_complete=complete_segment, required=True, help="Whose version.")
@with_json
def reproduce(use_case: str, model: str, version: str, segment: str, *, out: Output) -> None:
    """Build the corpus of VERSION again, train again, and say whether corpus and predictions agree.

    Code and configuration are the present ones; what of code, packages, configuration and feeds is not what the
    version was made with, is said. Nothing is registered or replaced. Exit status: 0 corpus and predictions agree,
    3 they do not, 1 it could not be tried (an unknown version, days that are gone, a policy of offers: it rests on
    other models' scores, and its stamps are shown instead).

    Example: mlops reproduce churn churn_risk 3 --segment cl
    """
    workspace = open_workspace()
    (slot,) = choose_slots(workspace, use_case, model, segment)
    result = _reproduce(workspace, slot, version)
    out.tell(result.to_record(), _text(slot, result))
    if not result.is_reproduced:
        raise SystemExit(PARTLY_STATUS)


def _reproduce(workspace: Workspace, slot: ModelSlot, version: str) -> Reproduction:
    config, platform = workspace.config, workspace.platform
    refuse_policy(workspace, slot, version)
    settings = config.use_cases.get(slot.use_case, {}).get(slot.segment)
    if settings is None or slot.model not in settings.models:
        raise ConfigError(
            "the model is not configured any more",
            where=slot.registered_name,
            expected="its use case in configs/",
            remedy="check out the commit that made the version (`git_commit` among its tags)",
        )
    temporary = workspace.home / config.environment.storage.temporary
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reproduce-", dir=temporary) as folder:
        scratch, engine = open_scratch(config.environment, workspace.home, Path(folder))
        return reproduce_version(
            CorpusRequest(
                slot.use_case, slot.model, settings.corpus, settings.models[slot.model], slot.segment
            ),
            version,
            Workshop(platform.lake, scratch, engine, platform.registry, platform.ledger),
            known=column_notes(config, settings.corpus.table),
            code=platform.provenance.stamps(),
            threads=config.environment.executor.threads_per_step,
        )


def refuse_policy(workspace: Workspace, slot: ModelSlot, version: str) -> None:
    """A policy rests on scores of the champions of its time and on the decision log as it was then."""
    if is_policy_slot(workspace.config, slot):
        tags = workspace.platform.registry.version(slot.registered_name, version).tags
        told = ", ".join(f"{name} {tags[name][:16]}" for name in _POLICY_STAMPS if name in tags)
        raise LearningError(
            "a policy is not trained again for a comparison",
            where=f"{slot.registered_name} version {version}",
            expected="a model; a policy needs the input champions and the decision log of its time",
            remedy=f"compare its stamps with those of another version: {told or 'it has none'}",
        )


def _text(slot: ModelSlot, result: Reproduction) -> str:
    verdict = "reproduced" if result.is_reproduced else "NOT reproduced"
    lines = [
        f"{slot.registered_name} version {result.version}: {verdict} ({result.holdout_rows} holdout rows)"
    ]
    lines += [
        f"  {'same   ' if one.is_same else 'differs'}  {one.name}: {one.text}" for one in result.comparisons
    ]
    return "\n".join(lines)
