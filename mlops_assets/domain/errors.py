"""Errors that a person can act on.

Belongs here: every exception class the platform raises on purpose. Does not belong here: the checks
that raise them. Each error names what is wrong, where (file, row, key), what was expected, and a remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PlatformError(Exception):
    """Base of all deliberate errors.

    Args:
        what: the fact, in one clause.
        where: file, row, column, key or partition concerned.
        expected: what would have been accepted.
        remedy: what the reader can do about it.

    Attributes:
        is_retryable: whether the same step may succeed if it is tried again; Dagster then tries again.
    """

    is_retryable: bool = False

    def __init__(self, what: str, *, where: str = "", expected: str = "", remedy: str = "") -> None:
        self.what, self.where, self.expected, self.remedy = what, where, expected, remedy
        super().__init__(what, where, expected, remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Come back from another process as what was raised there: the class would be called without its keywords."""
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        parts = [
            self.what,
            f"where: {self.where}" if self.where else "",
            f"expected: {self.expected}" if self.expected else "",
            f"remedy: {self.remedy}" if self.remedy else "",
        ]
        return "; ".join(part for part in parts if part)


def _restored(kind: type[PlatformError], words: tuple[str, ...], facts: Mapping[str, Any]) -> PlatformError:
    error = kind.__new__(kind, *words)
    error.__dict__.update(facts)
    return error


class ConfigError(PlatformError):
    """A YAML file under configs/ is not acceptable."""


class FeedRefusedError(PlatformError):
    """A delivered file fails its metadata validation; nothing of it was published."""


class FeedMissingError(FeedRefusedError):
    """The file of a feed, geography and day has not been delivered."""


class TableInputError(PlatformError):
    """An input partition that a table needs is absent."""


class CorpusError(PlatformError):
    """A training corpus cannot be built as configured."""


class LeakageError(CorpusError):
    """A feature or label would see past its as-of day."""


class LearningError(PlatformError):
    """An algorithm cannot be fitted or applied to this data."""


class PolicyEvaluationError(PlatformError):
    """A log of decisions and a policy do not fit together, or no reward model can be fitted to the log."""


class NotFittedError(LearningError):
    """A model was asked to predict or save before it was fitted."""


class ModelIntegrityError(PlatformError):
    """A stored model's bytes do not match their recorded hash; no loader touched them."""


class RegistryError(PlatformError):
    """The model registry does not hold what was asked for."""


class StaleChampionError(PlatformError):
    """The champion moved since the evidence was gathered; evaluate again."""


class DeploymentError(PlatformError):
    """A model cannot be deployed: it was not promoted, or does not answer as it did when it was packed."""


class StalePointerError(PlatformError):
    """A deployment pointer was moved by somebody else since it was read; read it again."""

    is_retryable = True


class ScoringRequestError(PlatformError):
    """A scoring request cannot be answered as it is; nothing was scored."""


class ApprovalError(PlatformError):
    """A person's decision about a model version cannot be taken as asked; nothing was recorded."""


class StorageError(PlatformError):
    """A file, partition or ledger could not be written or read.

    Attributes:
        is_retryable: whether the same step may succeed if it is tried again (a full disk, a lock), or not
            (damage, a name that is not allowed).
    """

    def __init__(
        self, what: str, *, where: str = "", expected: str = "", remedy: str = "", is_retryable: bool = True
    ) -> None:
        self.is_retryable = is_retryable
        super().__init__(what, where=where, expected=expected, remedy=remedy)


class EngineError(PlatformError):
    """The table engine could not run a statement or read a file.

    Attributes:
        kind: `truncated_file`, `ragged_row`, `encoding`, `csv`, `memory`, `disk`, `missing_file`,
            `forbidden_path` or `statement`.
        line: line of a CSV file (the header is line 1), where known.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: str = "statement",
        line: int | None = None,
        where: str = "",
        expected: str = "",
        remedy: str = "",
    ) -> None:
        self.kind, self.line = kind, line
        self.is_retryable = kind in {"memory", "disk"}
        super().__init__(what, where=where, expected=expected, remedy=remedy)
