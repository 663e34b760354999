"""A scoring request: from bytes to a data set that the model can score, or to a list of what is wrong.

Belongs here: what a request may hold, by the model's signature and the ranges of its training. Does not belong
here: HTTP (mlops_assets.serving) or predicting (learning.bundle).

A request is `{"rows": [{"feature": value, ...}, ...]}`. Each row names every feature of the model and nothing
else; null says that a value is not known, as in training. Findings name row and feature and never repeat a value:
they end up in logs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import ScoringRequestError
from mlops_assets.domain.learning.training_ranges import CategoryRange, NumericRange, TrainingRanges

if TYPE_CHECKING:
    from mlops_assets.domain.learning.algorithms import Signature
    from mlops_assets.domain.learning.dataset import CategoryColumn, Dataset

MOST_ROWS = 1_000
MOST_FINDINGS = 50
MOST_TEXT_CHARACTERS = 256
LARGEST_NUMBER = 3.4028234663852886e38  # of float32, in which models read numbers
_PLAIN_NAME = re.compile(r"(?!.*\d{5})[A-Za-z_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_NO_RANGES = TrainingRanges()

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What is wrong with, or unusual about, one value. `row` counts from 0; -1 is the whole request."""

    row: int
    feature: str
    problem: str
    expected: str
    remedy: str = ""


