"""Dividing a day's budget and channel capacity among offers: one multiplier per resource.

The problem is to choose one action per prospect so that the sum of scores is largest and no resource is used beyond
its limit. Its Lagrangian dual prices each unit of a resource; given prices, every prospect takes the action with the
best score less price, independently of all others, so that a pass over the matrix in chunks is all that is needed.
Usage falls as its price rises: each price is found by bisection, one resource after the other until none moves; first
for a sample of the prospects, where passes are cheap, then for all. What the last pass leaves of a limit goes to the
prospects who lose least by it.

For any prices the dual is an upper bound of the linear programme (Everett 1963; Fisher 1981, Management Science 27),
so the result states how far it is from the optimum at most.

Belongs here: the allocation. Does not belong here: scores, or which actions are eligible (score -inf if not).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import PlatformError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

NO_OFFER_ACTION = 0
ROWS_PER_CHUNK = 16_384
_CYCLES_MAX, _STEPS_MAX = 25, 40
_FILLED = 0.9995  # of a limit: a bisection stops there, the rest is filled up
_MOVED = 1e-4  # relative change of a price below which it stands
_REPAIRS_MAX = 2_000
_SAMPLE_ROWS = 50_000
_BRACKET = 1.02  # from a known price to the ends of its first bracket


class AllocationError(PlatformError):
    """Scores, usage or limits do not describe an allocation problem."""


@dataclass(frozen=True)
class Capacity:
    """A limited resource.

    Attributes:
        name: `discount_usd`, `contacts`, `contacts_sms`...
        limit: what may be used in total; not negative.
        usage: what one prospect uses, not negative: float [actions], or [prospects x actions] where it differs
            from person to person; `no_offer` (column 0) uses nothing.
    """

    name: str
    limit: float
    usage: Floats


@dataclass(frozen=True)
class Allocation:
    """Who gets what.

    Attributes:
        actions: int16 [prospects], columns of the scores.
        value: sum of the chosen scores.
        bound: no allocation within the limits is worth more.
        prices: by resource, what one more unit of it would bring.
        used: by resource.
    """

    actions: NDArray[np.int16]
    value: float
    bound: float
    prices: Mapping[str, float]
    used: Mapping[str, float]

    @property
    def gap(self) -> float:
        """Share of the bound that the allocation may miss, 0 to 1."""
        return max(self.bound - self.value, 0.0) / self.bound if self.bound > 0 else 0.0


def allocate_budget(
    scores: Floats, capacities: Sequence[Capacity], *, rows_per_chunk: int = ROWS_PER_CHUNK
) -> Allocation:
    """Choose an action for each prospect within all limits.

    Args:
        scores: float [prospects x actions], worth of each action over no offer, in one unit of money; column 0 is
            `no_offer` and 0 throughout; -inf where an action is not eligible. Never copied as a whole.
        capacities: limited resources; without any everybody gets his best action.
        rows_per_chunk: prospects at a time.

    Raises:
        AllocationError: shapes do not fit, a number is NaN or +inf, `no_offer` is worth or uses something, or a
            limit or usage is negative.
    """
    import numpy as np

    problem = _Problem(scores, capacities, rows_per_chunk)
    prices: Floats = np.zeros(len(capacities))
    if (every := len(scores) // _SAMPLE_ROWS) > 1:
        prices = _find_prices(_sample(problem, capacities, every), prices)
    prices = _find_prices(problem, prices)
    actions = problem.choose(prices)
    used = problem.usage_of(actions)
    _give_back(problem, actions, used)
    _fill_up(problem, prices, actions, used)
    names = [one.name for one in capacities]
    return Allocation(
        actions=actions,
        value=problem.value_of(actions),
        bound=problem.bound_at(prices),
        prices=dict(zip(names, prices.tolist(), strict=True)),
        used=dict(zip(names, problem.usage_of(actions).tolist(), strict=True)),
    )


class _Problem:
    """Scores and usage, read in chunks; checked once."""

    def __init__(self, scores: Floats, capacities: Sequence[Capacity], rows_per_chunk: int) -> None:
        import numpy as np

        self.scores, self.rows_per_chunk = scores, rows_per_chunk
        self.usages = [np.asarray(one.usage) for one in capacities]
        self.limits = np.array([one.limit for one in capacities], dtype=np.float64)
        _require_shapes(scores, capacities)
        for rows in self.chunks():
            _require_numbers(scores[rows], [self.usage(place, rows) for place in range(len(capacities))])

    def chunks(self) -> Iterator[slice]:
        """Yield the rows of each chunk."""
        for start in range(0, len(self.scores), self.rows_per_chunk):
            yield slice(start, min(start + self.rows_per_chunk, len(self.scores)))

    def usage(self, place: int, rows: slice) -> Floats:
        """Return a resource's usage in a chunk: [actions] or [rows x actions]."""
        usage = self.usages[place]
        return usage if usage.ndim == 1 else usage[rows]

    def priced(self, rows: slice, prices: Floats) -> Iterator[Floats]:
        """Yield each action's scores less prices, [rows], without a copy of the whole chunk."""
        import numpy as np

        shared = np.zeros(self.scores.shape[1])
        personal: list[Floats] = []
        for place, price in enumerate(prices):
            if price and self.usages[place].ndim == 1:
                shared += price * self.usages[place]
            elif price:
                personal.append(price * self.usages[place][rows])
        for action in range(self.scores.shape[1]):
            column = self.scores[rows, action] - self.scores.dtype.type(shared[action])
            yield sum((-own[:, action] for own in personal), start=column)

    def used_at(self, prices: Floats, place: int) -> float:
        """Return what everybody's best choice at these prices uses of one resource."""
        return sum(
            float(self._used_of(place, rows, _best(self.priced(rows, prices))[0])) for rows in self.chunks()
        )

    def bound_at(self, prices: Floats) -> float:
        """Return the dual: the sum of the best scores less prices, and what the limits are worth."""
        import numpy as np

        worth = (_best(self.priced(rows, prices))[1] for rows in self.chunks())
        return sum(float(one.sum(dtype=np.float64)) for one in worth) + float(prices @ self.limits)

    def choose(self, prices: Floats) -> NDArray[np.int16]:
        """Return everybody's best choice, int16 [prospects]."""
        import numpy as np

        actions = np.empty(len(self.scores), dtype=np.int16)
        for rows in self.chunks():
            actions[rows], _ = _best(self.priced(rows, prices))
        return actions

    def usage_of(self, actions: NDArray[np.int16]) -> Floats:
        """Return what an allocation uses of each resource."""
        import numpy as np

        used = np.zeros(len(self.limits))
        for rows in self.chunks():
            used += self._used(rows, actions[rows])
        return used

    def value_of(self, actions: NDArray[np.int16]) -> float:
        """Return what an allocation is worth."""
        import numpy as np

        return sum(
            float(_taken(self.scores[rows], actions[rows]).sum(dtype=np.float64)) for rows in self.chunks()
        )

    def row_usage(self, row: int) -> Floats:
        """Return one prospect's usage, [resources x actions]."""
        import numpy as np

        return np.array([usage if usage.ndim == 1 else usage[row] for usage in self.usages], dtype=np.float64)

    def _used(self, rows: slice, chosen: NDArray[Any]) -> Floats:
        import numpy as np

        return np.array([self._used_of(place, rows, chosen) for place in range(len(self.limits))])

    def _used_of(self, place: int, rows: slice, chosen: NDArray[Any]) -> float:
        import numpy as np

        usage = self.usage(place, rows)
        if usage.ndim == 2:
            return float(_taken(usage, chosen).sum(dtype=np.float64))
        return float(np.bincount(chosen, minlength=len(usage)) @ usage)


