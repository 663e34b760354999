"""The matrix that algorithms read: numbers, categories, label, keys.

Belongs here: the in-memory shape of a corpus or scoring table and its construction from Arrow. Does not
belong here: reading files, splitting (splits.py), or any transformation that is fitted (preprocessing.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.spec import Task

MISSING = "__missing__"
_SHOWN_VALUES = 10


@dataclass(frozen=True, eq=False)
class CategoryColumn:
    """Text values stored once: `vocabulary[codes[row]]` is the value of a row; nulls are MISSING."""

    codes: NDArray[np.int32]
    vocabulary: tuple[str, ...]

    def values(self) -> NDArray[np.object_]:
        """Return the text of every row, object [rows]."""
        return np.array(self.vocabulary, dtype=object)[self.codes]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows for fitting, evaluation or scoring.

    Attributes:
        features: feature names in the configured order, numeric and categorical mixed.
        numbers: float32 [rows x numeric features], Fortran order; missing and infinite values are NaN.
        categories: one column per categorical feature.
        y: float64 [rows]; class index for classification, NaN where there is no label (scoring).
        keys: entity key of each row.
        as_of: day each row's features are known at, or None for a snapshot without dates.
        segment_values: column to text values [rows], for the gate's segments.
        classes: class names by index (multiclass), else empty.
    """

    features: tuple[str, ...]
    numbers: NDArray[np.float32]
    categories: Mapping[str, CategoryColumn]
    y: NDArray[np.float64]
    keys: NDArray[Any]
    as_of: NDArray[np.datetime64] | None = None
    segment_values: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns of `numbers`, in order."""
        return tuple(name for name in self.features if name not in self.categories)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical features, in feature order."""
        return tuple(name for name in self.features if name in self.categories)

    def select(self, features: Sequence[str]) -> Dataset:
        """Return all rows with these features, in this order; CorpusError if one is absent."""
        if tuple(features) == self.features:
            return self
        absent = [name for name in features if name not in self.features]
        if absent:
            raise CorpusError(
                f"features {absent} are absent",
                where=f"dataset with {list(self.features)}",
                remedy="build the dataset with the features of every model that will read it",
            )
        position = {name: index for index, name in enumerate(self.numeric)}
        columns = [position[name] for name in features if name in position]
        return replace(
            self,
            features=tuple(features),
            numbers=np.asfortranarray(self.numbers[:, columns]),
            categories={name: self.categories[name] for name in features if name in self.categories},
        )

    def take(self, rows: NDArray[Any]) -> Dataset:
        """Return the given rows: positions int [n] or a boolean mask [rows]."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        numbers = np.empty((len(index), self.numbers.shape[1]), dtype=np.float32, order="F")
        for column in range(self.numbers.shape[1]):
            numbers[:, column] = self.numbers[index, column]
        return Dataset(
            features=self.features,
            numbers=numbers,
            categories={n: CategoryColumn(c.codes[index], c.vocabulary) for n, c in self.categories.items()},
            y=self.y[index],
            keys=self.keys[index],
            as_of=None if self.as_of is None else self.as_of[index],
            segment_values={name: values[index] for name, values in self.segment_values.items()},
            classes=self.classes,
        )


@dataclass(frozen=True)
class LabelColumn:
    """How to read the label.

    Attributes:
        name: column.
        task: binary and multiclass give class indices, regression and quantile numbers.
        classes: class names in index order (multiclass); sorted distinct values if empty.
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()


def dataset_from_arrow(
    table: pa.Table,
    features: Sequence[str],
    label: LabelColumn | None = None,
    *,
    key_column: str | None = None,
    as_of_column: str | None = None,
    segment_columns: Sequence[str] = (),
    categorical: Iterable[str] | None = None,
) -> Dataset:
    """Build a dataset column by column, without a second copy of the table.

    Args:
        table: Arrow table [rows].
        features: feature columns; text and boolean become categorical, numbers float32.
        label: the label and how to read it, or None when scoring.
        key_column: entity key; row numbers if None.
        as_of_column: date column; None for snapshots.
        segment_columns: columns kept for the gate's segments.
        categorical: features to read as categorical whatever their type (a model's signature);
            None decides by type.

    Raises:
        CorpusError: a column is absent, has an unsuitable type, or the label cannot be read as asked.
    """
    named = (label.name if label else None, key_column, as_of_column)
    wanted = [*features, *segment_columns, *(name for name in named if name)]
    _require_columns(table, wanted)
    forced = None if categorical is None else frozenset(categorical)
    names = [name for name in features if _is_categorical(table, name, forced)]
    y, classes = _read_label(table, label)
    return Dataset(
        features=tuple(features),
        numbers=_read_numbers(table, [name for name in features if name not in names]),
        categories={name: _read_categories(table, name) for name in names},
        y=y,
        keys=np.arange(table.num_rows) if key_column is None else table[key_column].to_numpy(),
        as_of=None if as_of_column is None else _read_days(table, as_of_column),
        segment_values={name: _read_categories(table, name).values() for name in segment_columns},
        classes=classes,
    )


