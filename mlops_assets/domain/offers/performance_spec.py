"""Settings of the verdict on what offers brought.

Belongs here: when a fall counts. Does not belong here: any computation.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record


class PerformanceSpec(Record):
    """When acceptance or margin has fallen below what was expected of the offers, so that the agent is trained again.

    Attributes:
        weeks: newest weeks that are looked at, those of the present policy.
        fallen_weeks: of them, at least so many have to show a fall.
        min_fall_share: of the expectation; less is no fall, however many offers prove it.
        confidence: one-sided, that a week's fall is not chance.
        min_expected_acceptances: fewer in a week are no evidence.
    """

    weeks: int = Field(3, ge=1, le=12)
    fallen_weeks: int = Field(2, ge=1, le=12)
    min_fall_share: float = Field(0.10, ge=0.0, lt=1.0)
    confidence: float = Field(0.99, gt=0.5, lt=1.0)
    min_expected_acceptances: float = Field(30.0, gt=0.0)

    @model_validator(mode="after")
    def _some_of_them(self) -> PerformanceSpec:
        if self.fallen_weeks > self.weeks:
            raise ValueError("`fallen_weeks` is more than `weeks`")
        return self
