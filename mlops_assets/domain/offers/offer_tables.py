"""Names of the lake tables about offers.

Belongs here: every such name, once. Does not belong here: what the tables hold.
"""

from __future__ import annotations

CONTACTS_TABLE = "feeds/offers_sent"
PLANS_TABLE = "feeds/plans"


def proposals_table(use_case: str) -> str:
    """Lake table of the proposals; the partition of a day holds what is proposed for that day."""
    return f"offers/{use_case}/proposals"


def delivery_table(use_case: str) -> str:
    """Lake table in which deliveries to the agents' store are noted, by the day of the offers."""
    return f"offers/{use_case}/delivery"


def reconciliation_table_name(use_case: str) -> str:
    """Lake table of what was proposed beside what was sent."""
    return f"offers/{use_case}/reconciliation"
