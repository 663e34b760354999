"""The champions whose scores are part of a state, and the layout that results.

A score is a level named as its model (`churn/churn_risk` is the level `churn_risk`). All rows of a set of states are
scored by the same champions, on the features of each row's day: scores of different model versions do not mix. The
day's published scores are taken where they are of the same champion and features; otherwise rows are scored again.

Belongs here: which champions, and applying them to rows. Does not belong here: reading rows (offer_states.py).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import champion_for_day, load_version
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.offers.decision_data import DecisionDataError, StateLayout
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.ports import (
    Lake,
    LedgerEntry,
    ModelRegistry,
    ModelSlot,
    PartitionId,
    PromotionLedger,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.domain.offers.decision_data import Floats


@dataclass(frozen=True)
class ScoreSource:
    """An input model: `slot` says whose champion scores, `corpus` for whom the model is made."""

    slot: ModelSlot
    corpus: CorpusSpec

    @property
    def level(self) -> str:
        """Name of the level in a state."""
        return self.slot.model


@dataclass(frozen=True)
class OfferSetting:
    """A use case's offers in one segment.

    Attributes:
        use_case: name.
        segment: geography.
        corpus: table of features, key and population.
        spec: the block `offers`.
        scores: the input models, in the order of `spec.state.scores`.
    """

    use_case: str
    segment: str
    corpus: CorpusSpec
    spec: OffersSpec
    scores: tuple[ScoreSource, ...]

    @property
    def slot(self) -> ModelSlot:
        """Where policies compete."""
        return ModelSlot(self.use_case, self.spec.agent.name, self.segment)

    @property
    def layout(self) -> StateLayout:
        """Columns of a state: scores, then features, then clocks and histories.

        Raises:
            DecisionDataError: two levels, or a level and a clock, have one name.
        """
        levels = (*(score.level for score in self.scores), *self.spec.state.features)
        layout = StateLayout(levels)
        if len(set(layout.columns)) != len(layout.columns):
            twice = sorted({name for name in layout.columns if layout.columns.count(name) > 1})
            raise DecisionDataError(
                f"{', '.join(twice)} is in a state twice",
                where=f"offers.state of {self.use_case}",
                expected="scores and features of different names; clocks and histories are always there",
                remedy="leave one of them out",
            )
        return layout


@dataclass(frozen=True)
class NotReady:
    """Why something about offers cannot be made now; nothing was written.

    `status`: `no_champion` of a model, `missing_input` partition, `no_history` to learn from.
    """

    status: Literal["no_champion", "missing_input", "no_history"]
    detail: str


@dataclass(frozen=True, eq=False)
class StateScorers:
    """The champions of a day, loaded; in the order of `OfferSetting.scores`."""

    sources: tuple[ScoreSource, ...]
    champions: tuple[LedgerEntry, ...]
    scorers: tuple[Scorer, ...]

    @property
    def identity(self) -> list[str]:
        """Return the hash of each bundle."""
        return [champion.bundle_sha256 for champion in self.champions]

    def level(self, place: int, rows: pa.Table, is_known: str | None, threads: int = 1) -> Floats:
        """Return the level of one scorer, float32 [rows].

        Args:
            place: of the scorer.
            rows: with all columns that it reads.
            is_known: the boolean column that says for whom the model is made; elsewhere the level is NaN. None if
                that is everybody.
            threads: most threads a model uses.

        Raises:
            LearningError: the rows do not fit a model, or a score is not finite.
            DecisionDataError: the model gives more than one number a row.
        """
        from mlops_assets.domain.learning.dataset import dataset_from_arrow

        scorer = self.scorers[place]
        dataset = dataset_from_arrow(rows, scorer.features, categorical=scorer.categorical)
        predicted = scorer.predict(dataset, threads)
        if predicted.ndim != 1:
            raise DecisionDataError(
                "a model of classes cannot be part of a state",
                where=self.sources[place].slot.registered_name,
                expected="a binary model or a regression",
                remedy="name another model in offers.state.scores",
            )
        level: Floats = predicted.astype(np.float32)
        if is_known is not None:
            level[~rows[is_known].to_numpy(zero_copy_only=False).astype(bool)] = np.nan
        return level

    def find_stored(self, features: PartitionId, lake: Lake) -> tuple[PartitionId | None, ...]:
        """Return where the scores of these features by these very champions are; None where there are none."""
        manifest = lake.manifest(features)
        found: list[PartitionId | None] = []
        for source, champion, scorer in zip(self.sources, self.champions, self.scorers, strict=True):
            table = scores_table(source.slot.use_case, source.slot.model)
            partition = PartitionId(table, features.segment, features.day)
            stored = lake.manifest(partition)
            is_same = (
                manifest is not None
                and stored is not None
                and stored.facts.get("bundle_sha256") == champion.bundle_sha256
                and stored.inputs.get(str(features)) == manifest.build_key
                and not scorer.signature.classes
            )
            found.append(partition if is_same else None)
        return tuple(found)


def find_scorers(
    setting: OfferSetting, day: dt.date, *, registry: ModelRegistry, ledger: PromotionLedger
) -> StateScorers | NotReady:
    """Return the champions that serve on a day, loaded and verified; or which model has none.

    Raises:
        ModelIntegrityError: a champion's files are not what was promoted.
        RegistryError: the registry does not have a champion.
    """
    champions = [champion_for_day(ledger, source.slot, day) for source in setting.scores]
    lacking = [s.slot for s, champion in zip(setting.scores, champions, strict=True) if champion is None]
    if lacking:
        named = ", ".join(f"{slot.use_case}/{slot.model}" for slot in lacking)
        return NotReady("no_champion", f"{setting.segment}: no champion of {named} before {day}")
    found = tuple(champion for champion in champions if champion is not None)
    scorers = tuple(load_version(registry, one.slot, one.version, one.bundle_sha256) for one in found)
    return StateScorers(setting.scores, found, scorers)
