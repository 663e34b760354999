"""Delivery of a day's proposals to the agents' store, in the operator's own codes and money.

One CSV per use case, segment and day, one line per person of the population:

| column | content |
|---|---|
| SUBSCRIBER | subscriber number |
| PLAN_ID | the operator's code of the plan, or NONE: leave this person alone |
| DISCOUNT | in local currency, of one sale |
| PROPENSITY | chance that this line had to be what it is; the campaign's log repeats it |
| MODEL | version of the policy |

| case | outcome |
|---|---|
| same proposals as delivered | `reused`; the file is checked, not written |
| proposals replaced (a late feed, another champion) before the day | `delivered`, in place of the old file |
| proposals withdrawn (no champion any more) before the day | `withdrawn`: the file is removed |
| the campaign has reported on the day | `kept`: file and proposals are history |
| rollback of the policy | the day's run is due again; if the day is not over, the champion before proposes anew |

A plan that the operator has no code for, or one that a line cannot hold, cannot be delivered: DeliveryError, and the
old file stays.

Belongs here: the file and when it is written. Does not belong here: where it lies (delivery_ports.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.domain.hashing import file_sha256, stable_hash
from mlops_assets.domain.offers.delivery_ports import AgentsStore, DeliveryId
from mlops_assets.domain.offers.offer_tables import delivery_table, proposals_table
from mlops_assets.domain.offers.reconciliation import NO_OFFER
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import read_manifest
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import pyarrow as pa

DELIVERY_VERSION = "1"
NONE_CODE = "NONE"
COLUMNS = ("SUBSCRIBER", "PLAN_ID", "DISCOUNT", "PROPENSITY", "MODEL")
_NOT_IN_A_CODE = frozenset(',"\r\n')
_MONEY_DIGITS = 4  # of a unit of local currency: far below what anybody pays, enough to come back to the cent


class DeliveryError(PlatformError):
    """A day's proposals cannot be put into the operator's form; what was delivered before stands."""


@dataclass(frozen=True)
class DeliveryOutcome:
    """What became of a segment's delivery; `partition` is where it is noted in the lake."""

    partition: PartitionId
    status: Literal["delivered", "reused", "kept", "withdrawn", "nothing"]
    detail: str
    manifest: Manifest | None = None


def deliver_day(
    delivery: DeliveryId,
    geography: Geography,
    *,
    lake: Lake,
    engine: TableEngine,
    store: AgentsStore,
    is_used: bool = False,
) -> DeliveryOutcome:
    """Bring the store in line with the proposals of a day; doing it again changes nothing.

    Args:
        delivery: use case, segment and day of the offers.
        geography: local plan codes and currency.
        lake: holds the proposals, and notes the delivery.
        engine: reads the proposals.
        store: receives the file.
        is_used: the campaign system has reported on the day.

    Raises:
        DeliveryError: a plan has no local code, or a local code is none that a line can hold.
        StorageError: the store or the lake cannot be written.
    """
    note = PartitionId(delivery_table(delivery.use_case), delivery.segment, delivery.day)
    noted = read_manifest(lake, note)
    if is_used:
        return DeliveryOutcome(note, "kept", f"the campaign of {delivery.day} is over", noted)
    source = PartitionId(proposals_table(delivery.use_case), delivery.segment, delivery.day)
    proposals = read_manifest(lake, source)
    if proposals is None:
        return _withdraw(delivery, note, noted, lake, store)
    build_key = stable_hash([DELIVERY_VERSION, proposals.build_key, geography])
    file = store.find(delivery)
    if noted is not None and noted.build_key == build_key and _is_there(file, noted):
        return DeliveryOutcome(note, "reused", delivery.file_name, noted)
    with lake.write(note, build_key) as writer:
        part = writer.scratch(".csv")
        lines = _write_csv(part, source, geography, lake, engine)
        digest = file_sha256(part)
        path = store.deliver(delivery, part)
        facts = {"file": path.name, "sha256": digest, "offers": proposals.facts["offers"]}
        manifest = writer.commit(row_count=lines, inputs={str(source): proposals.build_key}, facts=facts)
    return DeliveryOutcome(note, "delivered", path.name, manifest)


