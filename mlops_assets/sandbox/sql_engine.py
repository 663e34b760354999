"""The sandbox's DuckDB connection and its deterministic randomness.

Belongs here: opening a locked-down connection, the random macros, filling numbers into SQL templates. Does
not belong here: any table of the simulated world.

Randomness is a pure function of (row key, purpose): `uniform(k, 'purpose')` hashes the 64-bit key `k` with
the purpose, so that a value depends neither on threads nor on the order of rows. A day's key is
`hash(xor(h, day_key))` with `h` the subscriber's own key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# Constants are written with exponents: DuckDB reads 0.5 as DECIMAL, which is slow beside integers.
# normal: Box-Muller on the two halves of one hash. geometric: quantile of the geometric distribution on
# 0, 1, 2, ... with the given mean (counts per day are overdispersed). day_fraction: when in the day things
# happen, v uniform: 4 % by 2 h, 6 % by 6 h, 16 % by 9 h, 38 % by 13 h, 63 % by 18 h, 92 % by 22 h.
_MACROS = """
CREATE MACRO uniform(k, purpose) AS ((hash(xor(k, hash(purpose))) >> 11) + 5e-1) * 1.1102230246251565e-16;
CREATE MACRO normal(k, purpose) AS
    sqrt(-2e0 * ln(((hash(xor(k, hash(purpose))) >> 32) + 5e-1) * 2.3283064365386963e-10))
    * cos(1.4629180792671596e-09 * (hash(xor(k, hash(purpose))) & 4294967295));
CREATE MACRO geometric(mean, u) AS floor(ln(u) / ln(greatest(mean, 1e-9) / (1e0 + greatest(mean, 1e-9))));
CREATE MACRO sigmoid(x) AS 1e0 / (1e0 + exp(-(x)));
CREATE MACRO clamp(x, low, high) AS least(greatest(x, low), high);
CREATE MACRO day_fraction(v) AS CASE
    WHEN v < 4e-2 THEN v * 2.0833333e0
    WHEN v < 6e-2 THEN 8.3333333e-2 + (v - 4e-2) * 8.3333333e0
    WHEN v < 1.6e-1 THEN 2.5e-1 + (v - 6e-2) * 1.25e0
    WHEN v < 3.8e-1 THEN 3.75e-1 + (v - 1.6e-1) * 7.5757576e-1
    WHEN v < 6.3e-1 THEN 5.4166667e-1 + (v - 3.8e-1) * 8.3333333e-1
    WHEN v < 9.2e-1 THEN 7.5e-1 + (v - 6.3e-1) * 5.7471264e-1
    ELSE 9.1666667e-1 + (v - 9.2e-1) * 1.0416666e0 END;
"""


def open_engines(
    names: Sequence[str], directories: Iterable[Path], *, threads: int, memory_limit: str, spill: Path
) -> dict[str, duckdb.DuckDBPyConnection]:
    """Open one in-memory database with a schema, and a connection into it, per name.

    Statements may touch `directories` only, and the random macros are defined.

    Args:
        names: of the schemas (geography codes).
        directories: folders that statements may read and write.
        threads: number of worker threads, shared.
        memory_limit: DuckDB size text such as `2GB`, shared.
        spill: folder for temporary files of statements that exceed the limit.
    """
    import duckdb

    database = duckdb.connect(":memory:")
    engines = {}
    for name in names:
        engines[name] = database.cursor()
        engines[name].execute(f"CREATE SCHEMA {quote(name)}; USE {quote(name)}; {_MACROS}")
    allowed = ", ".join(literal(f"{folder.resolve()}/") for folder in [*directories, spill])
    for statement in (
        f"SET GLOBAL threads = {int(threads)}",
        f"SET GLOBAL memory_limit = {literal(memory_limit)}",
        f"SET GLOBAL temp_directory = {literal(str(spill.resolve()))}",
        # Planning takes longer than 20,000 rows take to run; this optimiser costs more than it saves here.
        "SET GLOBAL disabled_optimizers = 'common_subexpressions'",
        # It tells versions of a file apart by whole seconds; a corrected file may come within one.
        "SET GLOBAL enable_external_file_cache = false",
        f"SET GLOBAL allowed_directories = [{allowed}]",
        "SET GLOBAL enable_external_access = false",
        "SET GLOBAL lock_configuration = true",
    ):
        database.execute(statement)
    return engines


def literal(value: object) -> str:
    """Return a value as an SQL literal; numbers with a fraction become DOUBLE."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text if "e" in text else f"{text}e0"
    if isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


def quote(name: str) -> str:
    """Return a column or table name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def fill(template: str, *values: Mapping[str, object], **more: object) -> str:
    """Replace `$name` in an SQL template by literals.

    Values of type `SqlText` are inserted as they are. Raises KeyError if a name is missing.
    """
    merged: dict[str, object] = {}
    for mapping in (*values, more):
        merged.update(mapping)
    texts = {
        key: value.text if isinstance(value, SqlText) else literal(value) for key, value in merged.items()
    }
    return Template(template).substitute(texts)


class SqlText:
    """A piece of SQL that `fill` inserts without quoting."""

    def __init__(self, text: str) -> None:
        self.text = text


def draw_evenly(texts: Sequence[str], key: str, purpose: str) -> SqlText:
    """Return SQL that draws one of some texts, each with the same chance."""
    listed, count = ", ".join(map(literal, texts)), literal(float(len(texts)))
    place = f"1 + CAST(floor(uniform({key}, {literal(purpose)}) * {count}) AS INTEGER)"
    return SqlText(f"list_extract([{listed}], {place})")


def key_of(*parts: object) -> SqlText:
    """Return a 64-bit key, as SQL, that is the same for the same parts on every machine."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return SqlText(f"{int.from_bytes(digest[:8], 'big')}::UBIGINT")


def uniform_of(*parts: object) -> float:
    """Return a uniform number in (0, 1) that is the same for the same parts on every machine."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def normal_of(*parts: object) -> float:
    """Return a standard normal number that is the same for the same parts on every machine."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(uniform_of(*parts))
