"""A fleet: who gets a model of their own, who shares the pooled one, and what a bad group does to the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.domain.errors import CorpusError, LearningError, RegistryError
from mlops_assets.domain.learning.algorithms import Signature
from mlops_assets.domain.learning.algorithms.dummy import DummyModel
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.exposure import Exposure, exposure_to_keys
from mlops_assets.domain.learning.fleet_blend import (
    GroupScorer,
    PooledVersion,
    blend_stamps,
    own_share,
    read_pooled,
)
from mlops_assets.domain.learning.fleet_groups import cut_groups
from mlops_assets.domain.learning.fleet_note import read_fleet
from mlops_assets.domain.learning.fleet_promotion import FleetRules
from mlops_assets.domain.learning.fleet_training import FleetTraining, train_fleet
from mlops_assets.domain.learning.leaderboard import Leaderboard
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.slots import group_segment, group_slot
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.learning.training import train_challenger
from mlops_assets.domain.ports import LedgerEntry, RegisteredVersion
from tests.unit.domain.learning.fleet_world import (
    DECIDED,
    SLOT,
    FleetWorld,
    by_cold,
    by_heat,
    make_request,
    make_rows,
    never,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    return FleetWorld(tmp_path)


def _outcomes(training: FleetTraining) -> dict[str, str]:
    return {decision.result.name: decision.outcome for decision in training.decisions}


def _different(name: str) -> pa.Table:
    """Return a small group that fails for the opposite reason."""
    return make_rows(name, by_cold, devices=30)


def _start(world: FleetWorld, *alike: str, more: Sequence[pa.Table] = ()) -> LedgerEntry:
    """Make a pooled champion of groups that are alike; then delta, which is different, and others come up."""
    world.publish(_alike(*alike))
    pooled = world.train_pooled()
    assert pooled.outcome == "promoted"
    world.publish([*_alike(*alike), _different("delta"), *more])
    return pooled


def _alike(*names: str) -> list[pa.Table]:
    return [make_rows(name, by_heat, seed=number) for number, name in enumerate(names)]


def test_only_the_group_that_differs_gets_a_model_of_its_own(world: FleetWorld) -> None:
    _start(world, "arda", "boreal", "cumbre")
    outcomes = _outcomes(world.train())
    assert outcomes["delta"] == "promoted"
    assert {outcomes[name] for name in ("arda", "boreal", "cumbre")} == {"not_better"}
    champion = world.ledger.champion(group_slot(SLOT, "delta"))
    assert champion is not None
    assert champion.version == "1"
    assert world.registry.aliases("network_event.failure.cl.delta") == {"champion": "1", "challenger": "1"}
    assert world.ledger.champion(group_slot(SLOT, "arda")) is None


def test_every_candidate_of_every_group_is_a_run_under_one_parent(world: FleetWorld) -> None:
    _start(world, "arda", "boreal")
    training = world.train(algorithms={"linear": {}, "random_forest": {"hyperparameters": {"trees": 5}}})
    children = [run for run in world.registry.runs.values() if run.parent_run_id == training.run_id]
    made = {(run.logged_tags["group"], run.logged_params["algorithm"]) for run in children}
    assert made == {
        (group, name)
        for group in ("arda", "boreal", "delta")
        for name in ("linear", "random_forest", "dummy")
    }
    with_files = [run for run in children if run.files]
    assert len(with_files) == 3, "rejected challengers are kept too"
    assert world.registry.runs[training.run_id].logged_metrics["groups"] == 3.0


@pytest.mark.parametrize(
    ("rows", "outcome", "detail"),
    [
        (make_rows("odd", by_heat, devices=1), "too_small", "3 training rows, 60 needed"),
        (make_rows("odd", never), "one_class", "all 360 training rows have the same label"),
        # The pooled model believes the stuck sensor; the group's own one cannot.
        (make_rows("odd", by_heat, changes={"heat": 1.0}), "promoted", ""),
        (
            make_rows("odd", by_heat, changes={"heat": None, "load": None, "age": None, "firmware": None}),
            "not_better",
            "",
        ),
    ],
    ids=["three rows", "one class", "constant sensor", "all values missing"],
)
def test_a_bad_group_has_its_outcome_and_harms_nobody(
    world: FleetWorld, rows: pa.Table, outcome: str, detail: str
) -> None:
    _start(world, "arda", "boreal", "cumbre", more=[rows])
    training = world.train()
    odd = next(decision for decision in training.decisions if decision.result.name == "odd")
    assert odd.outcome == outcome
    assert detail in odd.detail
    assert _outcomes(training)["delta"] == "promoted"


def test_a_group_whose_fits_fail_fails_alone(world: FleetWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.domain.learning import fleet_fit

    fit = fleet_fit.run_leaderboard

    def fail_for_boreal(
        spec: ModelSpec, train: Dataset, validation: Dataset, **settings: bool
    ) -> Leaderboard:
        if str(train.keys[0]).startswith("boreal"):
            raise LearningError("the library gave up")
        return fit(spec, train, validation, **settings)

    monkeypatch.setattr(fleet_fit, "run_leaderboard", fail_for_boreal)
    _start(world, "arda", "boreal")
    training = world.train()
    assert _outcomes(training) == {"arda": "not_better", "boreal": "failed", "delta": "promoted"}
    failed = next(decision for decision in training.decisions if decision.outcome == "failed")
    assert "the library gave up" in failed.detail
    assert failed.entry is None


@pytest.mark.parametrize("lost", [f"{SLOT.registered_name}.delta", SLOT.registered_name])
def test_a_group_whose_champion_is_lost_fails_alone(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Its own bundle, or that of the earlier pooled champion which it was judged with."""
    _start(world, "arda", "boreal")
    assert _outcomes(world.train())["delta"] == "promoted"
    world.ledger.entries.append(replace(world.train_pooled(), outcome="promoted", decision_id="newer"))
    download = world.registry.download
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})

    def download_others(version: RegisteredVersion, target: Path) -> Path:
        if (version.name, version.version) == (lost, "1"):
            raise RegistryError("its files are gone", where=version.name)
        return download(version, target)

    monkeypatch.setattr(world.registry, "download", download_others)
    training = world.train()
    (failed,) = (decision for decision in training.decisions if decision.outcome == "failed")
    assert failed.result.name == "delta"
    assert "its files are gone" in failed.detail or "meets pooled bundle none" in failed.detail
    assert len(training.decisions) == 3