def _is_there(file: Path | None, noted: Manifest) -> bool:
    return file is not None and file_sha256(file) == noted.facts["sha256"]


def _withdraw(
    delivery: DeliveryId, note: PartitionId, noted: Manifest | None, lake: Lake, store: AgentsStore
) -> DeliveryOutcome:
    was_there = store.withdraw(delivery)
    if noted is not None:
        lake.remove(note)
    if was_there:
        return DeliveryOutcome(note, "withdrawn", f"{delivery.file_name}: its proposals were withdrawn")
    return DeliveryOutcome(note, "nothing", f"nothing is proposed for {delivery.day}")


def _write_csv(
    target: Path, source: PartitionId, geography: Geography, lake: Lake, engine: TableEngine
) -> int:
    import pyarrow.csv as pc

    views = {
        "proposals": ViewSource(files=[lake.path(source)]),
        "codes": ViewSource(table=_codes(geography)),
    }
    lines = 0
    writer: Any = None
    for batch in engine.batches(_csv_sql(geography.usd_per_unit, engine.dialect), views, 131_072):
        _require_codes(batch, geography)
        writer = writer or pc.CSVWriter(
            target, batch.schema, write_options=pc.WriteOptions(quoting_style="none")
        )
        writer.write_batch(batch)
        lines += batch.num_rows
    if writer is None:
        target.write_text(",".join(COLUMNS) + "\n", encoding="ascii")
    else:
        writer.close()
    return lines


def _codes(geography: Geography) -> pa.Table:
    import pyarrow as pa

    if unfit := [code for code in geography.plan_codes if code == NONE_CODE or set(code) & _NOT_IN_A_CODE]:
        raise DeliveryError(
            f"{', '.join(map(repr, unfit))} cannot stand in a line of a delivery",
            where=f"{geography.code}, plan_codes",
            expected=f"codes without comma, quotation mark or line break, and other than {NONE_CODE}",
            remedy="correct the local code in configs/geographies.yaml",
        )
    ours: Mapping[str, str] = {ours: local for local, ours in geography.plan_codes.items()}
    return pa.table(
        {
            "our_code": pa.array([NO_OFFER, *ours], pa.string()),
            "local_code": pa.array([NONE_CODE, *ours.values()], pa.string()),
        }
    )


def _require_codes(batch: pa.RecordBatch, geography: Geography) -> None:
    if missing := batch.column("PLAN_ID").null_count:
        raise DeliveryError(
            f"{missing} offers are of plans without a local code",
            where=f"{geography.code}, plan_codes",
            expected="a local code for every plan of the catalogue",
            remedy="name the plan in configs/geographies.yaml, or take it out of the catalogue",
        )


@lru_cache(maxsize=8)
def _csv_sql(usd_per_unit: float, dialect: str) -> str:
    import ibis

    columns = {
        "subscriber_id": "int64",
        "plan_code": "string",
        "discount_usd_cents": "int64",
        "propensity": "float64",
        "model_version": "string",
    }
    rows = ibis.table(columns, name="proposals")
    codes = ibis.table({"our_code": "string", "local_code": "string"}, name="codes")
    joined = rows.left_join(codes, rows.plan_code == codes.our_code)
    selected = joined.select(
        SUBSCRIBER=joined.subscriber_id,
        PLAN_ID=joined.local_code,
        DISCOUNT=(joined.discount_usd_cents / (100.0 * usd_per_unit)).round(_MONEY_DIGITS),
        PROPENSITY=joined.propensity.round(9),
        MODEL=joined.model_version,
    )
    return compile_sql(selected.order_by("SUBSCRIBER"), dialect)
