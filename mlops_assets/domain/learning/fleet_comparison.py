"""Whether a group's own model is better than the pooled one, and not only by luck.

Belongs here: the one-sided test of one group and the control over all groups. Does not belong here: scoring or
the gate's other checks.

Of a thousand groups without any difference, fifty would pass a test at five per cent. Benjamini and Hochberg's
(1995) step-up keeps the expected share of such groups among the chosen ones below the rate, and with it the
share of them that is chosen at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlops_assets.domain.learning.gate import GateEvidence


def measure_p_value(evidence: GateEvidence, confidence: float, independent: int) -> float:
    """Return the one-sided p-value of "the gain is not above zero".

    The standard error is read off the paired bootstrap interval, the reference is Student's t: with a dozen
    devices, or a dozen events, a normal one would find too much.

    Args:
        evidence: of the group; its interval has level `confidence`.
        confidence: level of the interval.
        independent: number of independent rows, or of rows of the rarer class where that is smaller.

    Returns:
        The p-value; 1 where nothing was measured or nothing varies.
    """
    from scipy.special import ndtri, stdtr  # type: ignore[import-untyped]

    gain, low, high = evidence.gain, evidence.gain_low, evidence.gain_high
    if gain is None or low is None or high is None or independent < 2:
        return 1.0
    if not all(map(math.isfinite, (gain, low, high))) or high <= low:
        return 1.0
    standard_error = (high - low) / (2 * float(ndtri(0.5 + confidence / 2)))
    return float(stdtr(independent - 1, -gain / standard_error))


def choose_proven(p_values: Sequence[float], rate: float) -> list[bool]:
    """Return which hypotheses are rejected with the false discovery rate controlled (Benjamini and Hochberg).

    Args:
        p_values: one per group that was tested, whatever came out.
        rate: largest expected share of false ones among the rejected.
    """
    if not p_values:
        return []
    ordered = np.sort(np.asarray(p_values, dtype=np.float64))
    reached = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / len(ordered))
    limit = float(ordered[reached[-1]]) if len(reached) else -1.0
    return [value <= limit for value in p_values]
