"""The segments that share an asset.

Belongs here: what an asset says about all segments that have its model, one segment's settings, and which segments make
offers. Does not belong here: partitions (partitions.py) or what is done with the settings.
"""

from collections.abc import Iterator

from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.policy_slots import has_policy
from mlops_assets.domain.errors import ConfigError

# The segments that have a model, with their settings: a geography's override may differ in anything.
Segments = dict[str, UseCase]


def owners_of(segments: Segments) -> list[str]:
    """Return the owners of an asset that several segments share."""
    return sorted({settings.owner for settings in segments.values()})


def entity_of(segments: Segments) -> str:
    """Return what a row of a model is about, as descriptions name it."""
    return " or ".join(sorted({settings.corpus.entity_key for settings in segments.values()}))


def list_offering(config: ProjectConfig) -> Iterator[tuple[str, Segments]]:
    """Yield every use case that makes offers in some segments, with these."""
    for use_case in sorted(config.use_cases):
        segments = {name: one for name, one in sorted(config.use_cases[use_case].items()) if has_policy(one)}
        if segments:
            yield use_case, segments


def require_settings(segments: Segments, use_case: str, model: str, segment: str) -> UseCase:
    """Return a segment's settings; ConfigError if it does not have the model."""
    if segment not in segments:
        raise ConfigError(
            f"segment {segment} has no model {model}",
            where=f"{use_case}/{model}",
            expected=f"one of {', '.join(segments)}",
            remedy=f"choose one of them, or add the model to the use case or to {segment}'s `overrides`",
        )
    return segments[segment]
