"""The registry's aliases as a projection of the ledger.

Belongs here: what the aliases should say, and making them say it. Does not belong here: who is champion (the
ledger), or serving, which never reads an alias.

The projection converges: whoever dies between ledger and registry leaves the old aliases, and the next projection
of the slot, whoever asks for it, writes the present ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.ports import ModelRegistry, ModelSlot, PromotionLedger

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class AliasRepair:
    """Aliases of a slot that did not say what the ledger says, and what they say now."""

    slot: ModelSlot
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def text(self) -> str:
        """The repair in one line."""
        said = ", ".join(f"{alias} {version}" for alias, version in sorted(self.before.items()))
        says = ", ".join(f"{alias} {version}" for alias, version in sorted(self.after.items()))
        return f"{self.slot.registered_name}: the registry's aliases said {said or 'nothing'}; they say {says} now"


def wanted_aliases(ledger: PromotionLedger, slot: ModelSlot) -> dict[str, str]:
    """Return alias to version as the ledger has it: the champion, and the version that was judged last."""
    champion = ledger.champion(slot)
    judged = [entry.version for entry in ledger.history(slot) if entry.decided_by == GATE]
    wanted = {CHAMPION: champion.version} if champion else {}
    return wanted | ({CHALLENGER: judged[-1]} if judged else {})


def project_aliases(registry: ModelRegistry, ledger: PromotionLedger, slot: ModelSlot) -> None:
    """Make the registry's aliases say what the ledger says, also if it says something else by the end.

    Raises:
        RegistryError: the registry does not have the model or the version, or cannot be reached.
    """
    written: dict[str, str] | None = None
    # Another process may promote between reading and writing; the last to write reads what it wrote.
    while written != (wanted := wanted_aliases(ledger, slot)):
        registry.project_aliases(slot.registered_name, wanted.get(CHAMPION), wanted.get(CHALLENGER))
        written = wanted


def repair_aliases(
    registry: ModelRegistry, ledger: PromotionLedger, slots: Iterable[ModelSlot] | None = None
) -> list[AliasRepair]:
    """Project the slots whose aliases differ from the ledger, all by default; return what was repaired.

    Raises:
        RegistryError: as `project_aliases`.
    """
    repairs = []
    for slot in ledger.slots() if slots is None else slots:
        wanted = wanted_aliases(ledger, slot)
        if not wanted:
            continue
        before = dict(registry.aliases(slot.registered_name))
        managed = {alias: before[alias] for alias in (CHAMPION, CHALLENGER) if alias in before}
        if managed != wanted:
            project_aliases(registry, ledger, slot)
            repairs.append(AliasRepair(slot, managed, wanted_aliases(ledger, slot)))
    return repairs
