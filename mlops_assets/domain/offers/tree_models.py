"""Small boosted trees, or a constant where there is nothing to learn from, with one interface for both.

Belongs here: fitting CatBoost on plain matrices and predicting. Does not belong here: what is predicted, or files
(tree_bundle.py). The plug-in models of use cases are elsewhere (domain.learning.algorithms): these have no signature
of features, they belong to the policy or simulator that holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.domain.errors import LearningError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Rows = Any  # float32 [rows x columns], or catboost.Pool of the same
_THIRDS, _LEAST_CHANCE, _BORDERS = 3, 1e-9, 64
_BESIDE_BASELINE = {"model_shrink_rate": 0.0}  # the library cannot shrink beside a baseline

Kind = Literal["chance", "mean", "means", "classes"]
_LOSSES: dict[Kind, str] = {
    "chance": "Logloss",
    "mean": "RMSE",
    "means": "MultiRMSE",
    "classes": "MultiClass",
}


@dataclass(frozen=True)
class TreeSettings:
    """Size of a model; CatBoost's names.

    `monotone` has a sign a column: 1 never falls, -1 never rises, 0 free; empty for all free.
    """

    iterations: int = 60
    depth: int = 4
    learning_rate: float = 0.15
    l2_leaf_reg: float = 3.0
    monotone: tuple[int, ...] = ()
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, eq=False)
class TreeModel:
    """A fitted model.

    Attributes:
        kind: chance (probability), mean, means (of several targets) or classes (probabilities).
        constant: float64 [outputs], the answer for everybody where there is no booster.
        booster: CatBoost's model, or None.
        scale: float64 [outputs], the booster's answers are multiplied by it and `shift` is added.
        shift: float64 [outputs].
    """

    kind: Kind
    constant: Floats
    booster: Any = None
    scale: Floats = field(default_factory=lambda: np.ones(1))
    shift: Floats = field(default_factory=lambda: np.zeros(1))

    def predict(self, design: Rows, threads: int = 1) -> Floats:
        """Return float64 [rows] for a chance or mean, else [rows x outputs].

        Args:
            design: float32 [rows x columns], or the same as `hold_rows` holds it.
            threads: at most so many.
        """
        rows, is_single = count_rows(design), self.kind in ("chance", "mean")
        if self.booster is None or rows == 0:
            found = np.tile(self.constant, (rows, 1))
            return found[:, 0] if is_single else found
        asked = "Probability" if self.kind == "classes" else "RawFormulaVal"
        raw = np.asarray(
            self.booster.predict(design, prediction_type=asked, thread_count=threads), dtype=np.float64
        )
        found = raw * self.scale + self.shift
        return 1 / (1 + np.exp(-found)) if self.kind == "chance" else found


def hold_rows(design: NDArray[Any]) -> Rows:
    """Return a design, float32 [rows x columns], as CatBoost reads it.

    For one that several models are asked about: reading it costs more than answering.
    """
    import catboost

    return catboost.Pool(design, thread_count=1) if len(design) else design


def count_rows(design: Rows) -> int:
    """Return the number of rows of a design, held or not."""
    return len(design) if isinstance(design, np.ndarray) else int(design.num_row())


def constant_model(kind: Kind, values: Sequence[float] | Floats) -> TreeModel:
    """Return a model that answers the same for everybody."""
    return TreeModel(kind, np.asarray(values, dtype=np.float64))


def shift_odds(chances: Floats, log_odds: Floats | float) -> Floats:
    """Return probabilities whose log-odds are moved by so much; 0 and 1 stay."""
    factor = np.exp(log_odds)
    return np.asarray(chances * factor / (1 - chances + chances * factor))


def fit_chance(
    design: NDArray[Any], hits: NDArray[Any], settings: TreeSettings, offset: NDArray[Any] | None = None
) -> TreeModel:
    """Learn P(hit). A constant where all or none are hits.

    Args:
        design: float32 [rows x columns].
        hits: bool [rows].
        settings: size.
        offset: float64 [rows], log-odds that are known already; predictions are those of a person with offset 0.
    """
    share = float(hits.mean()) if len(hits) else 0.0
    if share in (0.0, 1.0):
        return constant_model("chance", [share])
    known = np.zeros(len(hits)) if offset is None else offset
    start = find_intercept(share, known)
    booster = _fit("chance", design, hits.astype(np.float64), settings, baseline=start + known)
    return TreeModel("chance", np.array([share]), booster, shift=np.array([start]))


def fit_calibrated_chance(
    design: NDArray[Any], hits: NDArray[Any], settings: TreeSettings, offset: NDArray[Any] | None = None
) -> TreeModel:
    """Learn P(hit) so that its mean is right for people who were not learned from; arguments as of `fit_chance`.

    Trees that fit few hits closely give everybody else too small a chance. What is predicted for held-out thirds says
    by how much, and the log-odds are shifted by that.
    """
    model, known = fit_chance(design, hits, settings, offset), np.zeros(len(hits))
    if model.booster is None:
        return model
    known = known if offset is None else offset
    third = np.random.default_rng(settings.seed).permutation(len(hits)) % _THIRDS
    log_odds = np.zeros(len(hits))
    for number in range(_THIRDS):
        held = third == number
        without = fit_chance(design[~held], hits[~held], settings, known[~held])
        chances = np.clip(without.predict(design[held]), _LEAST_CHANCE, 1 - _LEAST_CHANCE)
        log_odds[held] = np.log(chances / (1 - chances))
    return replace(model, shift=model.shift + find_intercept(float(hits.mean()), log_odds + known))


def find_intercept(share: float, offset: NDArray[Any]) -> float:
    """Return the log-odds which, added to an offset float64 [rows], give the wanted mean chance.

    Trees begin there: small ones hardly move a mean that is wrong from the start.

    Args:
        share: mean chance wanted, between 0 and 1.
        offset: log-odds that are known already.
    """
    low = float(np.log(share / (1 - share)) - offset.max())
    high = float(np.log(share / (1 - share)) - offset.min())
    for _ in range(60):  # halves the interval; the mean rises with the intercept
        middle = (low + high) / 2
        is_low = float((1 / (1 + np.exp(-(middle + offset)))).mean()) < share
        low, high = (middle, high) if is_low else (low, middle)
    return (low + high) / 2


def fit_mean(design: NDArray[Any], target: NDArray[Any], settings: TreeSettings) -> TreeModel:
    """Learn the mean of a target, float64 [rows]. A constant where it does not vary."""
    return LearnedRows(design).fit_mean(target, settings)


class LearnedRows:
    """Rows from which the means of several targets are learned, one model each; CatBoost's borders are found once.

    Finding them takes as long as a small model. A pool of CatBoost keeps its labels, so these are the same for all
    targets, and the baseline is what is missing from them to the target. Not for two threads at once.

    Args:
        design: float32 [rows x columns].
    """

    def __init__(self, design: NDArray[Any]) -> None:
        self._design = design
        self._labels = np.arange(len(design)) % 2.0  # CatBoost refuses labels that are all alike

    @cached_property
    def _pool(self) -> Any:
        import catboost

        try:
            pool = catboost.Pool(self._design, self._labels, thread_count=1)
            pool.quantize(border_count=_BORDERS, task_type="CPU")
        except catboost.CatBoostError as error:
            raise _refusal(error, len(self._design)) from error
        return pool

    def fit_mean(self, target: NDArray[Any], settings: TreeSettings) -> TreeModel:
        """Learn the mean of a target, float64 [rows]. A constant where it does not vary.

        Raises:
            LearningError: the target has unknown values, or CatBoost refuses the rows.
        """
        if len(target) == 0 or np.ptp(target) == 0:
            return constant_model("mean", [float(target[0]) if len(target) else 0.0])
        _require_known(target)
        shift, scale = float(target.mean()), float(target.std())
        self._pool.set_baseline((self._labels - ((target - shift) / scale).astype(np.float32))[:, None])
        booster = _train(self._pool, {**_ask("mean", settings), **_BESIDE_BASELINE})
        return TreeModel("mean", np.array([shift]), booster, np.array([scale]), np.array([shift]))


def fit_means(design: NDArray[Any], targets: NDArray[Any], settings: TreeSettings) -> TreeModel:
    """Learn the means of several targets, float64 [rows x targets], in one model."""
    shift, varies = targets.mean(axis=0), np.ptp(targets, axis=0) > 0
    if not varies.any():
        return constant_model("means", shift)
    scale = np.where(varies, targets.std(axis=0), 0.0)
    # CatBoost refuses a target without variation: another one stands in for it, with scale 0.
    asked = (targets[:, varies] - shift[varies]) / scale[varies]
    position = np.where(varies, np.cumsum(varies) - 1, 0)
    booster = _fit("means", design, asked[:, position], settings)
    return TreeModel("means", shift, booster, scale, shift)


def fit_classes(
    design: NDArray[Any], labels: NDArray[Any], classes: int, settings: TreeSettings
) -> TreeModel:
    """Learn probabilities of classes, int64 [rows] from 0; constants where fewer than two occur."""
    shares = np.bincount(labels, minlength=classes) / max(len(labels), 1)
    if (shares > 0).sum() < 2:
        return constant_model("classes", shares if len(labels) else np.full(classes, 1.0 / classes))
    return TreeModel("classes", shares, _fit("classes", design, labels, settings, classes=classes))


def _fit(
    kind: Kind,
    design: NDArray[Any],
    target: NDArray[Any],
    settings: TreeSettings,
    baseline: NDArray[Any] | None = None,
    classes: int | None = None,
) -> Any:
    import catboost

    _require_known(target)
    asked = _ask(kind, settings)
    if baseline is not None:
        asked |= _BESIDE_BASELINE
    if kind == "classes":
        asked["classes_count"] = classes
    try:
        pool = catboost.Pool(design, target, baseline=baseline, thread_count=settings.threads)
    except catboost.CatBoostError as error:
        raise _refusal(error, len(design)) from error
    return _train(pool, asked)


def _require_known(target: NDArray[Any]) -> None:
    if np.isnan(target).any():
        raise LearningError("the target has unknown values", where=f"{int(np.isnan(target).sum())} values")


def _ask(kind: Kind, settings: TreeSettings) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "loss_function": _LOSSES[kind],
        "iterations": settings.iterations,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "l2_leaf_reg": settings.l2_leaf_reg,
        "random_seed": settings.seed,
        "thread_count": settings.threads,
        "border_count": _BORDERS,
        "boosting_type": "Plain",
        "bootstrap_type": "No",
        "random_strength": 0.0,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    if settings.monotone and any(settings.monotone):
        asked["monotone_constraints"] = list(settings.monotone)
    return asked


def _train(pool: Any, asked: Mapping[str, Any]) -> Any:
    import catboost

    booster = catboost.CatBoost(dict(asked))
    try:
        booster.fit(pool)
    except catboost.CatBoostError as error:
        raise _refusal(error, pool.num_row()) from error
    return booster


def _refusal(error: Exception, rows: int) -> LearningError:
    return LearningError(f"CatBoost refuses the data: {error}", where=f"{rows} rows")
