"""Which file and line each setting of a use case comes from.

Belongs here: the settings that hold for one segment, leaf by leaf, and their places. Does not belong here: reading
files (loader) or how it is printed (commands).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlops_assets.config.loader import EVERYWHERE, LoadedProject, segment_source_key
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.table_names import unknown
from mlops_assets.config.yaml_source import KeyPath, YamlSource
from mlops_assets.domain.errors import ConfigError

BUILT_IN = "built-in default"


@dataclass(frozen=True)
class OriginalValue:
    """One leaf of the settings: a plain value, or an empty list or mapping.

    Attributes:
        path: keys and list positions that lead to it.
        value: JSON value.
        where: `file:line`, or `BUILT_IN` for what no file says.
    """

    path: KeyPath
    value: Any
    where: str

    @property
    def dotted(self) -> str:
        """The path as a person writes it."""
        return ".".join(str(part) for part in self.path)


@dataclass(frozen=True)
class OriginalSettings:
    """The settings of a use case as one segment has them.

    Attributes:
        use_case: its name.
        segment: a geography, or `all`: of a use case without geographies, or of one with them what holds where no
            override differs.
        settings: JSON values, defaults and overrides applied.
        leaves: every leaf in order.
        overridden_in: geographies whose override differs from this, for `all` only.
    """

    use_case: str
    segment: str
    settings: Mapping[str, Any]
    leaves: tuple[OriginalValue, ...]
    overridden_in: tuple[str, ...] = ()


def find_origins(project: LoadedProject, use_case: str, geography: str | None = None) -> OriginalSettings:
    """Return the settings of a use case and where each comes from.

    Args:
        project: the loaded configuration.
        use_case: its name.
        geography: whose override is applied; None for what holds everywhere.

    Raises:
        ConfigError: no such use case or geography, the geography does not run it, or there is nothing that holds
            everywhere because every geography completes the use case in its own way.
    """
    config = project.config
    if use_case not in config.use_cases:
        raise unknown("use case", use_case, config.use_cases, "")
    if geography is not None:
        _require_geography(config, use_case, geography)
    segment = geography or EVERYWHERE
    source = project.sources[segment_source_key(use_case, segment)]
    parsed = config.use_cases[use_case].get(segment) or _parse_without_override(source, use_case, config)
    settings = parsed.model_dump(mode="json")
    leaves = tuple(_walk(settings, source.data, (), source))
    overridden = () if geography else _overridden_in(config, use_case, parsed)
    return OriginalSettings(use_case, segment, settings, leaves, overridden)


def _require_geography(config: ProjectConfig, use_case: str, geography: str) -> None:
    segments = config.use_cases[use_case]
    if geography in segments and geography != EVERYWHERE:
        return
    if geography not in config.geographies:
        raise unknown("geography", geography, config.geographies, "")
    if EVERYWHERE in segments:
        raise ConfigError(
            f"{use_case} has one model for all geographies",
            expected="no `--geography`",
            remedy=f"`mlops config show {use_case}`",
        )
    raise ConfigError(
        f"geography {geography} does not run {use_case}",
        expected=f"one of {', '.join(sorted(segments))}",
        remedy=f"list {use_case} under its `use_cases` in configs/geographies.yaml",
    )


def _parse_without_override(source: YamlSource, use_case: str, config: ProjectConfig) -> UseCase:
    try:
        return UseCase.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(
            f"{use_case} is complete only with the override of a geography",
            where=str(source.path),
            expected=f"`--geography` with one of {', '.join(config.segments(use_case))}",
        ) from error


def _overridden_in(config: ProjectConfig, use_case: str, plain: UseCase) -> tuple[str, ...]:
    segments = sorted(config.use_cases[use_case].items())
    return tuple(code for code, settings in segments if settings != plain)


def _walk(value: Any, given: Any, at: KeyPath, source: YamlSource) -> Iterator[OriginalValue]:
    """Yield the leaves of `value`; `given` is what the files say there, or _NOTHING."""
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children:
        place = source.place(at) if given is not _NOTHING else BUILT_IN
        yield OriginalValue(at, value, place)
    for key, child in children:
        yield from _walk(child, _child(given, key), (*at, key), source)


_NOTHING = object()


def _child(given: Any, key: str | int) -> Any:
    if isinstance(given, Mapping):
        return given.get(key, _NOTHING)
    if isinstance(given, list) and isinstance(key, int) and key < len(given):
        return given[key]
    return _NOTHING
