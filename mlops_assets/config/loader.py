"""Loading of configs/: files to a checked ProjectConfig.

Belongs here: which files there are, inheritance, and turning every finding into file, line, expectation and
remedy. Does not belong here: rules between files (cross_checks).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlops_assets.config.models import (
    Environment,
    GeographiesFile,
    ProjectConfig,
    UseCase,
    UseCaseDefaults,
)
from mlops_assets.config.yaml_source import KeyPath, YamlSource, deep_merge, read_yaml
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.quality.spec import MonitorSpec

PROJECT_CONFIGS = Path(__file__).resolve().parents[2] / "configs"
EVERYWHERE = "all"
# Algorithms are a choice, not an addition: a model that lists its own drops the inherited ones.
REPLACED_KEYS = frozenset({"algorithms", "split", "label"})
M = TypeVar("M", bound=BaseModel)


@dataclass
class Findings:
    """What is wrong with the configuration, collected so that one check reports everything."""

    lines: list[str] = field(default_factory=list)

    def add(self, error: ConfigError) -> None:
        """Note one finding; what several segments have in common is noted once."""
        if (line := str(error)) not in self.lines:
            self.lines.append(line)

    def raise_if_any(self) -> None:
        """Raise one ConfigError with all findings, if there are any."""
        if self.lines:
            raise ConfigError(
                f"{len(self.lines)} problem(s) in the configuration:\n  " + "\n  ".join(self.lines),
            )


def config_roots() -> tuple[Path, ...]:
    """Return the project's configs/ and the folders that MLOPS_CONFIG_PATHS adds."""
    extra = [Path(p).resolve() for p in os.environ.get("MLOPS_CONFIG_PATHS", "").split(os.pathsep) if p]
    return (PROJECT_CONFIGS, *extra)


def load_project(roots: Sequence[Path] | None = None, environment: str | None = None) -> ProjectConfig:
    """Load and check all configuration together.

    Args:
        roots: config folders, later ones add files; default `config_roots()`.
        environment: name of the environment file; default MLOPS_ENVIRONMENT or `local`.

    Raises:
        ConfigError: one error that lists every finding with file, line, expectation and remedy.
    """
    return load_project_with_sources(roots, environment).config


def reload_project(roots: Sequence[Path]) -> ProjectConfig:
    """Load the configuration anew, for a process that has loaded it before its files were changed; as `load_project`.

    Raises:
        ConfigError: as `load_project`.
    """
    _load_cached.cache_clear()
    return load_project(roots)


@dataclass(frozen=True)
class LoadedProject:
    """A checked configuration and where each of its values was read.

    Attributes:
        config: the configuration.
        environments: all of them by name, the chosen one included.
        sources: by key: `feeds/usage`, `environments/local`, `geographies`, and for use cases what
            `segment_source_key` returns, with defaults and overrides laid over each other.
    """

    config: ProjectConfig
    environments: Mapping[str, Environment]
    sources: Mapping[str, YamlSource]


def load_project_with_sources(
    roots: Sequence[Path] | None = None, environment: str | None = None
) -> LoadedProject:
    """Load and check all configuration together, and keep the place of every value; as `load_project`.

    Raises:
        ConfigError: as `load_project`.
    """
    chosen = environment or os.environ.get("MLOPS_ENVIRONMENT", "local")
    return _load_cached(tuple(roots or config_roots()), chosen)


@lru_cache(maxsize=8)
def _load_cached(roots: tuple[Path, ...], environment: str) -> LoadedProject:
    findings = Findings()
    files = _ConfigFiles(roots, findings)
    feeds = files.parse_folder("feeds", FeedContract)
    entries, geography_source = files.geographies()
    geographies = {code: _geography(code, entries) for code in entries.geographies}
    use_cases = files.use_cases(entries, geography_source)
    monitors = files.parse_folder("quality", MonitorSpec)
    environments = files.parse_folder("environments", Environment)
    findings.raise_if_any()
    if environment not in environments:
        raise ConfigError(
            f"unknown environment {environment!r}",
            where="MLOPS_ENVIRONMENT",
            expected=", ".join(sorted(environments)),
            remedy="choose one of them or add configs/environments/<name>.yaml",
        )
    config = ProjectConfig(
        roots=roots,
        environment=environments[environment],
        feeds=feeds,
        geographies=geographies,
        use_cases=use_cases,
        monitors=monitors,
    )
    from mlops_assets.config.cross_checks import check_across_files

    sources = {**files.sources, "geographies": geography_source}
    check_across_files(config, entries, sources, findings)
    findings.raise_if_any()
    return LoadedProject(config, environments, sources)


