"""`mlops new`: the first version of a feed, a use case or an algorithm, with comments.

Belongs here: arguments, what a template is told, next steps. Does not belong here: templates and writing (scaffolds),
guesses from a sample (mlops_assets.domain.feeds.contract_draft).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from mlops_assets.commands.completion import complete_geography
from mlops_assets.commands.known_names import require_known
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.scaffolds import (
    Scaffold,
    render_template,
    require_name,
    schema_of,
    steps_after_configuration,
)
from mlops_assets.config import loader
from mlops_assets.config.loader import EVERYWHERE, load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.use_case_lists import add_use_case, render_use_case_lists
from mlops_assets.domain.errors import ConfigError, FeedRefusedError
from mlops_assets.domain.feeds.contract import FeedContract, Owner
from mlops_assets.domain.feeds.contract_draft import DraftColumn, draft_columns, draft_key, guess_delimiter
from mlops_assets.domain.feeds.delivered_file import UnreadableFileError, read_csv_facts

OWNER = "team:ml-platform"
_DAY_IN_NAME = re.compile(r"(19|20)\d{6}")
_ALGORITHMS = Path("mlops_assets/domain/learning/algorithms")
_TESTS = Path("tests/unit/domain/learning")
_EXAMPLE_COLUMNS = (
    DraftColumn("sale_id", "SALE_ID", "text"),
    DraftColumn("subscriber_id", "MSISDN", "integer", is_never_negative=True),
    DraftColumn("event_time_utc", "SALE_TS", "timestamp", doubts=("UTC, or `timezone: local`?",)),
    DraftColumn("amount_usd", "AMOUNT", "decimal", unit="usd", is_never_negative=True),
)


def _require_owner(_: click.Context, parameter: click.Parameter, given: str) -> str:
    """Refuse an owner that no use case could have."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return str(TypeAdapter(Owner).validate_python(given))
    except ValidationError as error:
        raise click.BadParameter(
            f"{given!r} is neither team:NAME nor a mail address", param=parameter
        ) from error


_INTO = click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of configuration to write into; default: configs/ of the project.",
)
_OWNER = click.option(
    "--owner",
    default=OWNER,
    show_default=True,
    callback=_require_owner,
    help="Who is asked: team:NAME or a mail address.",
)


@click.group("new")
def new_commands() -> None:
    """Write the first version of a feed, a use case or an algorithm, with comments.

    Nothing is written over a file. What is written works at once; lines with CHECK are to be decided by a person.
    """


@new_commands.command("feed")
@click.argument("name")
@click.option(
    "--from",
    "sample",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file of the operator: names, types and units are guessed from its first rows.",
)
@_INTO
@_OWNER
@with_json
def new_feed(name: str, sample: Path | None, into: Path | None, owner: str, *, out: Output) -> None:
    """Write the contract of a feed: what the operator delivers, and what the platform makes of it.

    Example: mlops new feed shop_sales --into my_configs
    """
    config, folder = load_project(), _folder(into)
    require_name(name, "feed", config.feeds)
    values = _draft_of(sample) if sample else _example(name)
    text = render_template(
        "feed.yaml.j2",
        name=name,
        owner=owner,
        schema=schema_of("feed", folder),
        geography=min(config.geographies, default="cl"),
        **values,
    )
    _require_valid(text)
    where = "all" if values["cadence"] == "snapshot" else "each geography"
    scaffold = Scaffold(
        new={folder / "feeds" / f"{name}.yaml": text},
        next_steps=[
            "decide the lines with CHECK in it",
            *steps_after_configuration(folder, "feeds", name, owner),
            f"deliver files into the folder of {where} below landing/, then `mlops run`",
        ],
    )
    scaffold.write()
    out.tell(scaffold.record(), scaffold.text())


@new_commands.command("use-case")
@click.argument("name")
@click.option(
    "--geography",
    "codes",
    multiple=True,
    shell_complete=complete_geography,
    help="Where it runs; repeatable; default: wherever a use case runs.",
)
@_INTO
@_OWNER
@with_json
def new_use_case(name: str, codes: tuple[str, ...], into: Path | None, owner: str, *, out: Output) -> None:
    """Write a use case, and list it in the geographies that run it.

    It learns who of today's active subscribers leaves within a week, until you say what it is to learn.

    Example: mlops new use-case win_back --geography cl --into my_configs
    """
    config, folder = load_project(), _folder(into)
    require_name(name, "use case", config.use_cases)
    wanted = _choose_geographies(config, codes)
    text = render_template(
        "use_case.yaml.j2",
        name=name,
        owner=owner,
        schema=schema_of("use_case", folder),
        description=f"What {name.replace('_', ' ')} is to predict, of whom, for when.",
        monitors=[one for one in config.monitors if one not in {m.name for m in config.snapshot_monitors()}],
    )
    scaffold = Scaffold(
        new={folder / "use_cases" / f"{name}.yaml": text},
        next_steps=[
            "decide the lines with CHECK in it",
            *steps_after_configuration(folder, "use_cases", name, owner),
            f"mlops train {name} --segment {wanted[0]}",
        ],
    )
    _list_in_geographies(scaffold, config, folder, wanted, name)
    scaffold.write()
    out.tell(scaffold.record(), scaffold.text())


