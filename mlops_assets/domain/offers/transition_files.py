"""Person-weeks of a decision log as a Parquet file that is read back as it was.

Belongs here: columns, what the file says about itself, the content's hash. Does not belong here: where the rows come
from (transitions.py) or what is learned from them (policy_training.py).

One row a person-week: `customer`, `week`, the columns of the state, the same a week later with `next_` before them,
action and outcome; `eligible` holds one bit a choice. Choices, plans and layout are in the file's metadata.
"""

from __future__ import annotations

import dataclasses
import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.hashing import canonical_json
from mlops_assets.domain.offers.decision_data import OfferAction, OfferStates, StateLayout, Transitions

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

FORMAT = "1"
_KEY = b"person_weeks"
_NEXT = "next_"
_OUTCOMES = ("actions", "propensities", "is_accepted", "organic_plan", "margin_usd", "is_churned", "weeks")


def write_transitions(target: Path, transitions: Transitions) -> None:
    """Write person-weeks to a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    layout = transitions.states.layout
    columns: dict[str, Any] = {"customer": pa.array(transitions.states.customers)}
    columns |= {name: getattr(transitions, name) for name in _OUTCOMES}
    columns["eligible"] = _pack(transitions.eligible)
    for prefix, values in (("", transitions.states.values), (_NEXT, transitions.next_values)):
        columns |= {f"{prefix}{name}": values[:, layout.index(name)] for name in layout.columns}
    table = pa.table(columns).replace_schema_metadata({_KEY: _describe(transitions).encode()})
    pq.write_table(table, target, compression="zstd")


def read_transitions(source: Path) -> Transitions:
    """Read person-weeks back.

    Raises:
        StorageError: the file holds something else, or person-weeks of another form.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    told = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if told.get("format") != FORMAT:
        raise StorageError(
            f"form {told.get('format', 'none')} of person-weeks is unknown",
            where=str(source),
            expected=FORMAT,
            remedy="build the transitions again",
            is_retryable=False,
        )
    layout = StateLayout(tuple(told["levels"]))
    choices = tuple(OfferAction(**one) for one in told["choices"])
    states = OfferStates(layout, _matrix(table, layout, ""), table["customer"].to_numpy())
    return Transitions(
        states=states,
        choices=choices,
        eligible=_unpack(table["eligible"].combine_chunks(), len(choices)),
        plans=tuple(OfferAction(**one) for one in told["plans"]),
        next_values=_matrix(table, layout, _NEXT),
        **{name: table[name].to_numpy() for name in _OUTCOMES},
    )


def hash_transitions(transitions: Transitions) -> str:
    """Return the SHA-256 of the content, however it is stored."""
    digest = sha256(_describe(transitions).encode())
    digest.update("\0".join(map(str, transitions.states.customers)).encode())
    arrays = (transitions.states.values, transitions.next_values, transitions.eligible)
    for array in (*arrays, *(getattr(transitions, name) for name in _OUTCOMES)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _describe(transitions: Transitions) -> str:
    return canonical_json(
        {
            "format": FORMAT,
            "levels": transitions.states.layout.levels,
            "choices": [dataclasses.asdict(one) for one in transitions.choices],
            "plans": [dataclasses.asdict(one) for one in transitions.plans],
        }
    )


def _matrix(table: pa.Table, layout: StateLayout, prefix: str) -> NDArray[np.float32]:
    values = np.empty((table.num_rows, len(layout.columns)), dtype=np.float32)
    for name in layout.columns:
        values[:, layout.index(name)] = table[f"{prefix}{name}"].to_numpy()
    return values


def _pack(flags: NDArray[np.bool_]) -> pa.Array:
    import pyarrow as pa

    packed = np.packbits(flags, axis=1)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(packed.shape[1]), len(packed), [None, pa.py_buffer(np.ascontiguousarray(packed))]
    )


def _unpack(column: pa.Array, count: int) -> NDArray[np.bool_]:
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    rows = data[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)
    return np.unpackbits(rows, axis=1, count=count).astype(np.bool_)