def _geography(code: str, entries: GeographiesFile) -> Geography:
    chain = [entries.geographies[each] for each in entries.chain(code)]
    plan_codes = next((entry.plan_codes for entry in chain if entry.plan_codes), {})
    fields = chain[0].model_dump(exclude={"overrides", "plan_codes", "use_cases"})
    return Geography(code=code, plan_codes=plan_codes, use_cases=_use_cases_of(code, entries), **fields)


def _use_cases_of(code: str, entries: GeographiesFile) -> list[str]:
    chain = [entries.geographies[each] for each in entries.chain(code)]
    return next((entry.use_cases for entry in chain if entry.use_cases), [])


class _ConfigFiles:
    """The YAML files of all roots, parsed on demand; keeps their sources for messages."""

    def __init__(self, roots: Sequence[Path], findings: Findings) -> None:
        self.roots, self.findings = roots, findings
        self.sources: dict[str, YamlSource] = {}

    def _read(self, path: Path, key: str) -> YamlSource | None:
        try:
            self.sources[key] = read_yaml(path)
        except ConfigError as error:
            self.findings.add(error)
            return None
        return self.sources[key]

    def _sources(self, folder: str) -> Iterator[tuple[str, YamlSource]]:
        seen: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted((root / folder).glob("*.yaml")):
                if path.stem in seen:
                    self.findings.add(
                        ConfigError(
                            "the same name in two config folders",
                            where=str(path),
                            remedy=f"rename it; the other is {seen[path.stem]}",
                        )
                    )
                seen[path.stem] = path
                if source := self._read(path, f"{folder}/{path.stem}"):
                    yield path.stem, source

    def parse_folder(self, folder: str, model: type[M]) -> dict[str, M]:
        """Parse every YAML of a folder; its name must be the file's."""
        parsed: dict[str, M] = {}
        for stem, source in self._sources(folder):
            item = validate(model, source, self.findings)
            if item is not None and (name := getattr(item, "name", stem)) != stem:
                self.findings.add(
                    ConfigError(f"name {name!r} in {stem}.yaml", where=source.where(("name",)), expected=stem)
                )
            elif item is not None:
                parsed[stem] = item
        return parsed

    def geographies(self) -> tuple[GeographiesFile, YamlSource]:
        """Merge geographies.yaml of all roots."""
        merged: dict[str, Any] = {"geographies": {}}
        source = YamlSource(self.roots[0] / "geographies.yaml", {}, {})
        places: dict[KeyPath, str] = {}
        for root in self.roots:
            path = root / "geographies.yaml"
            if path.exists() and (read := self._read(path, f"geographies:{root}")):
                merged = deep_merge(merged, read.data)
                places.update(read.places)
                source = YamlSource(path, merged, places)
        parsed = validate(GeographiesFile, source, self.findings)
        if parsed is None:
            self.findings.raise_if_any()
            raise AssertionError("validate() reports what it refuses")
        if EVERYWHERE in parsed.geographies:
            self.findings.add(
                ConfigError(
                    f"a geography cannot have the code {EVERYWHERE!r}",
                    where=source.where(("geographies", EVERYWHERE)),
                    expected="a code of its own, such as mx",
                    remedy=f"{EVERYWHERE!r} is the segment of use cases without geographies; rename the geography",
                )
            )
        return parsed, source

    def use_cases(
        self, geographies: GeographiesFile, geography_source: YamlSource
    ) -> dict[str, dict[str, UseCase]]:
        """Parse use cases with defaults and the overrides of each geography that runs them."""
        found: dict[str, dict[str, UseCase]] = {}
        inherited = YamlSource(self.roots[0] / "use_cases", {}, {})
        for stem, source in self._sources("use_cases"):
            if stem == "_defaults":
                validate(UseCaseDefaults, source, self.findings)
                inherited = source
                continue
            by_segment = {
                EVERYWHERE: source,
                **{
                    code: _with_override(source, geography_source, code)
                    for code in geographies.geographies
                    if stem in _use_cases_of(code, geographies)
                },
            }
            merged = {code: _with_defaults(each, inherited) for code, each in by_segment.items()}
            self.sources |= {segment_source_key(stem, code): each for code, each in merged.items()}
            found[stem] = self._segments(merged)
        return found

    def _segments(self, sources: dict[str, YamlSource]) -> dict[str, UseCase]:
        is_single = sources[EVERYWHERE].data.get("segment_by", "geography") == "none"
        wanted = [code for code in sources if (code == EVERYWHERE) == is_single]
        parsed = {code: validate(UseCase, sources[code], self.findings) for code in wanted}
        if not wanted:
            validate(UseCase, sources[EVERYWHERE], self.findings)
        return {code: item for code, item in parsed.items() if item is not None}


