"""How outcomes look in Dagster: schemas, tables, previews, charts.

Belongs here: Dagster metadata values. Does not belong here: any value of a subscriber (keys are masked), or
the content of reports (mlops_assets.domain.reporting).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import dagster as dg

from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.preview import preview_rows
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine
from mlops_assets.domain.reporting.mail import PERSONAL_COLUMNS

PREVIEW_ROWS = 5


PUBLISHING = frozenset({"landed", "built", "scored", "reused", "kept", "delivered"})


class Outcome(Protocol):
    """What feeds, tables and scores report of one geography."""

    @property
    def partition(self) -> PartitionId: ...  # noqa: D102

    @property
    def status(self) -> str: ...  # noqa: D102

    @property
    def manifest(self) -> Manifest | None: ...  # noqa: D102


AnyOutcome = TypeVar("AnyOutcome", bound=Outcome)


def select_published(outcomes: Iterable[AnyOutcome]) -> list[AnyOutcome]:
    """Return the outcomes that leave a valid partition of the day behind."""
    return [o for o in outcomes if o.status in PUBLISHING and o.manifest is not None]


def data_version(published: Sequence[Outcome]) -> dg.DataVersion:
    """Return the version of a day over its geographies."""
    return dg.DataVersion(stable_hash([o.manifest.build_key for o in published if o.manifest])[:16])


def column_schema(contract: FeedContract) -> dg.TableSchema:
    """Return the columns of a homologated feed with type, unit and meaning."""
    kept = [c for c in contract.columns if not contract.grain or c.merge or c.name in contract.grain]
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, c.type, description=_with_unit(c.description, c.unit)) for c in kept]
    )


def table_schema(table: FeatureTable) -> dg.TableSchema:
    """Return the columns of a feature table with type, unit and formula."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(n, c.type, description=_with_unit(c.description, c.unit))
            for n, c in table.columns.items()
        ]
    )


def _with_unit(description: str, unit: str | None) -> str:
    return f"{description} [{unit}]" if unit else description


def row_count_metadata(outcomes: Sequence[Outcome]) -> dict[str, dg.MetadataValue[Any]]:
    """Return the total rows, and the rows of each geography (Dagster plots them over the days)."""
    rows = {o.partition.segment: o.manifest.row_count for o in outcomes if o.manifest is not None}
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "dagster/row_count": dg.MetadataValue.int(sum(rows.values()))
    }
    metadata.update({f"rows_{segment}": dg.MetadataValue.int(count) for segment, count in rows.items()})
    return metadata


def outcome_table(
    outcomes: Sequence[AnyOutcome], describe: Callable[[AnyOutcome], str]
) -> dg.MetadataValue[Any]:
    """Return one line per geography: status, rows, version, what happened."""
    records = [
        {
            "geography": o.partition.segment,
            "status": o.status,
            "rows": o.manifest.row_count if o.manifest else 0,
            "version": o.manifest.build_key[:12] if o.manifest else "",
            "detail": describe(o),
        }
        for o in outcomes
    ]
    return record_table(records)


def record_table(records: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Return a metadata table; the first record names the columns."""
    columns = list(records[0]) if records else ["empty"]
    kinds = {name: _kind(records[0].get(name)) if records else "string" for name in columns}
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _cell(record.get(name)) for name in columns}) for record in records],
        schema=dg.TableSchema([dg.TableColumn(name, kinds[name]) for name in columns]),
    )


def report_metadata(markdown: str, paths: Iterable[object]) -> dict[str, dg.MetadataValue[Any]]:
    """Return a report as one reads it in Dagster, and where its files are."""
    return {
        "report": dg.MetadataValue.md(markdown),
        "paths": dg.MetadataValue.md("\n".join(f"- {path}" for path in paths)),
    }


def link_run(run_url: str) -> dg.MetadataValue[Any]:
    """Return where a run is tracked, as a link if a browser can follow it."""
    link = dg.MetadataValue.url if run_url.startswith("http") else dg.MetadataValue.text
    return link(run_url)


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float"}  # True is an int as well
    return next((kind for of, kind in kinds.items() if isinstance(value, of)), "string")


def _cell(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def preview(
    lake: Lake, engine: TableEngine, partition: PartitionId, keys: Collection[str]
) -> dg.MetadataValue[Any]:
    """Return the first rows of a partition as a table; ids among its keys, and whatever names a person, are masked."""
    masked = PERSONAL_COLUMNS | {name for name in keys if name.endswith("_id")}
    return record_table(preview_rows(engine, lake.path(partition), PREVIEW_ROWS, masked))
