"""The gate fails closed; faults of well-known systems stay fixed."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.evidence import gather_evidence, union_features
from mlops_assets.domain.learning.exposure import Exposure, exposure_to_keys
from mlops_assets.domain.learning.gate import (
    GateDecision,
    GateEvidence,
    ModelFigures,
    SegmentFigures,
    decide,
    hash_figures,
)
from mlops_assets.domain.learning.spec import GateSpec, ModelSpec
from tests.unit.domain.learning.samples import HOLDOUT_DAY, ScriptedModel, make_holdout, make_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 1200
RANDOM = np.random.default_rng(3)
Y = (RANDOM.random(ROWS) < 0.2).astype(np.float64)
GOOD = np.clip(0.2 + 0.3 * (Y - 0.2) + RANDOM.normal(0, 0.12, ROWS), 0.001, 0.999)
FAIR = np.clip(0.2 + 0.3 * (Y - 0.2) + RANDOM.normal(0, 0.3, ROWS), 0.001, 0.999)
BLIND = RANDOM.random(ROWS)
LATER = Exposure(trained_through_day=HOLDOUT_DAY + dt.timedelta(days=1))


def _spec(**gate: object) -> ModelSpec:
    return make_spec(features=["row"], gate=gate)


def _judge(
    ours: NDArray[np.float64] | ScriptedModel,
    theirs: NDArray[np.float64] | ScriptedModel | None,
    spec: ModelSpec | None = None,
) -> tuple[GateEvidence, GateDecision]:
    spec = spec or _spec()
    models = [ScriptedModel(model) if isinstance(model, np.ndarray) else model for model in (ours, theirs)]
    evidence = gather_evidence(models[0], models[1], make_holdout(Y), spec)  # type: ignore[arg-type]
    return evidence, decide(evidence, spec.gate)


def _failed(decision: GateDecision) -> set[str]:
    return {check.name for check in decision.checks if not check.is_passed}


class TestDecisions:
    def test_a_better_challenger_is_promoted_with_its_figures(self) -> None:
        evidence, decision = _judge(GOOD, FAIR)
        assert decision.outcome == "promoted"
        assert evidence.gain is not None
        assert evidence.gain_low is not None
        assert 0 < evidence.gain_low < evidence.gain
        assert "over the champion" in decision.reasons[0]

    def test_a_worse_challenger_is_rejected_with_the_reason(self) -> None:
        _, decision = _judge(FAIR, GOOD)
        assert decision.outcome == "rejected"
        assert _failed(decision) == {"gain", "gain_lower_bound"}
        assert "gain in roc_auc over the champion" in decision.reasons[0]

    @pytest.mark.parametrize("scores", [GOOD, FAIR])
    def test_the_same_predictions_do_not_take_turns(self, scores: NDArray[np.float64]) -> None:
        evidence, decision = _judge(scores, scores.copy())
        assert evidence.gain == 0
        assert _failed(decision) == {"gain"}
        assert decision.reasons == ("gain in roc_auc over the champion: 0, above 0 needed",)

    def test_the_smallest_gain_is_one(self) -> None:
        gained = replace(_evidence(), gain=1e-9)
        assert decide(gained, GATE.model_copy(update={"min_gain": 0.0})).outcome == "promoted"

    def test_the_margin_is_required(self) -> None:
        assert _failed(_judge(GOOD, FAIR, _spec(min_gain=0.4))[1]) == {"gain"}

    def test_an_uncertain_gain_is_rejected(self) -> None:
        other = np.clip(0.2 + 0.3 * (Y - 0.2) + np.random.default_rng(8).normal(0, 0.28, ROWS), 0.001, 0.999)
        evidence, decision = _judge(other, FAIR, _spec(max_regret=0.0))
        assert evidence.gain is not None
        assert evidence.gain > 0
        assert _failed(decision) == {"gain_lower_bound"}
        assert _judge(other, FAIR, _spec(max_regret=0.1))[1].outcome == "promoted"

    def test_metrics_where_less_is_better(self) -> None:
        spec = make_spec(features=["row"], metric="log_loss")
        evidence, decision = _judge(GOOD, FAIR, spec)
        assert decision.outcome == "promoted"
        assert evidence.gain is not None
        assert evidence.gain > 0
        assert _judge(FAIR, GOOD, spec)[1].outcome == "rejected"

    def test_floor_in_both_directions(self) -> None:
        assert _failed(_judge(GOOD, None, _spec(floor=0.999))[1]) == {"floor"}
        loss = make_spec(features=["row"], metric="log_loss", gate={"floor": 0.01})
        assert _failed(_judge(GOOD, None, loss)[1]) == {"floor"}

    def test_first_champion_must_beat_a_constant(self) -> None:
        evidence, decision = _judge(GOOD, None)
        assert decision.outcome == "promoted"
        assert not evidence.has_champion
        assert _failed(_judge(np.full(ROWS, 0.2), None)[1]) == {"beats_baseline"}
        assert "beats_baseline" in _failed(_judge(BLIND, None)[1])

    def test_a_segment_that_loses_is_named(self) -> None:
        holdout = make_holdout(Y, segments=np.where(np.arange(ROWS) < 900, "north", "south").tolist())
        ours = np.where(np.arange(ROWS) < 900, GOOD, BLIND)
        spec = _spec(segment_columns=["region"])
        evidence = gather_evidence(ScriptedModel(ours), ScriptedModel(FAIR), holdout, spec)
        assert "segment:region=south" in _failed(decide(evidence, spec.gate))
        assert [(s.value, s.rows) for s in evidence.segments] == [("north", 900), ("south", 300)]

    def test_segments_that_cannot_be_judged_are_listed(self) -> None:
        holdout = make_holdout(np.sort(Y), segments=["a"] * 300 + ["b"] * 800 + ["c"] * 100)
        spec = _spec(segment_columns=["region"])
        evidence = gather_evidence(ScriptedModel(GOOD), None, holdout, spec)
        assert evidence.segments_skipped == ("region=a (300 rows)", "region=c (100 rows)")

    def test_segment_column_that_is_absent(self) -> None:
        assert _failed(_judge(GOOD, FAIR, _spec(segment_columns=["region"]))[1]) == {"segment:region"}

    def test_calibration(self) -> None:
        limit = _spec(max_calibration_error=0.15)
        assert _judge(GOOD, FAIR, limit)[1].outcome == "promoted"
        assert _failed(_judge(GOOD**4, FAIR, limit)[1]) == {"calibration"}

    def test_latency(self) -> None:
        spec = _spec(max_latency_ms_per_1000_rows=5.0)
        ticks = iter([0.0, 0.6, 0.6, 0.7])
        evidence = gather_evidence(
            ScriptedModel(GOOD), ScriptedModel(FAIR), make_holdout(Y), spec, clock=ticks.__next__
        )
        assert evidence.challenger is not None
        assert evidence.challenger.latency_ms_per_1000_rows == pytest.approx(500)
        assert _failed(decide(evidence, spec.gate)) == {"latency"}

    def test_number_tasks(self) -> None:
        spec = make_spec(features=["row"], task="regression", metric="rmse")
        y = RANDOM.normal(size=ROWS)
        signature = replace(ScriptedModel(y).signature, task="regression")
        near, far = (ScriptedModel(y + RANDOM.normal(0, s, ROWS), signature=signature) for s in (0.1, 0.5))
        perfect = ScriptedModel(y, signature=signature)
        for champion, outcome in ((far, "promoted"), (None, "promoted"), (perfect, "rejected")):
            evidence = gather_evidence(near, champion, make_holdout(y), spec)
            assert decide(evidence, spec.gate).outcome == outcome

    def test_stored_figures_have_the_hash_of_the_evidence(self) -> None:
        evidence = _judge(GOOD, FAIR)[0]
        stored = json.loads(json.dumps(evidence.to_dict()))
        assert hash_figures(stored) == evidence.evidence_sha256
        stored["gain"] += 0.001
        assert hash_figures(stored) != evidence.evidence_sha256


class TestFailsClosed:
    def test_empty_holdout(self) -> None:
        """Fault of a public system: an empty validation set raised no objection, so everything passed."""
        spec = _spec(min_holdout_rows=1, min_holdout_positives=0)
        evidence = gather_evidence(ScriptedModel(GOOD), ScriptedModel(FAIR), make_holdout([]), spec)
        decision = decide(evidence, spec.gate)
        assert decision.outcome == "rejected"
        assert decision.reasons[0] == "the holdout is empty"

    def test_cost_with_the_wrong_sign(self) -> None:
        """Fault of a public system: a model that costs more counted as an improvement."""
        business = {"contact_share": 0.2, "saved_margin_usd": 30, "contact_cost_usd": 1}
        spec = make_spec(features=["row"], metric="brier", business=business)
        # Well calibrated on average but blind at the top, where the money is spent.
        wasteful = np.where(FAIR > 0.5, 0.2, GOOD)
        holdout = make_holdout(Y)
        evidence = gather_evidence(ScriptedModel(wasteful), ScriptedModel(GOOD), holdout, spec)
        assert evidence.challenger is not None
        assert evidence.baseline is not None
        assert evidence.challenger.business is not None
        assert evidence.baseline.business is not None
        assert evidence.challenger.business < evidence.baseline.business
        assert evidence.business_gain is not None
        assert evidence.business_gain < 0
        assert "business" in _failed(decide(evidence, spec.gate))

    def test_stored_metrics_of_other_rows_play_no_part(self) -> None:
        """Fault of a public system: the champion's stored figure came from an easier test set."""

        class Boasting(ScriptedModel):
            metrics = {"roc_auc": 0.9999}
            stamps = {"roc_auc": 0.9999}

        assert _judge(GOOD, Boasting(FAIR))[1].outcome == "promoted"
        assert _judge(Boasting(FAIR), GOOD)[1].outcome == "rejected"

    def test_champion_that_has_seen_the_holdout(self) -> None:
        """Fault of a public system: the champion had been trained on the challenger's test rows."""
        evidence, decision = _judge(GOOD, ScriptedModel(FAIR, exposure=LATER))
        assert decision.outcome == "rejected"
        assert evidence.rows_seen_by_champion == ROWS
        assert "the champion has seen every holdout row" in decision.reasons

    def test_champion_that_has_seen_part_of_a_snapshot(self) -> None:
        few = exposure_to_keys([f"s{number}" for number in range(100)])
        none = exposure_to_keys(["x"])
        evidence, decision = _judge(ScriptedModel(GOOD, exposure=none), ScriptedModel(FAIR, exposure=few))
        assert (evidence.holdout_rows, evidence.rows_seen_by_champion) == (ROWS - 100, 100)
        assert decision.outcome == "promoted"
        most = exposure_to_keys([f"s{number}" for number in range(ROWS - 50)])
        _, decision = _judge(ScriptedModel(GOOD, exposure=none), ScriptedModel(FAIR, exposure=most))
        assert "after 1150 rows that the champion has seen were taken out" in decision.reasons[0]

    def test_challenger_that_has_seen_the_holdout(self) -> None:
        assert _failed(_judge(ScriptedModel(GOOD, exposure=LATER), FAIR)[1]) == {"unseen_by_challenger"}

    def test_exposures_that_cannot_be_compared(self) -> None:
        spec, undated = _spec(), replace(make_holdout(Y), as_of=None)
        evidence = gather_evidence(ScriptedModel(GOOD), ScriptedModel(FAIR), undated, spec)
        assert "cannot be told which rows" in decide(evidence, spec.gate).reasons[0]

    @pytest.mark.parametrize(
        "error", [LearningError("broken"), ValueError("shape"), MemoryError(), KeyError("x")]
    )
    def test_an_error_while_scoring(self, error: Exception) -> None:
        for ours, theirs in (
            (ScriptedModel(GOOD, error=error), FAIR),
            (GOOD, ScriptedModel(FAIR, error=error)),
        ):
            _, decision = _judge(ours, theirs)
            assert decision.outcome == "rejected"
            assert type(error).__name__ in decision.reasons[0]

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_predictions_that_are_not_finite(self, value: float) -> None:
        broken = GOOD.copy()
        broken[5] = value
        assert _judge(broken, FAIR)[1].outcome == "rejected"
        assert _judge(GOOD, broken)[1].outcome == "rejected"

    def test_missing_predictions(self) -> None:
        class Short(ScriptedModel):
            def predict(self, dataset: object, threads: int = 1) -> NDArray[np.float64]:  # noqa: ARG002
                return self.scores[:-1]

        assert "missing or not finite" in _judge(Short(GOOD), FAIR)[1].reasons[0]

    def test_labels_that_are_missing(self) -> None:
        spec, holdout = _spec(), make_holdout(np.where(np.arange(ROWS) == 3, np.nan, Y))
        evidence = gather_evidence(ScriptedModel(GOOD), None, holdout, spec)
        assert "has no label" in decide(evidence, spec.gate).reasons[0]

    def test_one_class_in_the_holdout(self) -> None:
        spec = _spec(min_holdout_positives=0)
        evidence = gather_evidence(
            ScriptedModel(GOOD), ScriptedModel(FAIR), make_holdout(np.zeros(ROWS)), spec
        )
        failed = _failed(decide(evidence, spec.gate))
        assert {"holdout_classes", "metric", "gain", "gain_lower_bound"} <= failed

    def test_too_few_rows_or_positives(self) -> None:
        spec = _spec(min_holdout_rows=5000, min_holdout_positives=5000)
        assert _failed(_judge(GOOD, FAIR, spec)[1]) == {"holdout_rows", "holdout_positives"}

    def test_another_task_or_other_classes(self) -> None:
        other = replace(ScriptedModel(GOOD).signature, task="regression")
        assert "predicts regression" in _judge(GOOD, ScriptedModel(FAIR, signature=other))[1].reasons[0]
        other = replace(other, task="binary", classes=("a", "b"))
        assert "knows the classes" in _judge(GOOD, ScriptedModel(FAIR, signature=other))[1].reasons[0]

    def test_champion_with_a_feature_that_the_holdout_lacks(self) -> None:
        more = ScriptedModel(FAIR, signature=replace(ScriptedModel(FAIR).signature, features=("row", "gone")))
        assert "['gone'] are absent" in _judge(GOOD, more)[1].reasons[0]
        assert union_features(ScriptedModel(GOOD), more) == ("row", "gone")
        assert union_features(more, None) == ("row", "gone")


