"""What a log has shown of contacts, and whether a policy stays within it.

Belongs here: the range of contacts and the refusal, in words. Does not belong here: how good the simulator is inside
(simulator_check.py).

A simulator over-values what its log has never shown: a policy that contacts people more often than anybody was
contacted meets a fatigue that nobody has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import HISTORY_WEEKS, NO_ACTION, Transitions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.offers.policy_value import SimulatedValue

    Floats = NDArray[np.float64]

_SEEN_SHARE, _SEEN_ROWS, _BEYOND_SHARE = 0.01, 50, 0.05


@dataclass(frozen=True)
class ContactSupport:
    """Contacts that a log has shown.

    Attributes:
        lowest_rate: contacts a week of those contacted least.
        highest_rate: of those contacted most: the most contacts in four weeks that enough person-weeks had, over four.
        most_contacts: these contacts in four weeks.
    """

    lowest_rate: float
    highest_rate: float
    most_contacts: int


def find_support(log: Transitions) -> ContactSupport:
    """Return the contacts in four weeks, this one and the three before, that 1 % and 50 of the person-weeks had."""
    before = log.states.weeks_of("offers")[:, : HISTORY_WEEKS - 1].sum(axis=1)
    contacts = np.rint(before).astype(np.int64) + (log.actions != NO_ACTION)
    counts = np.bincount(contacts, minlength=HISTORY_WEEKS + 1)
    at_least = counts[::-1].cumsum()[::-1]
    enough = max(_SEEN_ROWS, _SEEN_SHARE * log.rows)
    seen = np.flatnonzero(at_least >= enough)
    most = int(seen.max()) if len(seen) else 0
    least = int(np.flatnonzero(counts >= enough).min()) if (counts >= enough).any() else 0
    return ContactSupport(least / HISTORY_WEEKS, most / HISTORY_WEEKS, most)


def find_support_problems(
    value: SimulatedValue, support: ContactSupport, tolerance: float
) -> tuple[str, ...]:
    """Say why a policy's contacts lie outside what the log has shown; nothing if they do not.

    Args:
        value: what the policy does in the simulator.
        support: of the log that the simulator was fitted to.
        tolerance: share by which the contact rate may lie outside.
    """
    problems = []
    low, high = support.lowest_rate * (1 - tolerance), support.highest_rate * (1 + tolerance)
    if not low <= value.contact_rate <= high:
        problems.append(
            f"it contacts {value.contact_rate:.2f} times a week, the log has shown {support.lowest_rate:.2f} to "
            f"{support.highest_rate:.2f}"
        )
    beyond = float(value.contact_counts[support.most_contacts + 1 :].sum())
    if beyond > _BEYOND_SHARE:
        problems.append(
            f"in {beyond:.0%} of customer-weeks it has made more than {support.most_contacts} contacts in four weeks, "
            "which the log has hardly shown"
        )
    return tuple(problems)