def test_a_champion_of_more_features_is_compared_while_the_corpus_holds_them(world: FleetWorld) -> None:
    """The corpus of the run in which a feature is dropped still holds what the pooled champion needed."""
    _start(world, "arda", "boreal")
    assert _outcomes(world.train())["delta"] == "promoted"
    request = make_request()
    fewer = [name for name in request.model.features if name != "age"]
    request = replace(request, model=request.model.model_copy(update={"features": fewer}))
    stores = {"lake": world.lake, "registry": world.registry}
    challenger = train_challenger(request, stamps={}, **stores)
    entry = judge_challenger(challenger, request, ledger=world.ledger, decided_at_utc=DECIDED, **stores)
    world.ledger.entries[-1] = replace(entry, outcome="promoted")
    assert request.model.fleet is not None
    training = train_fleet(request, world.stores, FleetRules(request.model.fleet, DECIDED), stamps={})
    delta = next(one.result for one in training.decisions if one.result.name == "delta")
    assert delta.against_champion is not None
    assert delta.against_champion.problems == ()


def test_a_new_group_appears_by_itself(world: FleetWorld) -> None:
    _start(world, "arda", "boreal")
    assert set(_outcomes(world.train())) == {"arda", "boreal", "delta"}
    world.publish([*_alike("arda", "boreal"), _different("delta"), _different("echo")])
    assert _outcomes(world.train())["echo"] == "promoted"


def test_rows_without_a_group_belong_to_none(world: FleetWorld) -> None:
    world.publish([*_alike("arda", "boreal"), make_rows(None, by_heat)])
    world.train_pooled()
    assert set(_outcomes(world.train())) == {"arda", "boreal"}


def test_a_device_counts_for_the_group_of_the_day(world: FleetWorld) -> None:
    """Before and after a move, the same device is a row of two groups."""
    rows = make_rows("arda", by_heat)
    groups = ["boreal" if day.isoformat() > "2026-03-04" else "arda" for day in rows["as_of_day"].to_pylist()]
    moved = rows.set_column(rows.schema.get_field_index("device_group"), "device_group", pa.array(groups))
    world.publish([moved])
    request = make_request()
    parts = load_corpus(request.partition, world.lake, request.corpus, request.model)
    assert request.model.fleet is not None
    cut = {group.name: group for group in cut_groups(parts, request.model.fleet)}
    assert (cut["arda"].train.rows, cut["boreal"].train.rows) == (240, 120)
    assert set(cut["arda"].train.keys) == set(cut["boreal"].train.keys)