def _sample(problem: _Problem, capacities: Sequence[Capacity], every: int) -> _Problem:
    """Return the problem of every n-th prospect, with limits to match."""
    thinned = [
        Capacity(one.name, one.limit / every, one.usage if one.usage.ndim == 1 else one.usage[::every])
        for one in capacities
    ]
    return _Problem(problem.scores[::every], thinned, problem.rows_per_chunk)


def _find_prices(problem: _Problem, prices: Floats) -> Floats:
    """Return the prices of all resources, found one after the other until none moves."""
    import numpy as np

    prices = prices.copy()
    for _ in range(_CYCLES_MAX):
        earlier = prices.copy()
        for place in range(len(prices)):
            prices[place] = _find_price(problem, prices, place)
        if len(prices) < 2 or np.all(np.abs(prices - earlier) <= _MOVED * np.maximum(prices, earlier)):
            break
    return prices


def _find_price(problem: _Problem, prices: Floats, place: int) -> float:
    """Return the lowest price found at which a resource is within its limit, the others' prices given."""
    limit, trial = problem.limits[place], prices.copy()

    def used(price: float) -> float:
        trial[place] = price
        return problem.used_at(trial, place)

    known = float(prices[place])
    if known and _FILLED * limit <= used(known) <= limit:
        return known
    low, high = known / _BRACKET, known * _BRACKET or 1e-3
    if used(low) <= limit:
        if not low or used(0.0) <= limit:
            return 0.0
        low, high = 0.0, low
    while used(high) > limit:
        low, high = high, 2.0 * high
    for _ in range(_STEPS_MAX):
        middle = (low + high) / 2
        found = used(middle)
        low, high = (middle, high) if found > limit else (low, middle)
        if _FILLED * limit <= found <= limit or high - low <= 1e-9 * high:
            break
    return high


