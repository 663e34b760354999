"""The tests of a port's contract, to be run again over another adapter.

Belongs here: taking them over by name. Does not belong here: any assertion.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def contract_of(contract: ModuleType) -> dict[str, Any]:
    """Return a module's tests by name; laid into the globals of another module, they use that one's fixtures."""
    return {name: found for name, found in vars(contract).items() if name.startswith("test_")}
