"""Names by which assets, jobs, groups, tags and partitions are known.

Belongs here: every string that two packages must agree on. Does not belong here: Dagster objects.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.domain.learning import lake_tables
from mlops_assets.domain.offers import offer_tables

SHARED_GROUP = "shared"
# What rests on every use case: in a group of its own, so that the lineage reads from left to right.
OPERATION_GROUP = "operation"

FEED_STAGE = "feeds"
# First part of asset keys, in the order of the data flow.
STAGES = (
    FEED_STAGE,
    "etl",
    "quality",
    "corpus",
    "model",
    "champion",
    "fleet",
    "deployment",
    "scores",
    "alerts",
    "matched",
    "offers",
    "reports",
)
UTILISATION_TABLE = "reports/utilisation"
DAY_LOG_KEY = ("reports", "day_log")
# What later days rest on; all else of a day is for the people and systems of that day.
HISTORY_STAGES = frozenset({FEED_STAGE, "etl", "quality"})

DAILY_JOB = "daily_graph"
TRAINING_JOB = "train_and_promote"
SNAPSHOT_QUALITY_JOB = "snapshot_quality"
DECISION_JOB = "decide_approval"
FOLLOW_UP_JOB = "follow_decision"

FEED_ARRIVAL_SENSOR = "feed_arrival"
FIRST_CHAMPION_SENSOR = "first_champion"
DRIFT_SENSOR = "drift"
ORPHANS_SENSOR = "orphans"
OUTBOX_SENSOR = "outbox"
ALERTS_SENSOR = "alerts"
APPROVALS_SENSOR = "approvals"

TAG_PARTITION = "dagster/partition"  # Dagster's own
TAG_REASON = "mlops/reason"
TAG_AS_OF_DAY = "mlops/as_of_day"
TAG_DELIVERY = "mlops/delivery"
TAG_SHIFT = "mlops/shift"  # monitor/day on which a shift was recognised
TAG_QUEUE = "mlops/queue"
TAG_SIZE = "mlops/size"  # s, m or l: the machine that a run needs, where runs have machines of their own
TAG_LAUNCH = (
    "mlops/launch"  # the Cloud Run job that a launch was begun with: a second launch looks before it starts
)
TAG_EXECUTION = "mlops/execution"  # the execution that Cloud Run named when it was asked
TAG_STOPPED = "mlops/worker_stopped"  # the run is over, and so is its worker
TAG_WORKER = "mlops/worker"  # the execution that has claimed the run; it knows best

CHECK_DELIVERY = "delivery"
REFUSED_METADATA = "refused_by_geography"
STATES_METADATA = "states_by_geography"
SECONDS_METADATA = "seconds"
CPU_SECONDS_METADATA = "cpu_seconds"
CHECK_CONTRACT = "contract"
CHECK_HEALTH = "feed_health"
CHECK_FRESHNESS = "freshness"
CHECK_SCHEMA = "published_schema"
CHECK_INPUTS = "inputs_present"
CHECK_ONE_OFFER = "one_offer_per_person"
CHECK_ALLOWED = "only_allowed_offers"
CHECK_FAIRNESS = "groups_alike"
CHECK_SUMS = "sums_close"
CHECK_GATE = "gate"
CHECK_GROUPS = "groups_trained"
CHECK_MATCHED = "days_matched"
CHECK_RECALL = "recall_holds"
CHECK_COVERAGE = "kernel_coverage"
CHECK_ANOMALIES = "anomaly_share"
CHECK_DRIFT = "behaviour"
CHECK_SIMULATOR = "simulator_holds"
CHECK_PERFORMANCE = "as_expected"
CHECK_SUBSCRIBERS = "subscribers_outside"


def is_history(key: Sequence[str]) -> bool:
    """Whether an asset of the day is built when past days are imported: data, verdicts, and the note of the day."""
    return key[0] in HISTORY_STAGES or tuple(key) == DAY_LOG_KEY


def is_feed(key: Sequence[str]) -> bool:
    """Whether an asset is a homologated feed."""
    return key[0] == FEED_STAGE


def feed_key(feed: str) -> list[str]:
    """Asset key of a homologated feed."""
    return [FEED_STAGE, feed]


def table_key(table: str) -> list[str]:
    """Asset key of a lake table such as `etl/profile`."""
    return table.split("/")


def corpus_key(use_case: str, model: str) -> list[str]:
    """Asset key of a training corpus."""
    return table_key(lake_tables.corpus_table(use_case, model))


def model_key(use_case: str, model: str) -> list[str]:
    """Asset key of a challenger."""
    return table_key(lake_tables.challenger_table(use_case, model))


def champion_key(use_case: str, model: str) -> list[str]:
    """Asset key of a promotion decision."""
    return ["champion", use_case, model]


def fleet_key(use_case: str, model: str) -> list[str]:
    """Asset key of a fleet's models, one per group."""
    return table_key(lake_tables.fleet_table(use_case, model))


