"""How a day's proposals and their reconciliation look in Dagster.

Belongs here: metadata made of counts. Does not belong here: any person's proposal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.assets.presentation import record_table
from mlops_assets.domain.offers.daily_offers import ProposalOutcome
from mlops_assets.domain.offers.proposal_checks import ProposalFaults
from mlops_assets.domain.offers.reconciliation_day import ReconciledDay, mismatch_share


def proposal_metadata(published: Sequence[ProposalOutcome]) -> dict[str, dg.MetadataValue[Any]]:
    """Return offers by geography (Dagster plots them), by choice, and how far the limits are used."""
    facts = {one.partition.segment: one.manifest.facts for one in published if one.manifest is not None}
    metadata: dict[str, dg.MetadataValue[Any]] = {
        f"offers_{segment}": dg.MetadataValue.int(int(found["offers"])) for segment, found in facts.items()
    }
    choices = [
        {"geography": segment, "choice": choice, "people": people}
        for segment, found in facts.items()
        for choice, people in found["offers_by_choice"].items()
    ]
    limits = [
        {
            "geography": segment,
            "limit": name,
            "allowed": limit,
            "used": found["used"][name],
            "random contacts a day": found["contact_share"],
            "taken back": found["taken_back"],
        }
        for segment, found in facts.items()
        for name, limit in found["limits"].items()
    ]
    return metadata | {"choices": record_table(choices), "limits": record_table(limits)}


def faults_metadata(faults: Mapping[str, ProposalFaults]) -> dict[str, dg.MetadataValue[Any]]:
    """Return one line per geography whose proposals were counted."""
    return {
        "counted": record_table(
            [
                {
                    "geography": segment,
                    "proposals": one.rows,
                    "repeated": one.repeated,
                    "unsound chances": one.unsound_chances,
                    "forbidden offers": one.forbidden,
                    "unfair": "; ".join(one.unfair),
                }
                for segment, one in faults.items()
            ]
        )
    }


def reconciled_metadata(days: Sequence[ReconciledDay]) -> dict[str, dg.MetadataValue[Any]]:
    """Return the figures of each geography that was reconciled."""
    return {
        "reconciled": record_table(
            [
                {
                    "geography": one.geography,
                    "RL offers": one.rl_offers,
                    "sent": one.sent_offers,
                    "no offer": one.no_offer,
                    "different offer": one.different_offer,
                    "mismatch share": mismatch_share(one.rl_offers, one.no_offer, one.different_offer) or 0.0,
                    "left alone": one.declined,
                    "unproposed": one.unproposed,
                }
                for one in days
            ]
        )
    }
