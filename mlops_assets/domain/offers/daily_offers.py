"""Proposals for the coming day, one per person of the population, from what is known at the end of a day.

The partition of a day holds what is proposed *for* that day. It is history once the campaign system has begun to
report on the day: from then on it is neither replaced nor removed, and what was not proposed is not made up.

| case | outcome |
|---|---|
| no policy is champion for the day | `no_champion`; a proposal that was not used yet is withdrawn |
| an input model has no champion | `no_champion`, the model named; likewise |
| snapshot or catalogue of the day missing | `missing_input`; a proposal that was not used yet stays |
| the campaign's log of the coming day has been delivered | `kept` if there are proposals, else `too_late` |
| same features, contacts, policy, champions and settings as before | `reused` |
| a person without history | a state like any other; rules on what is not known do not hold |
| plan not sold, or empty catalogue | nobody is eligible for it; everybody gets `no_offer` |
| budget of 0, or used up | `no_offer`, reason `budget`; no random offers either |

States wait in scratch files between scoring and writing, so memory holds scores and masks of everybody, and the states
of one chunk.

Belongs here: the order of the steps. Does not belong here: any of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.champions import champion_for_day
from mlops_assets.domain.offers.daily_decisions import DayDecisions, chances_of, decide_day
from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferAction, OfferStates
from mlops_assets.domain.offers.exploration import CONTROL, RANDOM, STRATA, DrawKey
from mlops_assets.domain.offers.limits import daily_capacities
from mlops_assets.domain.offers.offer_choices import (
    is_sold,
    list_choices,
    plan_of_choice,
    read_plans,
)
from mlops_assets.domain.offers.offer_states import StatesPlan, plan_states, stream_people
from mlops_assets.domain.offers.offer_tables import PLANS_TABLE, proposals_table
from mlops_assets.domain.offers.proposal_rows import ChunkOfProposals, make_rows
from mlops_assets.domain.offers.reason_codes import (
    BUDGET,
    CONTACT_CAP,
    CONTROL_GROUP,
    NO_GAIN,
    NOT_ELIGIBLE,
    QUIET_DAY,
    RANDOM_DRAW,
    UsualValues,
    explain_offers,
    usual_values,
)
from mlops_assets.domain.offers.serving_policy import LoadedPolicy, PolicyLoader, ServingPolicy
from mlops_assets.domain.offers.state_design import build_design, design_columns
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting, StateScorers, find_scorers
from mlops_assets.domain.ports import (
    Lake,
    LedgerEntry,
    Manifest,
    ModelRegistry,
    PartitionId,
    PartitionWriter,
    PromotionLedger,
    TableEngine,
)
from mlops_assets.domain.published import find_current, read_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROPOSALS_VERSION = "1"
_DAY = dt.timedelta(days=1)
_USUAL_ROWS = 50_000  # people whose medians stand for everybody's


@dataclass(frozen=True)
class OfferPorts:
    """What proposals are made with."""

    lake: Lake
    engine: TableEngine
    registry: ModelRegistry
    ledger: PromotionLedger


@dataclass(frozen=True)
class ProposalOutcome:
    """What became of a segment's proposals for a day; see the module for each status."""

    partition: PartitionId
    status: Literal["built", "reused", "kept", "too_late", "no_champion", "missing_input"]
    detail: str
    manifest: Manifest | None = None
    champion: LedgerEntry | None = None


def propose_day(
    setting: OfferSetting,
    known_day: dt.date,
    ports: OfferPorts,
    load_policy: PolicyLoader,
    *,
    is_used: bool = False,
    chunks: int | None = None,
    threads: int = 1,
) -> ProposalOutcome:
    """Publish the proposals for the day after `known_day`, or say why there are none.

    Args:
        setting: use case and segment.
        known_day: the last day whose data may be used.
        ports: lake (receives the proposals), engine, registry and ledger.
        load_policy: from the policy's ledger entry to the verified policy.
        is_used: the campaign system has reported on the day of the offers.
        chunks: how many parts the people are read in; None by their number.
        threads: most threads a model uses.

    Raises:
        ModelIntegrityError: a champion's files are not what was promoted; the old proposals stand.
        LearningError, PolicyError: features or states do not fit a champion.
        StorageError: the proposals cannot be written; the old ones stand.
    """
    lake, engine = ports.lake, ports.engine
    target = PartitionId(proposals_table(setting.use_case), setting.segment, known_day + _DAY)
    published = read_manifest(lake, target)
    if is_used:
        return _history(target, published)
    champion = champion_for_day(ports.ledger, setting.slot, known_day)
    if champion is None:
        return _withdrawn(
            lake, target, NotReady("no_champion", f"no policy is champion of {setting.slot.registered_name}")
        )
    scorers = find_scorers(setting, known_day, registry=ports.registry, ledger=ports.ledger)
    if isinstance(scorers, NotReady):
        return _withdrawn(lake, target, scorers)
    plan = _plan(setting, known_day, lake)
    if isinstance(plan, NotReady):
        return ProposalOutcome(target, "missing_input", plan.detail, published, champion)
    build_key = _build_key(setting, champion, scorers, plan)
    if current := find_current(lake, target, build_key):
        return ProposalOutcome(target, "reused", f"version {champion.version}", current, champion)
    plans = read_plans(plan.catalogue, lake=lake, engine=engine)
    choices = list_choices(setting.spec.catalogue, plans)
    day = _Day(setting, target, champion, scorers, plan, choices, is_sold(choices, plans), threads)
    with lake.write(target, build_key) as writer:
        manifest = day.write(load_policy(champion), writer, lake, engine, chunks)
    return ProposalOutcome(target, "built", f"version {champion.version}", manifest, champion)


