"""Rules between the offers of a use case and the other files: plans, state, scores, names, lengths.

Belongs here: checks of `offers:` that need the whole project, with file, line and a suggestion. Does not belong here:
checks of the block alone (domain/offers/offers_spec.py, catalogue_spec.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlops_assets.config.loader import Findings
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.table_names import unknown
from mlops_assets.config.yaml_source import YamlSource
from mlops_assets.domain.errors import ConfigError, PlatformError
from mlops_assets.domain.features.leakage import check_features
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.offers.offers_spec import OffersSpec

# The rules of eligibility speak of this table's columns.
OFFERED_TABLE = "etl/subscriber_features"
# `CLOCKS` of domain/offers/decision_data.py, which would load numpy with every configuration.
CLOCK_NAMES = frozenset({"days_to_expiry", "tenure_days", "days_since_offer"})
_STEP_DAYS = 7
# This week and the four before it: `HISTORY_WEEKS`, likewise.
REMEMBERED_DAYS = 5 * _STEP_DAYS


def check_offers(
    config: ProjectConfig,
    use_case: UseCase,
    segment: str,
    columns: Mapping[str, ColumnDoc],
    source: YamlSource,
    findings: Findings,
) -> None:
    """Add a finding for everything in `offers:` that has no counterpart elsewhere or can never work.

    Args:
        config: the whole project.
        use_case: as the segment has it.
        segment: a geography.
        columns: documented columns of its corpus table.
        source: where its values were read.
        findings: receives what is wrong.
    """
    offers = use_case.offers
    if offers is None:
        return
    _check_population(use_case, source, findings)
    _check_plans(config, offers, segment, source, findings)
    _check_state_features(use_case, offers, columns, source, findings)
    for place, reference in enumerate(offers.state.scores):
        where = source.where(("offers", "state", "scores", place))
        if (error := _score_problem(config, use_case, segment, reference, where)) is not None:
            findings.add(error)
    _check_agent(use_case, offers, source, findings)


def _check_population(use_case: UseCase, source: YamlSource, findings: Findings) -> None:
    """Offers are made by geography and day, to rows of the table whose columns the rules name."""
    if use_case.segment_by != "geography":
        findings.add(
            ConfigError(
                "offers are made by geography",
                where=source.where(("segment_by",)),
                expected="`segment_by: geography`",
                remedy="remove `offers`, or give the use case a daily table",
            )
        )
    if use_case.corpus.table != OFFERED_TABLE:
        findings.add(
            ConfigError(
                f"offers cannot be made to rows of {use_case.corpus.table}",
                where=source.where(("corpus", "table")),
                expected=f"{OFFERED_TABLE}, whose columns the rules of eligibility name",
                remedy="remove `offers`, or change the table",
            )
        )


def _check_plans(
    config: ProjectConfig, offers: OffersSpec, segment: str, source: YamlSource, findings: Findings
) -> None:
    everywhere = {plan for one in config.geographies.values() for plan in one.plan_codes.values()}
    geography = config.geographies.get(segment)
    for place, plan in enumerate(offers.catalogue.plans):
        where = source.where(("offers", "catalogue", "plans", place, "plan_code"))
        if plan.plan_code not in everywhere:
            findings.add(unknown("plan code", plan.plan_code, everywhere, where))
    sold = set(geography.plan_codes.values()) if geography else everywhere
    listed = {plan.plan_code for plan in offers.catalogue.plans}
    if listed and not listed & sold and listed <= everywhere:
        findings.add(
            ConfigError(
                f"{segment} sells no plan of the catalogue",
                where=source.where(("offers", "catalogue", "plans")),
                expected=f"one of {', '.join(sorted(sold))}",
                remedy=f"override `offers.catalogue.plans` for {segment}, or take the use case from its `use_cases`",
            )
        )


def _check_state_features(
    use_case: UseCase,
    offers: OffersSpec,
    columns: Mapping[str, ColumnDoc],
    source: YamlSource,
    findings: Findings,
) -> None:
    table, scores = use_case.corpus.table, {score.rsplit("/", 1)[-1] for score in offers.state.scores}
    for place, feature in enumerate(offers.state.features):
        where = source.where(("offers", "state", "features", place))
        try:
            check_features([feature], table=table, columns=columns, entity_key=use_case.corpus.entity_key)
        except PlatformError as error:
            what = f"state feature {feature!r} of {table}: {error.what}"
            findings.add(ConfigError(what, where=where, expected=error.expected, remedy=error.remedy))
            continue
        problem = _feature_problem(feature, columns[feature], scores)
        if problem is not None:
            expected = "a number that the state does not have yet"
            findings.add(ConfigError(problem, where=where, expected=expected, remedy="remove it"))


def _feature_problem(feature: str, column: ColumnDoc, scores: set[str]) -> str | None:
    if feature in CLOCK_NAMES:
        return f"state feature {feature!r} is a clock, which every state has"
    if feature in scores:
        return f"state feature {feature!r} has the name of a score of the state"
    if column.type not in {"integer", "decimal", "boolean"}:
        return f"state feature {feature!r} is a {column.type} column"
    return None


def _score_problem(
    config: ProjectConfig, use_case: UseCase, segment: str, reference: str, where: str
) -> ConfigError | None:
    """Return why the champion of a model cannot be part of the state, or None."""
    owner, _, model = reference.rpartition("/")
    owner = owner or use_case.name
    if owner not in config.use_cases:
        return unknown("use case", owner, config.use_cases, where)
    settings = config.use_cases[owner].get(segment)
    if settings is None:
        return ConfigError(
            f"{segment} does not run {owner}, whose {model} is part of the state",
            where=where,
            expected=f"a use case that {segment} runs",
            remedy=f"list {owner} under the `use_cases` of {segment}, or remove the score",
        )
    if model not in settings.models:
        return unknown(f"model of {owner} in {segment}", model, settings.models, where)
    return _unusable_score(settings, use_case, reference, where)


def _unusable_score(settings: UseCase, use_case: UseCase, reference: str, where: str) -> ConfigError | None:
    """Return why a model that exists gives no number a day and person, or None."""
    model = reference.rpartition("/")[2]
    if settings.corpus.entity_key != use_case.corpus.entity_key:
        what = f"{reference} scores each {settings.corpus.entity_key}"
        return ConfigError(what, where=where, expected=f"a score of each {use_case.corpus.entity_key}")
    if settings.models[model].task == "multiclass":
        return ConfigError(f"{reference} has a score for each class", where=where, expected="one number")
    if not settings.score_daily:
        return ConfigError(
            f"{settings.name} is not scored daily",
            where=where,
            expected="a score of each day",
            remedy=f"set `score_daily: true` in {settings.name}, or remove the score",
        )
    return None


def _check_agent(use_case: UseCase, offers: OffersSpec, source: YamlSource, findings: Findings) -> None:
    agent, policy = offers.agent, offers.catalogue.contact_policy
    at: Sequence[str] = ("offers", "agent")
    if agent.name in use_case.models:
        findings.add(
            ConfigError(
                f"the agent has the name of the model {agent.name}",
                where=source.where((*at, "name")),
                expected="a name of its own: both are decided about in the same ledger",
                remedy="rename one of them",
            )
        )
    for name in ("window_days", "cool_down_days"):
        if (days := getattr(policy, name)) > REMEMBERED_DAYS:
            findings.add(
                ConfigError(
                    f"the contact policy looks back further than a state remembers: {days} days",
                    where=source.where(("offers", "catalogue", "contact_policy", name)),
                    expected=f"at most {REMEMBERED_DAYS} days",
                    remedy=f"shorten `contact_policy.{name}`: no policy could be learned",
                )
            )
    if agent.history_weeks * _STEP_DAYS < policy.window_days:
        findings.add(
            ConfigError(
                f"{agent.history_weeks} weeks of history do not hold one contact window of {policy.window_days} days",
                where=source.where((*at, "history_weeks")),
                expected=f"at least {-(-policy.window_days // _STEP_DAYS)} weeks",
                remedy="raise `history_weeks`, or shorten `contact_policy.window_days`",
            )
        )
