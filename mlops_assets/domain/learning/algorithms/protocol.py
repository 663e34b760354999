"""What an algorithm plug-in and its fitted model promise.

Belongs here: the two protocols, the signature of a model, the declaration and validation of hyperparameters.
Does not belong here: any import of numpy or a learning library at module level, since configuration is
validated against this file while the code location loads.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.domain.errors import ConfigError, LearningError, NotFittedError, PlatformError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.spec import SearchDimension, Task

# What a library may raise on data it cannot digest. Anything else is a defect of ours and must surface.
FIT_ERRORS: tuple[type[Exception], ...] = (
    PlatformError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Hyperparameter:
    """One setting of an algorithm: its default and what is accepted.

    Attributes:
        default: value used when the configuration names none; None leaves the choice to the library.
        low: smallest accepted number.
        high: largest accepted number.
        is_integer: only whole numbers are accepted.
        tasks: tasks that the setting applies to; empty means all.
    """

    default: Any
    low: float | None = None
    high: float | None = None
    is_integer: bool = False
    tasks: frozenset[Task] = frozenset()

    def require(self, name: str, value: Any, where: str) -> None:
        """Raise ConfigError unless the value may be used; `name` is the setting's, `where` whose it is."""
        if not self._accepts(value):
            raise ConfigError(
                f"{name}: {value!r} is not accepted",
                where=where,
                expected=f"{'a whole number' if self.is_integer else 'a number'} from {self.low} to {self.high}",
                remedy=f"the default is {self.default!r}",
            )

    def _accepts(self, value: Any) -> bool:
        if value is None:
            return self.default is None
        if isinstance(value, bool) or not isinstance(value, int if self.is_integer else (int, float)):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Signature:
    """What a model was fitted on and therefore asks for.

    Attributes:
        task: binary, multiclass, regression or quantile.
        features: feature names in order.
        categorical: those of them that are text.
        classes: class names by index (multiclass).
        quantile: the level predicted (quantile).
    """

    task: Task
    features: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[str, ...] = ()
    quantile: float | None = None

    def check(self, dataset: Dataset) -> None:
        """Raise LearningError unless the dataset has exactly these features, in order and kind."""
        absent = [name for name in self.features if name not in dataset.features]
        surplus = [name for name in dataset.features if name not in self.features]
        if absent or surplus or dataset.features != self.features:
            raise LearningError(
                f"features differ from the model's: absent {absent}, surplus {surplus}",
                where=f"dataset with {list(dataset.features)}",
                expected=f"exactly {list(self.features)}, in this order",
                remedy="build the dataset from the model's `features`",
            )
        if dataset.categorical != self.categorical:
            raise LearningError(
                f"categorical features are {list(dataset.categorical)}",
                expected=f"{list(self.categorical)}, as when the model was fitted",
                remedy="build the dataset with `categorical=` the model's `categorical`",
            )


@dataclass(frozen=True)
class FitRequest:
    """How to fit.

    Attributes:
        task: binary, multiclass, regression or quantile.
        hyperparameters: settings that differ from the algorithm's defaults.
        seed: of every random choice; the same seed and rows give the same model.
        threads: most threads the library may use.
        quantile: level, for task quantile only.
    """

    task: Task
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    quantile: float | None = None


class FittedModel(Protocol):
    """A model that can predict, explain itself and be stored without pickle."""

    @property
    def signature(self) -> Signature:
        """What the model was fitted on."""
        ...

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:
        """Predict: binary P(1) [rows], multiclass [rows x classes], else value [rows].

        Raises:
            LearningError: the dataset's features are not the signature's.
        """
        ...

    def feature_importances(self) -> dict[str, float]:
        """Return a non-negative weight per feature; they sum to 1, or are all 0 for a model without any."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model's native files into an existing folder."""
        ...