@new_commands.command("algorithm")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sources to write into; default: those of this project.",
)
@with_json
def new_algorithm(name: str, into: Path | None, *, out: Output) -> None:
    """Write an algorithm's plug-in, which works at once, and its tests.

    Example: mlops new algorithm extra_trees
    """
    from mlops_assets.domain.learning.algorithms import ALGORITHMS

    require_name(name, "algorithm", ALGORITHMS)
    root = into or loader.PROJECT_CONFIGS.parent
    class_name = "".join(word.capitalize() for word in name.split("_")) + "Algorithm"
    values = {"name": name, "class_name": class_name, "title": name.replace("_", " ").capitalize()}
    module = ".".join((_ALGORITHMS / name).parts)
    scaffold = Scaffold(
        new={
            root / _ALGORITHMS / f"{name}.py": render_template("algorithm.py.j2", **values),
            root / _TESTS / f"test_{name}.py": render_template("test_algorithm.py.j2", **values),
        },
        next_steps=[
            f"add to {_ALGORITHMS}/__init__.py: from {module} import {class_name}",
            f'add to its ALGORITHMS: "{name}": {class_name}(),',
            f'add to SMALL in {_TESTS}/test_algorithms.py: "{name}": {{"trees": 20}},',
            f"python -m pytest {_TESTS}/test_{name}.py {_TESTS}/test_algorithms.py",
            f"name it in a use case: `algorithms: {{{name}: {{}}}}`",
        ],
    )
    scaffold.write()
    out.tell(scaffold.record(), scaffold.text())


def _choose_geographies(config: ProjectConfig, codes: Sequence[str]) -> list[str]:
    """Return the named geographies, each once; without any, all in which a use case runs."""
    for code in codes:
        require_known(code, config.geographies, "--geography")
    wanted = list(dict.fromkeys(codes)) or [code for code, one in config.geographies.items() if one.use_cases]
    if not wanted:
        known = ", ".join(sorted(config.geographies))
        raise click.UsageError(f"no geography runs a use case yet; name one with --geography: {known}")
    return wanted


def _folder(into: Path | None) -> Path:
    return into if into is not None else loader.PROJECT_CONFIGS


def _example(name: str) -> dict[str, Any]:
    """Return what the template of a feed is told without a sample."""
    return {
        "description": f"What one row of {name} is.",
        "cadence": "daily",
        "format": "csv",
        "delimiter": ",",
        "pattern": f"{name}_{{day}}.csv",
        "key": ["sale_id"],
        "latest_by": "event_time_utc",
        "day_column": "event_time_utc",
        "columns": _EXAMPLE_COLUMNS,
    }


def _draft_of(sample: Path) -> dict[str, Any]:
    """Return what the template of a feed is told of a sample.

    Raises:
        FeedRefusedError: it cannot be read, or its columns cannot stand in a contract.
    """
    with sample.open("rb") as stream:
        delimiter = guess_delimiter(stream.readline().decode("utf-8", errors="replace"))
    try:
        facts = read_csv_facts(sample, delimiter)
    except UnreadableFileError as error:
        raise FeedRefusedError(
            error.what, where=str(sample), expected=error.expected, remedy=error.remedy
        ) from error
    columns = draft_columns(facts)
    is_daily = _DAY_IN_NAME.search(sample.name) is not None
    times = [column.name for column in columns if column.type == "timestamp" and not column.is_nullable]
    return {
        "description": f"Drafted from {len(next(iter(facts.sample.values()), []))} rows of a sample.",
        "cadence": "daily" if is_daily else "snapshot",
        "format": "csv",
        "delimiter": delimiter,
        "pattern": _DAY_IN_NAME.sub("{day}", sample.name, count=1),
        "key": draft_key(columns, facts.sample),
        "latest_by": "",
        "day_column": times[0] if is_daily and times else "",
        "columns": columns,
    }


def _require_valid(text: str) -> None:
    """Raise ConfigError if what a draft came to is no contract."""
    try:
        FeedContract.model_validate(yaml.safe_load(text))
    except ValueError as error:
        raise ConfigError(
            f"no contract comes of this sample: {'; '.join(str(error).splitlines()[1:3])}",
            where="--from",
            expected="a file whose name and columns a contract may have",
            remedy="write the contract without --from, and fill in the columns",
        ) from error


def _list_in_geographies(
    scaffold: Scaffold, config: ProjectConfig, folder: Path, codes: Sequence[str], name: str
) -> None:
    """Add a use case to the lists of geographies: in the folder's file, or in a new one laid over the others."""
    path = folder / "geographies.yaml"
    if not path.exists():
        lists = {code: [*config.geographies[code].use_cases, name] for code in codes if code != EVERYWHERE}
        scaffold.new[path] = render_use_case_lists(lists)
        return
    text = path.read_text(encoding="utf-8")
    for code in codes:
        text = add_use_case(text, path, code, name)
    scaffold.changed[path] = text