class TestEvidence:
    def test_it_is_json_and_its_hash_is_stable(self) -> None:
        first, second = (_judge(GOOD, FAIR)[0] for _ in range(2))
        assert json.loads(json.dumps(first.to_dict(), allow_nan=False))["metric"] == "roc_auc"
        assert first.evidence_sha256 == second.evidence_sha256
        assert first.evidence_sha256 != _judge(GOOD, GOOD)[0].evidence_sha256
        assert (
            first.holdout_sha256
            != gather_evidence(ScriptedModel(GOOD), None, make_holdout(1 - Y), _spec()).holdout_sha256
        )

    def test_figures_that_are_not_finite_stay_json(self) -> None:
        broken = replace(_evidence(), gain=float("nan"), challenger=ModelFigures(float("inf")))
        assert broken.to_dict()["gain"] is None
        assert broken.evidence_sha256

    def test_repeated_entities_are_resampled_together(self) -> None:
        once = gather_evidence(ScriptedModel(GOOD), ScriptedModel(FAIR), make_holdout(Y), _spec())
        days = np.array(
            [HOLDOUT_DAY] * ROWS + [HOLDOUT_DAY + dt.timedelta(days=7)] * ROWS, dtype="datetime64[D]"
        )
        holdout = make_holdout(np.tile(Y, 2))
        twice = gather_evidence(
            ScriptedModel(np.tile(GOOD, 2)),
            ScriptedModel(np.tile(FAIR, 2)),
            replace(holdout, as_of=days, keys=np.tile(holdout.keys[:ROWS], 2)),
            _spec(),
        )
        assert (twice.holdout_first_day, twice.holdout_last_day) == ("2026-03-01", "2026-03-08")
        widths = [e.gain_high - e.gain_low for e in (once, twice)]  # type: ignore[operator]
        assert widths[1] == pytest.approx(widths[0], rel=0.25)

    def test_twenty_thousand_rows_take_at_most_two_cpu_seconds(self) -> None:
        y = np.tile(Y, 17)[:20_000]
        business = {"saved_margin_usd": 30, "contact_cost_usd": 1}
        spec = make_spec(features=["row"], business=business, gate={"bootstrap_rounds": 200})
        models = [ScriptedModel(np.tile(scores, 17) + 1e-7 * np.arange(ROWS * 17)) for scores in (GOOD, FAIR)]
        start = time.process_time()
        gather_evidence(models[0], models[1], make_holdout(y), spec)
        assert time.process_time() - start < 2