class RequestRefusedError(ScoringRequestError):
    """A request does not fit the model.

    Attributes:
        findings: at most MOST_FINDINGS of them, in the order of rows.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings[:MOST_FINDINGS])
        first = findings[0]
        where = f"row {first.row}, {first.feature}" if first.row >= 0 else "request"
        super().__init__(first.problem, where=where, expected=first.expected, remedy=first.remedy)


@dataclass(frozen=True, eq=False)
class ScoringRows:
    """Rows ready to score. `warnings`: values that the model can read but has not met in training."""

    dataset: Dataset
    warnings: tuple[Finding, ...]
    warning_count: int


def parse_rows(content: bytes, most_rows: int = MOST_ROWS) -> list[Row]:
    """Return the rows of a request's body, each an object.

    Raises:
        RequestRefusedError: the body is no JSON of this shape, names a key twice, holds NaN or Infinity, or has
            no rows or too many.
    """
    try:
        body = json.loads(content, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError as error:
        raise _refused("the body is nested too deeply", "a list of flat rows") from error
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError and our own
        raise _refused(
            f"the body is no JSON: {error}", 'JSON such as {"rows": [{"feature": 1.5}]}'
        ) from error
    if not isinstance(body, dict) or set(body) != {"rows"} or not isinstance(body["rows"], list):
        raise _refused("the body has another shape", 'exactly one key, "rows", with a list of objects')
    rows = body["rows"]
    if not 1 <= len(rows) <= most_rows:
        raise _refused(f"the request has {len(rows)} rows", f"1 to {most_rows}", "send several requests")
    wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    if wrong:
        raise RequestRefusedError([Finding(n, "", "the row is no object", "feature: value") for n in wrong])
    return rows


def read_rows(rows: Sequence[Row], signature: Signature, ranges: TrainingRanges | None) -> ScoringRows:
    """Return the rows as a data set of exactly the model's features.

    Args:
        rows: feature to value; numbers for numeric features, text or booleans for categorical ones, None if unknown.
        signature: of the model.
        ranges: of its training; None if they were not recorded, then nothing is unusual.

    Raises:
        RequestRefusedError: a feature is missing or unknown, or a value cannot be one of that feature.
    """
    findings = [
        finding for number, row in enumerate(rows) for finding in _check_names(number, row, signature)
    ]
    if not findings:
        findings = list(_check_values(rows, signature))
    if findings:
        raise RequestRefusedError(findings)
    dataset = _build_dataset(rows, signature)
    warnings = list(_compare(dataset, ranges or _NO_RANGES))
    return ScoringRows(dataset, tuple(warnings[:MOST_FINDINGS]), len(warnings))


def _check_names(number: int, row: Row, signature: Signature) -> Iterator[Finding]:
    for name in signature.features:
        if name not in row:
            yield Finding(
                number, name, "the feature is missing", "every feature of the model",
                "send null if the value is not known",
            )  # fmt: skip
    if len(row) > len(signature.features) or not set(row) <= set(signature.features):
        for name in sorted(set(row) - set(signature.features)):
            yield Finding(
                number, _shown(name), "the model has no such feature",
                f"one of {', '.join(signature.features)}", "leave it out",
            )  # fmt: skip


def _check_values(rows: Sequence[Row], signature: Signature) -> Iterator[Finding]:
    categorical = frozenset(signature.categorical)
    for name in signature.features:
        check = _check_category if name in categorical else _check_number
        for number, row in enumerate(rows):
            if row[name] is not None and (finding := check(number, name, row[name])):
                yield finding


def _check_number(number: int, name: str, value: Any) -> Finding | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Finding(number, name, f"the value is {_kind(value)}", "a number or null")
    if isinstance(value, float) and not math.isfinite(value):
        return Finding(number, name, "the value is not finite", "a finite number or null")
    if abs(value) > LARGEST_NUMBER:
        return Finding(
            number, name, "the value is beyond what the model can read", f"at most {LARGEST_NUMBER:.3g}"
        )
    return None


def _check_category(number: int, name: str, value: Any) -> Finding | None:
    if not isinstance(value, (str, bool)):
        return Finding(number, name, f"the value is {_kind(value)}", "text, a boolean or null")
    if isinstance(value, str) and len(value) > MOST_TEXT_CHARACTERS:
        return Finding(number, name, "the text is too long", f"at most {MOST_TEXT_CHARACTERS} characters")
    if isinstance(value, str) and not _is_unicode(value):
        return Finding(number, name, "the text is no valid Unicode", "text without lone surrogates")
    return None


def _build_dataset(rows: Sequence[Row], signature: Signature) -> Dataset:
    import numpy as np

    from mlops_assets.domain.learning.dataset import Dataset

    categorical = frozenset(signature.categorical)
    numeric = [name for name in signature.features if name not in categorical]
    numbers = np.empty((len(rows), len(numeric)), dtype=np.float32, order="F")
    for column, name in enumerate(numeric):
        numbers[:, column] = [math.nan if row[name] is None else row[name] for row in rows]
    return Dataset(
        features=signature.features,
        numbers=numbers,
        categories={
            name: _build_category([row[name] for row in rows])
            for name in signature.features
            if name in categorical
        },
        y=np.full(len(rows), np.nan),
        keys=np.arange(len(rows)),
    )


def _build_category(values: Sequence[str | bool | None]) -> CategoryColumn:
    import numpy as np

    from mlops_assets.domain.learning.dataset import MISSING, CategoryColumn

    # Booleans are text in the corpus too, written as Arrow writes them.
    texts = [MISSING if v is None else str(v).lower() if isinstance(v, bool) else v for v in values]
    position = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return CategoryColumn(np.array([position[text] for text in texts], dtype=np.int32), tuple(position))


def _compare(dataset: Dataset, ranges: TrainingRanges) -> Iterator[Finding]:
    """Yield what training has not met, feature by feature."""
    for column, name in enumerate(dataset.numeric):
        if name in ranges.numeric:
            yield from _compare_number(name, dataset.numbers[:, column].tolist(), ranges.numeric[name])
    for name in dataset.categorical:
        if name in ranges.categorical:
            yield from _compare_category(name, dataset.categories[name], ranges.categorical[name])


def _compare_number(name: str, values: Sequence[float], known: NumericRange) -> Iterator[Finding]:
    if not known.deciles:
        return
    low, high = known.deciles[0], known.deciles[-1]
    for number, value in enumerate(values):
        if math.isnan(value):
            if not known.has_missing:
                yield Finding(number, name, "no value, and training had one in every row", "a number")
        elif not low <= value <= high:
            yield Finding(number, name, "outside the range of training", f"{low:g} to {high:g}")


def _compare_category(name: str, column: CategoryColumn, known: CategoryRange) -> Iterator[Finding]:
    from mlops_assets.domain.learning.dataset import MISSING

    met = {*known.values, *([MISSING] if known.has_missing else [])}
    unmet = {code for code, value in enumerate(column.vocabulary) if value not in met}
    for number, code in enumerate(column.codes.tolist()):
        if code not in unmet:
            continue
        if column.vocabulary[code] == MISSING:
            yield Finding(number, name, "no value, and training had one in every row", "text")
        elif known.is_complete:
            yield Finding(number, name, "a category that training has not met", "a category of training")


def _kind(value: Any) -> str:
    kinds = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), type(value).__name__)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(name: str) -> str:
    """Return a name that a request gives, unless it could be somebody's number: answers end up in logs."""
    return (
        name if _PLAIN_NAME.fullmatch(name) else f"(not shown: {len(name)} characters that are no plain name)"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number; send null for a value that is not known")


def _refused(problem: str, expected: str, remedy: str = "") -> RequestRefusedError:
    return RequestRefusedError([Finding(-1, "", problem, expected, remedy)])
