"""The slots for which policies compete: one a use case with offers, agent name and segment.

Belongs here: which slots there are, what follows a decision about one. Does not belong here: slots of models
(run_plan.slots) or when a policy is due (domain.offers.policy_readiness).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.ports import ModelSlot

if TYPE_CHECKING:
    from mlops_assets.domain.offers.state_scores import OfferSetting


def has_policy(settings: UseCase) -> bool:
    """Whether a segment decides about offers; states and offers are of days, so a snapshot has none."""
    return settings.offers is not None and settings.segment_by == "geography"


def require_offers(settings: UseCase) -> OffersSpec:
    """Return what a segment says about its offers; ValueError if it has none, which `has_policy` tells before."""
    if settings.offers is None:
        raise ValueError(f"{settings.name} has no offers")
    return settings.offers


def segments_by_agent(config: ProjectConfig, use_case: str) -> dict[str, dict[str, UseCase]]:
    """Return every agent of a use case with the segments that have it: an override may name another one."""
    found: dict[str, dict[str, UseCase]] = {}
    for segment, settings in sorted(config.use_cases[use_case].items()):
        if has_policy(settings):
            found.setdefault(require_offers(settings).agent.name, {})[segment] = settings
    return found


def find_offer_setting(config: ProjectConfig, settings: UseCase, segment: str) -> OfferSetting:
    """Return a segment's offers with the input models that its states need.

    Raises:
        KeyError: an input model is not configured for the segment, which the check of the configuration refuses.
    """
    from mlops_assets.domain.offers.state_scores import OfferSetting, ScoreSource

    offers = require_offers(settings)
    scores = []
    for name in offers.state.scores:
        use_case, _, model = name.rpartition("/")
        source = settings if use_case in {"", settings.name} else config.use_cases[use_case][segment]
        scores.append(ScoreSource(ModelSlot(source.name, model, segment), source.corpus))
    return OfferSetting(settings.name, segment, settings.corpus, offers, tuple(scores))


def policy_slots(config: ProjectConfig) -> Iterator[ModelSlot]:
    """Yield every slot of a policy."""
    for use_case in sorted(config.use_cases):
        for agent, segments in segments_by_agent(config, use_case).items():
            for segment in segments:
                yield ModelSlot(use_case, agent, segment)


def is_policy_slot(config: ProjectConfig, slot: ModelSlot) -> bool:
    """Whether policies compete for a slot, as the configuration is now."""
    return slot in policy_slots(config)


def follow_up_keys(config: ProjectConfig, slot: ModelSlot) -> list[list[str]]:
    """Return the keys of the assets that follow a person's decision about a slot, each for a run of its own.

    Daily offers read the ledger themselves, so a policy has no deployment, only its report.
    """
    if is_policy_slot(config, slot):
        return [names.ladder_report_key(slot.use_case, slot.model)]
    return names.follow_up_keys(slot.use_case, slot.model)