def _evidence() -> GateEvidence:
    return GateEvidence(
        task="binary",
        metric="roc_auc",
        is_higher_better=True,
        has_business=True,
        challenger_sha256="a",
        champion_sha256="b",
        holdout_sha256="c",
        holdout_rows=5000,
        holdout_positives=400,
        holdout_classes=2,
        challenger=ModelFigures(0.8, 0.01, 90.0, 2.0),
        baseline=ModelFigures(0.78, 0.01, 80.0, 2.0),
        gain=0.02,
        gain_low=0.01,
        gain_high=0.03,
        business_gain=10.0,
        segments=(SegmentFigures("region", "north", 900, 0.01),),
    )


GATE = GateSpec(
    min_gain=0.005,
    floor=0.7,
    max_calibration_error=0.05,
    max_latency_ms_per_1000_rows=10,
    segment_columns=["region"],
)
NOT_FINITE = [float("nan"), float("inf"), -float("inf")]
gains = st.floats(-0.1, 0.1)
worsening = st.floats(0, 0.1)


@st.composite
def _drawn_evidence(draw: st.DrawFn) -> GateEvidence:
    gain = draw(gains)
    return replace(
        _evidence(),
        champion_sha256=draw(st.sampled_from(["b", None])),
        holdout_rows=draw(st.sampled_from([100, 200, 5000])),
        holdout_positives=draw(st.sampled_from([10, 20, 400])),
        rows_seen_by_challenger=draw(st.sampled_from([0, 0, 0, 5])),
        challenger=ModelFigures(0.7 + gain, draw(st.floats(0, 0.1)), 90.0, draw(st.floats(1, 20))),
        gain=gain,
        gain_low=gain - draw(worsening),
        business_gain=draw(st.floats(-5, 5)),
        segments=(SegmentFigures("region", "north", 900, draw(gains)),),
    )


