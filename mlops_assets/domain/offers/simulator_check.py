"""Does a simulator describe weeks that it was not fitted to?

Belongs here: figures of the held-out weeks beside what the simulator says of the same people and decisions, and the
verdict. Does not belong here: which weeks are held out, or policies (simulator_support.py refuses those).

The logged decisions are put to the simulator as they were taken. Figures over one week rest on the states that were
seen; `contacts in four weeks` and `still customers` follow the people of the first held-out week to the last one, so
that errors of clocks, history and levels add up there if there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import NO_ACTION, DecisionDataError, OfferStates, Transitions
from mlops_assets.domain.offers.offers_spec import SimulatorCheckSpec
from mlops_assets.domain.offers.simulator import DRAWS, Simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ROUNDS = 4  # of chance


@dataclass(frozen=True)
class CheckedFigure:
    """One figure: what happened, what the simulator says, and how far apart they may be."""

    name: str
    observed: float
    predicted: float
    limit: float

    @property
    def error(self) -> float:
        """Distance of both."""
        return abs(self.predicted - self.observed)

    @property
    def is_passed(self) -> bool:
        """Whether it is close enough."""
        return self.error <= self.limit


@dataclass(frozen=True)
class SimulatorCheck:
    """All figures, and reasons why they say nothing; passed only if every figure is and there is no such reason."""

    figures: tuple[CheckedFigure, ...]
    problems: tuple[str, ...]
    rows: int

    @property
    def is_passed(self) -> bool:
        """Whether policies may be trained and judged in this world."""
        return not self.problems and all(figure.is_passed for figure in self.figures)

    def explain(self) -> str:
        """Say the verdict in a sentence."""
        failed = [
            f"{figure.name}: {figure.predicted:.4g} predicted, {figure.observed:.4g} observed"
            for figure in self.figures
            if not figure.is_passed
        ]
        if self.problems or failed:
            return "; ".join((*self.problems, *failed))
        return f"{len(self.figures)} figures of {self.rows} person-weeks are as predicted"


def check_simulator(
    simulator: Simulator, held_out: Transitions, spec: SimulatorCheckSpec, *, seed: int = 0
) -> SimulatorCheck:
    """Compare a simulator with weeks that it has not seen.

    Args:
        simulator: in question.
        held_out: the newest weeks of the log.
        spec: how far figures may be apart, and the least contacts and acceptances.
        seed: of the simulator's chance.

    Raises:
        DecisionDataError: no row is held out, or its choices are others than the simulator's.
    """
    if held_out.rows == 0 or held_out.choices != simulator.choices:
        raise DecisionDataError(
            "the held-out weeks do not fit the simulator",
            where=f"{held_out.rows} rows, {len(held_out.choices)} choices",
            expected=f"rows, and the simulator's {len(simulator.choices)} choices",
        )
    contacted = held_out.actions != NO_ACTION
    contacts, accepted = int(contacted.sum()), int(held_out.is_accepted.sum())
    problems = []
    if contacts < spec.min_contacts:
        problems.append(f"{contacts} held-out contacts are fewer than {spec.min_contacts}")
    if accepted < spec.min_acceptances:
        problems.append(f"{accepted} held-out acceptances are fewer than {spec.min_acceptances}")
    rounds = [_replay(simulator, held_out, seed, number) for number in range(_ROUNDS)]
    figures = [
        _compare(name, observed, [one[name] for one in rounds], spec) for name, observed in _observe(held_out)
    ]
    return SimulatorCheck(
        (*figures, *_follow_people(simulator, held_out, spec, seed)), tuple(problems), held_out.rows
    )


def _observe(data: Transitions) -> list[tuple[str, Floats]]:
    """Return what happened, float64 one a row (acceptance: one a contact)."""
    contacted = data.actions != NO_ACTION
    found = [
        ("acceptance", data.is_accepted[contacted].astype(np.float64)),
        ("purchases", (data.organic_plan > 0).astype(np.float64) + data.is_accepted),
        ("margin_usd", data.margin_usd),
        ("churn", data.is_churned.astype(np.float64)),
    ]
    return [(name, values) for name, values in found if len(values)]


def _replay(simulator: Simulator, data: Transitions, seed: int, number: int) -> dict[str, float]:
    """Return means of the same figures as the simulator has them."""
    chance = np.random.default_rng([seed, number]).random((data.rows, DRAWS))
    done = simulator.step(data.states, data.actions, chance)
    contacted = data.actions != NO_ACTION
    expected = simulator.acceptance(data.states, data.actions)[contacted]
    return {
        "acceptance": float(expected.mean()) if len(expected) else 0.0,
        "purchases": float((done.organic_plan > 0).mean() + done.is_accepted.mean()),
        "margin_usd": float(done.margin_usd.mean()),
        "churn": float(done.leave_chance.mean()),
    }


def _compare(name: str, observed: Floats, predicted: list[float], spec: SimulatorCheckSpec) -> CheckedFigure:
    mean = float(observed.mean())
    error = float(observed.std()) / np.sqrt(len(observed))
    limit = max(spec.max_error_share * abs(mean), spec.max_standard_errors * error)
    return CheckedFigure(name, mean, float(np.mean(predicted)), float(limit))


def _follow_people(
    simulator: Simulator, data: Transitions, spec: SimulatorCheckSpec, seed: int
) -> list[CheckedFigure]:
    """Carry the people of the first held-out week through the decisions that were taken about them until the end."""
    weeks = np.unique(data.weeks)
    first = data.take(data.weeks == weeks[0])
    states, alive = first.states, np.ones(first.rows)
    for number, week in enumerate(weeks):
        actions = find_actions_of(data.take(data.weeks == week), states)
        chance = np.random.default_rng([seed, _ROUNDS + number]).random((states.rows, DRAWS))
        done = simulator.step(states, actions, chance)
        states, alive = done.states, alive * (1 - done.leave_chance)
    last = data.take(data.weeks == weeks[-1])
    stayed = last.take(~last.is_churned)
    at_end = np.isin(first.states.customers, stayed.states.customers)
    seen = stayed.states.with_values(stayed.next_values).weeks_of("offers").sum(axis=1)
    seen = seen[np.isin(stayed.states.customers, first.states.customers)].astype(np.float64)
    if not at_end.any():
        return [_compare("still_customers", at_end.astype(np.float64), [float(alive.mean())], spec)]
    carried = states.weeks_of("offers").sum(axis=1)[at_end]
    return [
        _compare("still_customers", at_end.astype(np.float64), [float(alive.mean())], spec),
        _compare("contacts_four_weeks", seen, [float(carried.mean())], spec),
        _compare(
            "two_contacts_or_more", (seen >= 2).astype(np.float64), [float((carried >= 2).mean())], spec
        ),
    ]


def find_actions_of(week: Transitions, states: OfferStates) -> NDArray[np.int64]:
    """Return the week's actions for people in the order of `states`; none for those who are not in it."""
    order = np.argsort(week.states.customers)
    found = np.searchsorted(week.states.customers, states.customers, sorter=order)
    place = order[np.minimum(found, len(order) - 1)]
    is_there = week.states.customers[place] == states.customers
    return np.where(is_there, week.actions[place], NO_ACTION).astype(np.int64)