class Algorithm(Protocol):
    """A plug-in: how to fit a kind of model and how to load one back.

    Attributes:
        name: key in ALGORITHMS and in configuration.
        version: raised when the same data would give another model; part of the asset's code version.
        complexity: rank for ties, simple first (dummy 0 ... catboost 4).
        tasks: what it can fit.
        hyperparameters: everything it accepts.
    """

    name: str
    version: str
    complexity: int
    tasks: frozenset[Task]
    hyperparameters: Mapping[str, Hyperparameter]

    def default_hyperparameters(self, task: Task) -> dict[str, Any]:
        """Return the settings that apply to the task, with their defaults."""
        return {
            name: setting.default
            for name, setting in self.hyperparameters.items()
            if not setting.tasks or task in setting.tasks
        }

    def validate_hyperparameters(self, values: Mapping[str, Any], task: Task) -> None:
        """Raise ConfigError for an unknown name, a value out of range, or one without use for the task."""
        for name, value in values.items():
            setting = self.hyperparameters.get(name)
            if setting is None:
                raise unknown_name(
                    f"hyperparameter {name!r}", f"algorithm {self.name!r}", name, self.hyperparameters
                )
            setting.require(name, value, f"algorithm {self.name!r}")
            if setting.tasks and task not in setting.tasks:
                raise ConfigError(
                    f"{name} has no meaning for task {task}",
                    where=f"algorithm {self.name!r}",
                    expected=f"a task among {sorted(setting.tasks)}",
                    remedy="remove it",
                )

    def validate_search(self, search: Mapping[str, SearchDimension], task: Task) -> None:
        """Raise ConfigError unless every value that a search may draw is accepted."""
        for name, dimension in search.items():
            ends = (dimension.low, dimension.high)
            drawn = dimension.choices or [int(x) if dimension.integer else x for x in ends if x is not None]
            for value in drawn:
                self.validate_hyperparameters({name: value}, task)

    def complete_hyperparameters(self, values: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return validated settings over the task's defaults; ConfigError as when validating."""
        self.validate_hyperparameters(values, task)
        return self.default_hyperparameters(task) | dict(values)

    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> FittedModel:
        """Fit on train; validation, if given, only stops the growth of boosted models early.

        Raises:
            ConfigError: unusable hyperparameters.
            LearningError: the task is not supported or the rows cannot be learned from.
        """
        ...

    def load(self, files: Mapping[str, bytes], signature: Signature) -> FittedModel:
        """Rebuild a model from the verified content of the saved files; NotFittedError if one is absent."""
        ...


class ContinuableAlgorithm(Protocol):
    """An algorithm whose models can be continued on other rows."""

    def continue_fit(
        self, base: FittedModel, train: Dataset, validation: Dataset | None, request: FitRequest
    ) -> FittedModel:
        """Return a model of the base's trees and up to `iterations` more, fitted to what the base gets wrong.

        The base itself is left as it is.

        Raises:
            ConfigError: unusable hyperparameters.
            LearningError: the rows have other features or classes than the base, or cannot be learned from.
        """
        ...

    def count_trees(self, model: FittedModel) -> int:
        """Return how many trees a fitted model has."""
        ...


def find_algorithm(name: str, algorithms: Mapping[str, Algorithm]) -> Algorithm:
    """Return the plug-in of that name; ConfigError with the nearest name if there is none."""
    if name not in algorithms:
        raise unknown_name(f"algorithm {name!r}", "", name, algorithms)
    return algorithms[name]


def make_signature(algorithm: Algorithm, train: Dataset, request: FitRequest) -> Signature:
    """Return the signature of a model about to be fitted.

    Raises:
        LearningError: the algorithm does not support the task, or the rows hold nothing to learn.
    """
    task, quantile = request.task, request.quantile
    if task not in algorithm.tasks:
        raise LearningError(
            f"{algorithm.name} does not support task {task}",
            expected=f"a task among {sorted(algorithm.tasks)}",
            remedy="remove the algorithm from this model",
        )
    if train.rows == 0 or not train.features:
        raise LearningError("there is nothing to train on", expected="at least one row and one feature")
    if (quantile is None) == (task == "quantile"):
        raise LearningError(
            f"quantile is {quantile} for task {task}", expected="a level for task quantile only"
        )
    return Signature(task, train.features, train.categorical, train.classes, quantile)


def require_two_classes(train: Dataset, task: Task) -> None:
    """Raise LearningError if a classifier would see one class only."""
    if task in ("binary", "multiclass") and len(set(train.y.tolist())) < 2:
        raise LearningError(
            "all training rows have the same label",
            where=f"{train.rows} rows",
            expected="at least two classes",
            remedy="widen the training window, or check the label's definition",
        )


def find_stopping_rows(train: Dataset, validation: Dataset | None, task: Task) -> Dataset | None:
    """Return the validation rows whose loss is defined, for early stopping; None if there are none.

    A class that training has not met has no probability; the boosting libraries refuse such rows.
    """
    if validation is None or validation.rows == 0:
        return None
    if task in ("regression", "quantile"):
        return validation
    known = set(train.y.tolist())
    rows = [number for number, label in enumerate(validation.y.tolist()) if label in known]
    if len(rows) == validation.rows:
        return validation
    import numpy as np

    return validation.take(np.array(rows)) if rows else None


def require_file(files: Mapping[str, bytes], name: str) -> bytes:
    """Return the content of one of a model's files; NotFittedError if it was never saved."""
    if name not in files:
        raise NotFittedError(
            f"{name} is absent",
            where=f"files {sorted(files)}",
            expected="the files written by `save` of a fitted model",
            remedy="fit and save the model first",
        )
    return files[name]


def unknown_name(what: str, where: str, name: str, known: Collection[str]) -> ConfigError:
    """Return the error about a name that is none of the known ones, with the nearest of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return ConfigError(
        f"{what} is unknown",
        where=where,
        expected=f"one of {', '.join(sorted(known)) or '(none)'}",
        remedy=f"did you mean {close[0]!r}?" if close else "",
    )