def _history(target: PartitionId, published: Manifest | None) -> ProposalOutcome:
    if published is None:
        detail = f"the campaign of {target.day} is over: nothing was proposed for it, nothing is made up"
        return ProposalOutcome(target, "too_late", detail)
    return ProposalOutcome(target, "kept", f"the campaign of {target.day} has used them", published)


def _withdrawn(lake: Lake, target: PartitionId, reason: NotReady) -> ProposalOutcome:
    if read_manifest(lake, target) is not None:
        lake.remove(target)
        return ProposalOutcome(target, "no_champion", f"{reason.detail}; the proposals were withdrawn")
    return ProposalOutcome(target, "no_champion", reason.detail)


@dataclass(frozen=True)
class _Inputs:
    states: StatesPlan
    catalogue: PartitionId
    inputs: dict[str, str]


def _plan(setting: OfferSetting, known_day: dt.date, lake: Lake) -> _Inputs | NotReady:
    states = plan_states(setting, known_day, lake=lake)
    if isinstance(states, NotReady):
        return states
    catalogue = PartitionId(PLANS_TABLE, setting.segment, known_day)
    manifest = lake.manifest(catalogue)
    if manifest is None:
        return NotReady("missing_input", f"{catalogue} is not published")
    return _Inputs(states, catalogue, {**states.inputs, str(catalogue): manifest.build_key})


def _build_key(setting: OfferSetting, champion: LedgerEntry, scorers: StateScorers, plan: _Inputs) -> str:
    spec = setting.spec
    identity = [PROPOSALS_VERSION, setting.corpus, spec.catalogue, spec.state, spec.exploration]
    return stable_hash([identity, champion.bundle_sha256, scorers.identity, plan.inputs])


