"""The deployment store: packages that may be served, the pointer of each slot, what became of activations.

Belongs here: the interface and the records that cross it. Does not belong here: any implementation (package
`resources`) or the order of an activation (domain.deployment.activation).

A pointer is a projection of the promotion ledger for those who serve. It decides nothing: a release is served
only if the ledger holds its promotion (domain.deployment.releases).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import AwareDatetime, Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import ModelSlot

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
DecisionId = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
PointerState = Literal["activating", "active", "withdrawn"]


class Release(Record):
    """A model version as it may be served, by the decision that promoted it.

    `bundle_sha256` is what the ledger names; `package_sha256` covers what lies beside the model (configuration,
    card, self-test).
    """

    decision_id: DecisionId
    version: str
    bundle_sha256: Sha256
    package_sha256: Sha256


class DeploymentPointer(Record):
    """What serves a slot. `generation` grows by one with each change, whoever makes it.

    State `activating`: moved, not yet confirmed; an updater that dies here leaves it to the next one. `withdrawn`:
    nothing serves, because a first activation failed. `previous` is where a failed activation returns to.
    """

    use_case: PlainName
    model: PlainName
    segment: PlainName
    generation: int = Field(ge=1)
    state: PointerState
    serving: Release | None
    previous: Release | None = None
    changed_at_utc: AwareDatetime

    @model_validator(mode="after")
    def _serves_unless_withdrawn(self) -> DeploymentPointer:
        if (self.serving is None) != (self.state == "withdrawn"):
            raise ValueError("`serving` is empty in state `withdrawn`, and only there")
        return self

    @property
    def slot(self) -> ModelSlot:
        """The slot that the pointer is for."""
        return ModelSlot(self.use_case, self.model, self.segment)


class ActivationRecord(Record):
    """The last attempt to activate a decision. `generation` is the pointer's after it; 0 if there is none."""

    use_case: PlainName
    model: PlainName
    segment: PlainName
    decision_id: DecisionId
    version: str
    bundle_sha256: Sha256
    outcome: Literal["activated", "failed"]
    generation: int = Field(ge=0)
    at_utc: AwareDatetime
    error: str = ""

    @property
    def slot(self) -> ModelSlot:
        """The slot that the attempt was for."""
        return ModelSlot(self.use_case, self.model, self.segment)


class DeploymentStore(Protocol):
    """Immutable packages, movable pointers, activation records."""

    def publish(self, bundle_sha256: str, folder: Path) -> Path:
        """Store a copy of a package's folder, all at once or not at all; one that is there stays as it is."""
        ...

    def package(self, bundle_sha256: str) -> Path | None:
        """Return the folder of a published package, or None. Nothing in it is verified."""
        ...

    def set_aside(self, bundle_sha256: str) -> None:
        """Take a damaged package out of the way; it is kept for those who investigate."""
        ...

    def pointer(self, slot: ModelSlot) -> DeploymentPointer | None:
        """Return a slot's pointer, or None. Raises StorageError if it is damaged."""
        ...

    def swap(self, pointer: DeploymentPointer) -> None:
        """Replace the pointer of generation `pointer.generation - 1` (0: there is none) by this one.

        Raises StalePointerError if the pointer is of another generation by now.
        """
        ...

    def marks(self) -> Mapping[ModelSlot, str]:
        """Return a mark per pointer, cheap to get; it differs once the pointer has changed."""
        ...

    def report(self, record: ActivationRecord) -> None:
        """Keep a record in place of an earlier attempt at the same decision."""
        ...

    def activation(self, slot: ModelSlot, decision_id: str) -> ActivationRecord | None:
        """Return what became of the last attempt to activate a decision, or None."""
        ...
