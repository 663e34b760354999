"""`mlops completion`, and which words complete an argument.

Belongs here: the shell's script, names of use cases, models, segments and geographies as far as they are typed. Does
not belong here: refusing unknown names (known_names).

Completing reads the configuration and nothing else; one that does not load completes nothing, and says nothing either,
for the line that is being typed is no place for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from mlops_assets.config.loader import EVERYWHERE, load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.errors import PlatformError

PROGRAM, VARIABLE = "mlops", "_MLOPS_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and names of the configuration.

    bash: `eval "$(mlops completion bash)"` in ~/.bashrc; zsh: the same with zsh in ~/.zshrc, after compinit; fish: save
    it as ~/.config/fish/completions/mlops.fish.

    Example: mlops completion bash
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click does not know the shell {shell}")
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())


def _completes(names: Callable[[ProjectConfig, click.Context], Iterable[str]]) -> Complete:
    """Return what click asks for the words that may stand at a place."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            config = load_project()
        except PlatformError:
            return []
        return [
            CompletionItem(name) for name in sorted(set(names(config, context))) if name.startswith(begun)
        ]

    return complete


def _typed(context: click.Context, name: str) -> str:
    return str(context.params.get(name) or "")


def _use_cases(config: ProjectConfig, _: click.Context) -> Iterable[str]:
    return config.use_cases


def _models(config: ProjectConfig, context: click.Context) -> Iterable[str]:
    use_case = _typed(context, "use_case")
    return (slot.model for slot in all_slots(config) if use_case in {"", slot.use_case})


def _segments(config: ProjectConfig, context: click.Context) -> Iterable[str]:
    use_case = _typed(context, "use_case")
    if use_case in config.use_cases:
        return config.use_cases[use_case]
    return (segment for segments in config.use_cases.values() for segment in segments)


def _geographies(config: ProjectConfig, _: click.Context) -> Iterable[str]:
    return (code for code in config.geographies if code != EVERYWHERE)


def _feeds(config: ProjectConfig, _: click.Context) -> Iterable[str]:
    return (feed.name for feed in config.daily_feeds())


complete_use_case = _completes(_use_cases)
complete_model = _completes(_models)
complete_segment = _completes(_segments)
complete_geography = _completes(_geographies)
complete_feed = _completes(_feeds)
