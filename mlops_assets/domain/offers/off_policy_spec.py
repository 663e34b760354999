"""Settings of off-policy evaluation.

Belongs here: which limits are put on weights, how intervals are drawn, when the evidence is too thin. Does not
belong here: any computation, or numpy, since configuration is read while the code location loads.
"""

from __future__ import annotations

from pydantic import Field

from mlops_assets.domain.model_base import Record


class OffPolicySpec(Record):
    """How a policy is judged on the log of another one.

    Attributes:
        max_weight: importance weights above it are cut down to it, in IPS, SNIPS, DR and SNDR; None: none are.
        switch_threshold: weight above which Switch-DR trusts the reward model alone; None: chosen from the log.
        shrinkage: lambda of DRos; None: chosen from the log.
        bootstrap_rounds: resamples of customers.
        confidence: level of the two-sided percentile intervals.
        seed: of the resamples.
        min_effective_rows: fewest effective rows on which a decision may rest.
        min_effective_share: the same as a share of the logged rows; the larger of both counts.
        min_positives: fewest rows with a reward above zero that the target would have decided alike with some
            probability.
        min_customers: fewest customers; a bootstrap over fewer clusters gives intervals that are too narrow.
    """

    max_weight: float | None = Field(None, gt=0)
    switch_threshold: float | None = Field(None, ge=0)
    shrinkage: float | None = Field(None, ge=0)
    bootstrap_rounds: int = Field(1000, ge=50, le=10_000)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int = Field(0, ge=0)
    min_effective_rows: int = Field(1000, ge=1)
    min_effective_share: float = Field(0.05, ge=0, le=1)
    min_positives: int = Field(100, ge=1)
    min_customers: int = Field(50, ge=2)