@dataclass(frozen=True, eq=False)
class _Scored:
    """Everybody's scores, in the order of the chunks; states wait in files."""

    customers: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    has_rule: NDArray[np.bool_]
    scores: NDArray[np.float32]
    files: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class _Day:
    """The steps of one day of one segment."""

    setting: OfferSetting
    target: PartitionId
    champion: LedgerEntry
    scorers: StateScorers
    plan: _Inputs
    choices: tuple[OfferAction, ...]
    sold: NDArray[np.bool_]
    threads: int

    @property
    def is_quiet(self) -> bool:
        assert self.target.day is not None  # noqa: S101 - proposals are always for a day
        return self.setting.spec.catalogue.contact_policy.is_quiet(self.target.day)

    def write(
        self,
        loaded: LoadedPolicy,
        writer: PartitionWriter,
        lake: Lake,
        engine: TableEngine,
        chunks: int | None,
    ) -> Manifest:
        import pyarrow.parquet as pq

        serving, spec = ServingPolicy(loaded, self.choices), self.setting.spec
        scored = self._score(serving, writer, lake, engine, chunks)
        discounts = np.array([one.discount_usd for one in self.choices])
        capacities = daily_capacities(spec.catalogue.budget, discounts)
        worth = scored.scores.copy()
        key = DrawKey(self.setting.use_case, self.setting.segment, self.plan.states.day + _DAY)
        decisions = decide_day(worth, scored.allowed, scored.customers, capacities, spec.exploration, key)
        parquet: pq.ParquetWriter | None = None
        for chunk in self._explain(serving, scored, decisions):
            rows = make_rows(chunk, self.choices, self.champion.version)
            parquet = parquet or pq.ParquetWriter(writer.file("data"), rows.schema, compression="snappy")
            parquet.write_table(rows)
        if parquet is not None:
            parquet.close()
        return writer.commit(
            row_count=len(scored.customers),
            inputs=self.plan.inputs,
            facts=self._facts(serving, decisions),
        )

    def _score(
        self,
        serving: ServingPolicy,
        writer: PartitionWriter,
        lake: Lake,
        engine: TableEngine,
        chunks: int | None,
    ) -> _Scored:
        customers, allowed, ruled, scores, files = [], [], [], [], []
        people = stream_people(
            self.setting,
            self.plan.states,
            self.scorers,
            lake=lake,
            engine=engine,
            chunks=chunks,
            threads=self.threads,
        )
        for part in people:
            rules = np.ones((part.states.rows, len(self.choices)), dtype=np.bool_)
            rules[:, NO_ACTION + 1 :] = part.rules[:, plan_of_choice(self.setting.spec.catalogue)]
            rules &= self.sold
            may = rules & (part.may_contact[:, None] & (not self.is_quiet))
            may[:, NO_ACTION] = True
            file = writer.scratch(".npy")
            np.save(file, part.states.values, allow_pickle=False)
            files.append(file)
            customers.append(part.states.customers)
            ruled.append(rules[:, NO_ACTION + 1 :].any(axis=1))
            allowed.append(may)
            scores.append(serving.scores(part.states, may, self.threads))
        return _Scored(
            np.concatenate(customers),
            np.concatenate(allowed),
            np.concatenate(ruled),
            np.concatenate(scores),
            tuple(files),
        )

    def _explain(
        self, serving: ServingPolicy, scored: _Scored, decisions: DayDecisions
    ) -> Iterator[ChunkOfProposals]:
        usual, start = self._usual(scored), 0
        for file in scored.files:
            values = np.load(file, mmap_mode="r", allow_pickle=False)
            rows = slice(start, start + len(values))
            start += len(values)
            states = OfferStates(self.setting.layout, np.asarray(values), scored.customers[rows])
            actions = decisions.actions[rows]
            allowed = scored.allowed[rows]
            yield ChunkOfProposals(
                customers=states.customers,
                actions=actions,
                chances=chances_of(decisions, allowed, self.setting.spec.exploration, rows),
                allowed=allowed,
                scores=scored.scores[rows],
                strata=decisions.strata[rows],
                acceptances=serving.acceptances(states, actions),
                reasons=self._reasons(serving, states, usual, scored, decisions, rows),
            )

    def _usual(self, scored: _Scored) -> UsualValues:
        """Return the day's medians, of a part of each chunk."""
        names, share = design_columns(self.setting.layout), max(1, len(scored.customers) // _USUAL_ROWS)
        parts = []
        for file in scored.files:
            values = np.load(file, mmap_mode="r", allow_pickle=False)[::share]
            states = OfferStates(self.setting.layout, np.asarray(values), np.arange(len(values)))
            parts.append(build_design(states))
        return usual_values(names, np.concatenate(parts))

    def _reasons(
        self,
        serving: ServingPolicy,
        states: OfferStates,
        usual: UsualValues,
        scored: _Scored,
        decisions: DayDecisions,
        rows: slice,
    ) -> list[list[str]]:
        actions, targets = decisions.actions[rows], decisions.targets[rows]
        rules = self._rules(scored, decisions, rows)
        reasons = [[code] for code in rules.tolist()]
        wanted = np.flatnonzero((actions == targets) & (actions != NO_ACTION))
        if len(wanted):
            people = states.take(wanted)
            _, added = serving.explain(people, actions[wanted])
            named = explain_offers(usual, build_design(people), added)
            for row, codes in zip(wanted.tolist(), named, strict=True):
                reasons[row] = codes
        return reasons

    def _rules(self, scored: _Scored, decisions: DayDecisions, rows: slice) -> NDArray[Any]:
        """Return the one rule that made each decision, text [rows]; offers that were wanted get theirs later."""
        actions, targets = decisions.actions[rows], decisions.targets[rows]
        allowed, strata = scored.allowed[rows], decisions.strata[rows]
        offers = slice(NO_ACTION + 1, None)
        cases: Sequence[tuple[Any, str]] = (
            (~scored.has_rule[rows], NOT_ELIGIBLE),
            (np.full(len(actions), self.is_quiet), QUIET_DAY),
            (~allowed[:, offers].any(axis=1), CONTACT_CAP),
            (strata == CONTROL, CONTROL_GROUP),
            ((strata == RANDOM) | (actions != targets), RANDOM_DRAW),
            ((scored.scores[rows][:, offers] > 0).any(axis=1), BUDGET),
        )
        return np.select([case for case, _ in cases], [code for _, code in cases], default=NO_GAIN)

    def _facts(self, serving: ServingPolicy, decisions: DayDecisions) -> dict[str, Any]:
        offered = np.bincount(decisions.actions, minlength=len(self.choices))
        people = np.bincount(decisions.strata, minlength=len(STRATA))
        missing = {table: [str(day) for day in days] for table, days in self.plan.states.missing_days.items()}
        return {
            "model_version": self.champion.version,
            "bundle_sha256": self.champion.bundle_sha256,
            "choices": [one.name for one in self.choices],
            "offers": int(offered[NO_ACTION + 1 :].sum()),
            "offers_by_choice": {one.name: int(n) for one, n in zip(self.choices, offered, strict=True)},
            "people_by_stratum": {name: int(n) for name, n in zip(STRATA, people, strict=True)},
            "used": decisions.used,
            "limits": decisions.limits,
            "contact_share": decisions.contact_share,
            "taken_back": decisions.taken_back,
            "gap": decisions.gap,
            "unknown_choices": serving.unknown_choices(),
            "missing_days": missing,
        }