def segment_source_key(use_case: str, segment: str = EVERYWHERE) -> str:
    """Return the key of a use case's source, as one segment sees it, among all sources."""
    return f"use_cases/{use_case}/{segment}"


def _with_override(source: YamlSource, geographies: YamlSource, code: str) -> YamlSource:
    """Lay a geography's override over a use case; what it gives has its place in geographies.yaml."""
    at = ("geographies", code, "overrides", source.path.stem)
    override = geographies.data["geographies"][code].get("overrides", {}).get(source.path.stem, {})
    places = {path: place for path, place in geographies.moved(at, ()).items() if path}
    merged = deep_merge(source.data, override, replace=REPLACED_KEYS)
    return YamlSource(source.path, merged, {**source.places, **places})


def _with_defaults(source: YamlSource, inherited: YamlSource) -> YamlSource:
    """Lay a use case over the defaults; the place of each key is that of the file it comes from."""
    defaults = {part: inherited.data.get(part) or {} for part in ("use_case", "model")}
    merged = deep_merge(defaults["use_case"], source.data, replace=REPLACED_KEYS)
    places = inherited.moved(("use_case",), ())
    models = merged.get("models")
    if isinstance(models, Mapping):
        for name in models:
            places |= inherited.moved(("model",), ("models", str(name)))
        merged["models"] = {
            name: deep_merge(defaults["model"], model, replace=REPLACED_KEYS)
            if isinstance(model, Mapping)
            else model
            for name, model in models.items()
        }
    return YamlSource(source.path, merged, {**places, **source.places})


def validate(model: type[M], source: YamlSource, findings: Findings) -> M | None:
    """Validate one file's data; every violation becomes a finding with its line."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            findings.add(
                _finding(model, source, detail["loc"], detail["type"], detail["msg"], detail.get("input"))
            )
        return None


def _finding(
    model: type[BaseModel], source: YamlSource, at: Sequence[str | int], kind: str, message: str, given: Any
) -> ConfigError:
    if kind == "extra_forbidden":
        from mlops_assets.config.json_schema import schema_properties

        known = schema_properties(model, at[:-1])
        close = get_close_matches(str(at[-1]), known, n=1)
        return ConfigError(
            f"unknown key {at[-1]!r}",
            where=source.where(at),
            expected=f"one of {', '.join(known)}" if known else "",
            remedy=f"did you mean {close[0]!r}?" if close else "remove it",
        )
    if kind == "missing":
        return ConfigError(f"missing key {at[-1]!r}", where=source.where(at[:-1]), remedy=f"add `{at[-1]}:`")
    if not at and (named := re.search(r"`(\w+)`", message)) and (named[1],) in source.places:
        at = (named[1],)
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool) else ""
    return ConfigError(f"{message.removeprefix('Value error, ')}{shown}", where=source.where(at))