def _give_back(problem: _Problem, actions: NDArray[np.int16], used: Floats) -> None:
    """Take offers back, those worth least per unit first, while a resource is over its limit."""
    import numpy as np

    for place in np.flatnonzero(used > problem.limits).tolist():
        worth = np.full(len(actions), np.inf)
        for rows in problem.chunks():
            usage = problem.usage(place, rows)
            own = usage[actions[rows]] if usage.ndim == 1 else _taken(usage, actions[rows])
            has = own > 0
            gains = _taken(problem.scores[rows], actions[rows])
            worth[rows][has] = gains[has] / own[has]
        for row in np.argsort(worth, kind="stable"):
            if used[place] <= problem.limits[place]:
                break
            used -= problem.row_usage(int(row))[:, actions[row]]
            actions[row] = NO_OFFER_ACTION


def _fill_up(problem: _Problem, prices: Floats, actions: NDArray[np.int16], used: Floats) -> None:
    """Use what is left: give better actions to the prospects whose priced loss by it is least."""
    for row, action in _candidates(problem, prices, actions):
        usage = problem.row_usage(row)
        change = usage[:, action] - usage[:, actions[row]]
        is_better = problem.scores[row, action] > problem.scores[row, actions[row]]
        if is_better and bool((used + change <= problem.limits).all()):
            used += change
            actions[row] = action


def _candidates(problem: _Problem, prices: Floats, actions: NDArray[np.int16]) -> Iterator[tuple[int, int]]:
    """Yield (prospect, better action), least priced loss first, the best few of each chunk."""
    import numpy as np

    losses, places = [], []
    for rows in problem.chunks():
        priced = np.stack(list(problem.priced(rows, prices)), axis=1)
        scores = problem.scores[rows]
        loss = _taken(priced, actions[rows])[:, None] - priced
        loss[scores <= _taken(scores, actions[rows])[:, None]] = np.inf
        flat = loss.ravel()
        best = (
            np.argpartition(flat, _REPAIRS_MAX)[:_REPAIRS_MAX]
            if len(flat) > _REPAIRS_MAX
            else np.arange(len(flat))
        )
        best = best[np.isfinite(flat[best])]
        losses.append(flat[best])
        places.append(best + rows.start * scores.shape[1])
    if not losses:
        return
    order = np.argsort(np.concatenate(losses), kind="stable")[:_REPAIRS_MAX]
    for place in np.concatenate(places)[order]:
        yield divmod(int(place), problem.scores.shape[1])


def _best(priced: Iterator[Floats]) -> tuple[NDArray[Any], Floats]:
    """Return the best action of each row and its worth; the first of equals, so that no offer wins a tie.

    A running maximum over the few columns takes a fraction of the time of `argmax` along short rows.
    """
    import numpy as np

    worth = next(priced)
    chosen = np.zeros(len(worth), dtype=np.int16)
    for action, column in enumerate(priced, start=1):
        is_better = column > worth
        np.copyto(worth, column, where=is_better)
        np.copyto(chosen, action, where=is_better)
    return chosen, worth


def _taken(matrix: Floats, chosen: NDArray[Any]) -> Floats:
    import numpy as np

    taken: Floats = matrix[np.arange(len(chosen)), chosen]
    return taken


def _require_shapes(scores: Floats, capacities: Sequence[Capacity]) -> None:
    if scores.ndim != 2 or not scores.shape[1]:
        raise _refused(f"scores have the shape {scores.shape}", "prospects x actions, no_offer first")
    for one in capacities:
        if one.usage.shape not in (scores.shape[1:], scores.shape):
            raise _refused(
                f"usage of `{one.name}` has the shape {one.usage.shape}",
                f"{scores.shape[1:]} or {scores.shape}",
            )
        if not 0 <= one.limit < float("inf"):
            raise _refused(f"the limit of `{one.name}` is {one.limit}", "a number, not negative")


def _require_numbers(scores: Floats, usages: Sequence[Floats]) -> None:
    import numpy as np

    if np.isnan(scores).any() or (scores == np.inf).any():
        raise _refused("a score is NaN or infinite", "numbers, and -inf for actions that are not eligible")
    if (scores[:, NO_OFFER_ACTION] != 0).any():
        raise _refused("no_offer (column 0) has a score", "scores over no offer, 0 in column 0")
    for usage in usages:
        if not (np.isfinite(usage).all() and (usage >= 0).all()):
            raise _refused("a usage is negative or no number", "numbers, not negative")
        if (usage[..., NO_OFFER_ACTION] != 0).any():
            raise _refused("no_offer (column 0) uses a resource", "0 in column 0")


def _refused(what: str, expected: str) -> AllocationError:
    return AllocationError(
        what, where="allocation of the budget", expected=expected, remedy="correct the caller's matrices"
    )