def test_a_column_of_single_entities_is_no_group_column(world: FleetWorld) -> None:
    world.publish(_alike("arda", "boreal", "cumbre"))
    with pytest.raises(CorpusError, match="device_group has 3 values"):
        world.train(most_groups=2)


def test_the_same_training_again_promotes_nobody_anew(world: FleetWorld) -> None:
    _start(world, "arda", "boreal")
    world.train()
    assert _outcomes(world.train())["delta"] == "kept", "a challenger that predicts the same is not promoted"
    history = world.ledger.history(group_slot(SLOT, "delta"))
    assert [entry.outcome for entry in history] == ["promoted", "rejected"]


def test_note_has_a_row_per_group_and_per_candidate(world: FleetWorld) -> None:
    pooled = _start(world, "arda", "boreal", more=[make_rows("tiny", by_heat, devices=1)])
    world.train()
    groups, entries, manifest = read_fleet(world.lake, SLOT)
    by_name = {row["group"]: row for row in groups.to_pylist()}
    assert set(by_name) == {"arda", "boreal", "delta", "tiny"}
    delta = by_name["delta"]
    assert delta["gain"] == pytest.approx(delta["pooled_metric"] - delta["metric"])
    assert delta["is_proven"]
    assert delta["p_value"] < 0.001
    assert by_name["tiny"]["gain"] is None
    assert sorted(set(entries["group"].to_pylist())) == ["arda", "boreal", "delta"]
    assert manifest.facts["pooled_version"] == pooled.version
    assert manifest.facts["outcomes"] == {"not_better": 2, "promoted": 1, "too_small": 1}


def test_a_group_is_predicted_by_both_models_in_the_noted_share(world: FleetWorld) -> None:
    _start(world, "arda", "boreal")
    world.train()
    slot = group_slot(SLOT, "delta")
    entry = world.ledger.champion(slot)
    assert entry is not None
    own = load_version(world.registry, slot, entry.version, entry.bundle_sha256)
    named = read_pooled(own.stamps)
    assert named is not None
    pooled = load_version(world.registry, SLOT, named.version, named.bundle_sha256)
    blend = GroupScorer(own, pooled)
    assert blend.share == own_share(90, 50) == pytest.approx(90 / 140)
    request = make_request()
    rows = load_corpus(request.partition, world.lake, request.corpus, request.model)["holdout"].take(
        np.arange(7)
    )
    expected = blend.share * own.predict(rows.select(own.features)) + (1 - blend.share) * pooled.predict(rows)
    np.testing.assert_allclose(blend.predict(rows), expected, rtol=0, atol=1e-15)
    _refuses_other_pooled(own)


def _refuses_other_pooled(own: Scorer) -> None:
    with pytest.raises(LearningError, match="pooled bundle"):
        GroupScorer(own, None)


def test_what_a_blend_has_seen_is_what_either_model_has_seen() -> None:
    by_day, by_key = Exposure(trained_through_day=dt.date(2026, 3, 1)), exposure_to_keys(["a"])
    later = Exposure(trained_through_day=dt.date(2026, 3, 9))
    assert _blend(by_day, later).exposure.trained_through_day == later.trained_through_day
    both = _blend(by_key, exposure_to_keys(["b"])).exposure.key_hashes
    assert both is not None
    assert both.tolist() == exposure_to_keys(["a", "b"]).key_hashes.tolist()  # type: ignore[union-attr]
    assert _blend(by_key, None).exposure is by_key
    for one, other in ((by_day, by_key), (by_key, by_day)):
        with pytest.raises(LearningError, match="cannot be told"):
            _ = _blend(one, other).exposure


def _blend(own: Exposure, pooled: Exposure | None) -> GroupScorer:
    model = DummyModel(Signature("binary", ("load",), ()), (0.5,))
    other = Scorer("dummy", model, None, pooled, bundle_sha256="0" * 64) if pooled else None
    stamps = blend_stamps(0.5, PooledVersion("1", "0" * 64) if pooled else None)
    return GroupScorer(Scorer("dummy", model, None, own, stamps), other)


def test_slots_of_groups_are_plain_and_distinct() -> None:
    assert group_segment("cl", "arda-m10-4g") == "cl.arda-m10-4g"
    odd = [group_segment("cl", name) for name in ("Arda/M10", "arda m10", "ARDA.M10", "Ärda", "x" * 200, "")]
    assert len(set(odd)) == len(odd)
    assert all(len(name) < 60 and name.startswith("cl.") for name in odd)
