"""Construction of datasets from Arrow."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.learning.dataset import MISSING, LabelColumn, dataset_from_arrow


def _table() -> pa.Table:
    return pa.table(
        {
            "id": ["a", "b", "c"],
            "day": pa.array([dt.date(2026, 1, 1)] * 3),
            "mb": pa.array([1, None, 3], pa.int64()),
            "rate": pa.array([0.5, float("inf"), float("nan")]),
            "money": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal(2)], pa.decimal128(10, 2)),
            "plan": ["x", None, "y"],
            "flag": [True, False, None],
            "churned": ["Yes", "No", "No"],
            "when": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3),
            "empty": pa.nulls(3),
        }
    )


def test_types_decide_between_numbers_and_categories() -> None:
    data = dataset_from_arrow(
        _table(), ["plan", "mb", "rate", "flag", "money"], key_column="id", as_of_column="day"
    )
    assert data.numeric == ("mb", "rate", "money")
    assert data.categorical == ("plan", "flag")
    assert data.numbers.dtype == np.float32
    assert data.numbers.flags.f_contiguous
    np.testing.assert_array_equal(
        data.numbers, np.array([[1, 0.5, 1.25], [np.nan, np.nan, np.nan], [3, np.nan, 2]], dtype=np.float32)
    )
    assert data.categories["plan"].values().tolist() == ["x", MISSING, "y"]
    assert data.categories["flag"].values().tolist() == ["true", "false", MISSING]
    assert data.keys.tolist() == ["a", "b", "c"]
    assert data.as_of is not None
    assert str(data.as_of[0]) == "2026-01-01"
    assert np.isnan(data.y).all()


def test_chunks_are_joined_in_order() -> None:
    parts = pa.concat_tables([_table(), _table()])
    data = dataset_from_arrow(parts, ["mb", "plan"], segment_columns=["plan"])
    assert data.numbers[:, 0].tolist()[3] == 1.0
    assert data.segment_values["plan"].tolist() == ["x", MISSING, "y"] * 2


def test_take_and_select_keep_rows_and_columns_together() -> None:
    data = dataset_from_arrow(_table(), ["plan", "mb", "rate"], key_column="id", segment_columns=["plan"])
    part = data.take(np.array([True, False, True])).select(["rate", "mb", "plan"])
    assert part.features == ("rate", "mb", "plan")
    assert part.numbers[:, 1].tolist() == [1.0, 3.0]
    assert part.categories["plan"].values().tolist() == ["x", "y"]
    assert part.keys.tolist() == ["a", "c"]
    assert data.take(np.array([2, 0])).keys.tolist() == ["c", "a"]
    with pytest.raises(CorpusError, match="nothing"):
        data.select(["nothing"])


def test_multiclass_label_is_indexed_in_class_order() -> None:
    data = dataset_from_arrow(_table(), ["mb"], LabelColumn("churned", "multiclass"))
    assert data.classes == ("No", "Yes")
    assert data.y.tolist() == [1.0, 0.0, 0.0]


def test_forced_kinds_follow_a_models_signature() -> None:
    data = dataset_from_arrow(_table(), ["mb", "empty"], categorical=["mb", "empty"])
    assert data.categories["mb"].values().tolist() == ["1", MISSING, "3"]
    assert data.categories["empty"].values().tolist() == [MISSING] * 3
    with pytest.raises(CorpusError, match="'plan' has type string"):
        dataset_from_arrow(_table(), ["plan"], categorical=[])


def test_no_rows() -> None:
    data = dataset_from_arrow(_table().slice(0, 0), ["mb", "plan"], key_column="id")
    assert data.rows == 0
    assert data.numbers.shape == (0, 1)


@pytest.mark.parametrize(
    ("features", "label", "message"),
    [
        (["mbb"], None, "did you mean 'mb'"),
        (["when"], None, "derive a number"),
        (["mb"], LabelColumn("flag", "binary"), "1 rows have no label"),
        (["mb"], LabelColumn("churned", "binary"), "label has type string"),
        (["mb"], LabelColumn("churned", "regression"), "label has type string"),
        (["mb"], LabelColumn("churned", "multiclass", classes=("No",)), r"unknown classes \['Yes'\]"),
        (["mb"], LabelColumn("rate", "regression"), "2 labels are unusable"),
    ],
)
def test_refusals_name_the_column(features: list[str], label: LabelColumn | None, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        dataset_from_arrow(_table(), features, label)