@given(_drawn_evidence(), worsening, worsening, worsening)
def test_worse_evidence_is_never_promoted_where_better_was_rejected(
    better: GateEvidence, less_gain: float, less_in_segment: float, less_calibrated: float
) -> None:
    assert better.challenger is not None
    assert better.gain is not None
    assert better.gain_low is not None
    assert better.business_gain is not None
    worse = replace(
        better,
        challenger=ModelFigures(
            better.challenger.metric - less_gain,
            (better.challenger.calibration_error or 0) + less_calibrated,
            better.challenger.business,
            (better.challenger.latency_ms_per_1000_rows or 0) + less_calibrated,
        ),
        gain=better.gain - less_gain,
        gain_low=better.gain_low - less_gain,
        business_gain=better.business_gain - less_gain,
        segments=(replace(better.segments[0], gain=better.segments[0].gain - less_in_segment),),
    )
    if decide(better, GATE).outcome == "rejected":
        assert decide(worse, GATE).outcome == "rejected"


NEEDED = ("gain", "gain_low", "business_gain", "challenger", "holdout_positives", "holdout_classes")


def test_the_unspoilt_evidence_is_promoted() -> None:
    assert decide(_evidence(), GATE).outcome == "promoted"
    assert decide(replace(_evidence(), champion_sha256=None), GATE).outcome == "promoted"


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("champion", ["b", None])
def test_a_missing_figure_never_promotes(name: str, champion: str | None) -> None:
    assert decide(replace(_evidence(), champion_sha256=champion, **{name: None}), GATE).outcome == "rejected"