def _require_columns(table: pa.Table, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in table.column_names:
            close = difflib.get_close_matches(name, table.column_names, n=1)
            raise CorpusError(
                f"column {name!r} is absent",
                where=f"table with columns {', '.join(table.column_names)}",
                remedy=f"did you mean {close[0]!r}?"
                if close
                else "add it to the corpus or drop it from the model",
            )


def _is_categorical(table: pa.Table, name: str, forced: frozenset[str] | None) -> bool:
    from pyarrow import types

    kind = table.schema.field(name).type
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
    is_text = is_text or (types.is_dictionary(kind) and not types.is_nested(kind.value_type))
    if not (is_number or is_text or types.is_null(kind)):
        raise CorpusError(
            f"feature {name!r} has type {kind}",
            expected="a number, text or boolean",
            remedy="derive a number from it in the feature table (days since ..., for a date)",
        )
    if forced is not None and name not in forced and is_text:
        raise CorpusError(
            f"feature {name!r} has type {kind}",
            expected="a number, as when the model was trained",
            remedy="repair the feature table, or retrain",
        )
    return is_text if forced is None else name in forced


def _read_numbers(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    import pyarrow as pa

    numbers = np.empty((table.num_rows, len(names)), dtype=np.float32, order="F")
    for column, name in enumerate(names):
        start = 0
        for chunk in table[name].chunks:
            values = chunk.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
            numbers[start : start + len(values), column] = values
            start += len(values)
    # Infinity carries no more information than "missing" and no library but CatBoost accepts it.
    numbers[np.isinf(numbers)] = np.nan
    return numbers


def _read_categories(table: pa.Table, name: str) -> CategoryColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = table[name].cast(pa.large_string()).combine_chunks()
    encoded = pc.fill_null(text, MISSING).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return CategoryColumn(codes, tuple(encoded.dictionary.to_pylist()))


def _read_days(table: pa.Table, name: str) -> NDArray[np.datetime64]:
    days: NDArray[np.datetime64] = table[name].to_numpy().astype("datetime64[D]")
    if np.isnat(days).any():
        raise CorpusError("a row has no as-of day", where=f"column {name!r}", remedy="rebuild the corpus")
    return days


def _read_label(table: pa.Table, label: LabelColumn | None) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if label is None:
        return np.full(table.num_rows, np.nan), ()
    if table[label.name].null_count:
        raise CorpusError(
            f"{table[label.name].null_count} rows have no label",
            where=f"column {label.name!r}",
            expected="a value in every row",
            remedy="filter those rows out of the corpus",
        )
    if label.task == "multiclass":
        return _read_classes(table, label)
    return _read_numeric_label(table, label.name, label.task), ()


def _read_classes(table: pa.Table, label: LabelColumn) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    column = _read_categories(table, label.name)
    found = label.classes or tuple(sorted(column.vocabulary))
    unknown = sorted(set(column.vocabulary) - set(found))
    if unknown:
        raise CorpusError(
            f"label has unknown classes {unknown[:_SHOWN_VALUES]}",
            where=f"column {label.name!r}",
            expected=f"one of {list(found)[:_SHOWN_VALUES]}",
            remedy="retrain with the new classes",
        )
    index = np.array([found.index(value) for value in column.vocabulary], dtype=np.float64)
    return index[column.codes], found


def _read_numeric_label(table: pa.Table, name: str, task: Task) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        y: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowException as error:
        raise CorpusError(
            f"label has type {table.schema.field(name).type}",
            where=f"column {name!r}",
            expected="numbers",
            remedy="name the value that counts as 1 with `positive`, or change the task",
        ) from error
    is_wrong = ~np.isin(y, (0.0, 1.0)) if task == "binary" else ~np.isfinite(y)
    if is_wrong.any():
        raise CorpusError(
            f"{int(is_wrong.sum())} labels are unusable",
            where=f"column {name!r}, first at row {is_wrong.argmax()}",
            expected="0 or 1" if task == "binary" else "finite numbers",
            remedy="repair the label, or name the value that counts as 1 with `positive`",
        )
    return y
