"""Preprocessing learns from training rows only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlops_assets.domain.learning.algorithms.preprocessing import Preprocessing, fit_preprocessing
from mlops_assets.domain.learning.dataset import MISSING, Dataset
from tests.unit.domain.learning.samples import make_categories, make_dataset

NAN = np.nan


def _data(numbers: list[list[float]], plans: list[str]) -> Dataset:
    columns = np.asfortranarray(numbers, dtype=np.float32)
    rows = len(plans)
    return Dataset(
        features=("mb", "plan", "void")[: columns.shape[1] + 1],
        numbers=columns,
        categories={"plan": make_categories(plans)},
        y=np.zeros(rows),
        keys=np.arange(rows),
    )


TRAIN = _data([[1, NAN], [3, NAN], [NAN, NAN], [8, NAN]], ["b", "a", "a", MISSING])


def test_one_hot_with_imputation_and_indicator() -> None:
    fitted = fit_preprocessing(TRAIN, "one_hot", imputes=True, standardises=False, max_values=2)
    assert fitted.column_features == ("plan", "plan", "mb", "void", "mb")
    scored = fitted.transform(_data([[NAN, 5], [2, NAN]], ["b", "a"]))
    # "a" is most frequent; of the two others the alphabet decides; "void" was never known, so it is ignored.
    np.testing.assert_array_equal(scored, [[0, 0, 3, 0, 1], [1, 0, 2, 0, 0]])


def test_ordinal_codes_by_frequency_and_marks_unseen() -> None:
    imputing = fit_preprocessing(TRAIN, "ordinal", imputes=True, standardises=False, max_values=9)
    assert imputing.transform(_data([[1, 1]] * 3, ["a", "z", "b"]))[:, 0].tolist() == [0, -1, 2]
    leaving = fit_preprocessing(TRAIN, "ordinal", imputes=False, standardises=False, max_values=9)
    scored = leaving.transform(_data([[NAN, 1]] * 2, ["z", MISSING]))
    np.testing.assert_array_equal(scored, [[NAN, NAN, 0], [1, NAN, 0]])


def test_standardised_training_columns_have_mean_0_and_deviation_1() -> None:
    data = make_dataset(300)
    matrix = fit_preprocessing(data, "one_hot", imputes=True, standardises=True, max_values=9).transform(data)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(matrix.std(axis=0), 1, atol=1e-5)


def test_scoring_rows_do_not_move_what_was_fitted() -> None:
    data = make_dataset(300)
    fitted = fit_preprocessing(data, "one_hot", imputes=True, standardises=True, max_values=9)
    shifted = replace(data, numbers=data.numbers + 100)
    row = fitted.transform(shifted)[0]
    np.testing.assert_array_equal(fitted.transform(shifted.take(np.array([0])))[0], row)


def test_stored_as_json() -> None:
    fitted = fit_preprocessing(TRAIN, "one_hot", imputes=True, standardises=True, max_values=9)
    assert Preprocessing.from_json(fitted.to_json()) == fitted