@pytest.mark.parametrize("name", ["gain", "gain_low", "business_gain"])
@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("has_champion", [True, False])
def test_a_figure_that_is_not_finite_never_promotes(name: str, value: float, has_champion: bool) -> None:
    spoilt = replace(_evidence(), champion_sha256="b" if has_champion else None, **{name: value})
    assert decide(spoilt, GATE).outcome == "rejected"


@pytest.mark.parametrize("name", ["metric", "calibration_error", "latency_ms_per_1000_rows"])
@pytest.mark.parametrize("value", [*NOT_FINITE, None])
def test_a_figure_of_the_challenger_that_is_not_finite_never_promotes(name: str, value: float | None) -> None:
    figures = replace(ModelFigures(0.8, 0.01, 90.0, 2.0), **{name: value})
    assert decide(replace(_evidence(), challenger=figures), GATE).outcome == "rejected"


def test_a_segment_figure_that_is_not_finite_never_promotes() -> None:
    spoilt = replace(_evidence(), segments=(SegmentFigures("region", "north", 900, float("nan")),))
    assert decide(spoilt, GATE).outcome == "rejected"


def test_any_problem_means_rejection() -> None:
    decision = decide(replace(_evidence(), problems=("disk on fire",)), GATE)
    assert decision.outcome == "rejected"
    assert decision.reasons == ("disk on fire",)


def test_checks_are_json_whatever_went_wrong() -> None:
    spoilt = replace(
        _evidence(), gain=float("nan"), gain_low=float("inf"), challenger=ModelFigures(float("nan"))
    )
    values = [check.value for check in decide(spoilt, GATE).checks]
    assert json.loads(json.dumps(values, allow_nan=False)) == values