def fleet_alerts_key(use_case: str, model: str) -> list[str]:
    """Asset key of a fleet's daily alert list."""
    return table_key(lake_tables.alerts_table(use_case, model))


def fleet_matched_key(use_case: str, model: str) -> list[str]:
    """Asset key of a fleet's predictions beside what happened."""
    return table_key(lake_tables.matched_table(use_case, model))


def fleet_report_key(use_case: str, model: str) -> list[str]:
    """Asset key of the weekly report on a fleet."""
    return ["reports", use_case, f"{model}_fleet"]


def fleet_training_report_key(use_case: str, model: str) -> list[str]:
    """Asset key of the report on a fleet's newest training."""
    return ["reports", use_case, f"{model}_fleet_training"]


def scores_key(use_case: str, model: str) -> list[str]:
    """Asset key of a champion's daily scores."""
    return table_key(lake_tables.scores_table(use_case, model))


def model_card_key(use_case: str, model: str) -> list[str]:
    """Asset key of a champion's model card."""
    return ["reports", use_case, f"{model}_card"]


def retraining_report_key(use_case: str, model: str) -> list[str]:
    """Asset key of the report on a model's newest decision."""
    return ["reports", use_case, f"{model}_retraining"]


def offer_report_key(use_case: str) -> list[str]:
    """Asset key of the weekly report on a use case's offers."""
    return ["reports", use_case, "offer_performance"]


def deployment_key(use_case: str, model: str) -> list[str]:
    """Asset key of the deployment of a champion."""
    return ["deployment", use_case, model]


def transitions_key(use_case: str) -> list[str]:
    """Asset key of the person-weeks that policies are learned from."""
    return table_key(lake_tables.transitions_table(use_case))


def simulator_key(use_case: str) -> list[str]:
    """Asset key of the simulators that policies are learned and judged in."""
    return table_key(lake_tables.simulator_table(use_case))


def performance_key(use_case: str) -> list[str]:
    """Asset key of the verdict on what the offers of a week brought."""
    return table_key(lake_tables.performance_table(use_case))


def ladder_report_key(use_case: str, agent: str) -> list[str]:
    """Asset key of the report on a policy's newest decision."""
    return ["reports", use_case, f"{agent}_ladder"]


def policy_keys(use_case: str, agent: str) -> list[list[str]]:
    """Asset keys by which the policy of a slot is trained, judged and reported, in order."""
    return [
        transitions_key(use_case),
        simulator_key(use_case),
        model_key(use_case, agent),
        champion_key(use_case, agent),
        ladder_report_key(use_case, agent),
    ]


def follow_up_keys(use_case: str, model: str) -> list[list[str]]:
    """Asset keys that follow a person's decision about a model: what serves, then what shows it.

    Each has a run of its own: a page that cannot be made must not keep a withdrawn model serving.
    """
    return [deployment_key(use_case, model), model_card_key(use_case, model)]


def proposals_key(use_case: str) -> list[str]:
    """Asset key of the proposals that a day's data lead to; they are for the day after."""
    return table_key(offer_tables.proposals_table(use_case))


def delivery_key(use_case: str) -> list[str]:
    """Asset key of the delivery of proposals to the agents' store."""
    return table_key(offer_tables.delivery_table(use_case))


def reconciliation_key(use_case: str) -> list[str]:
    """Asset key of what was proposed beside what was sent."""
    return table_key(offer_tables.reconciliation_table_name(use_case))


def training_job(use_case: str) -> str:
    """Job that trains and judges all models of a use case, one segment a run."""
    return f"{TRAINING_JOB}_{use_case}"


def follow_up_job(use_case: str) -> str:
    """Job that renews what shows a decision about a model of a use case, one segment a run."""
    return f"{FOLLOW_UP_JOB}_{use_case}"
