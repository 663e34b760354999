"""The week's reports on the graph: offers from the lake to the mail, utilisation from the event log."""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.assets import execution
from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import daily_partitions
from mlops_assets.assets.step_usage import read_usage
from mlops_assets.assets.weekly_reports import build_offer_reports
from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.definitions import build_defs
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.definitions.conftest import FIRST_DAY
from tests.fakes.mail import FakeOutbox
from tests.fakes.report_store import FakeReportStore

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
MONDAY = FIRST_DAY
SUNDAY = MONDAY + dt.timedelta(days=6)
TUESDAY = MONDAY + dt.timedelta(days=1)
REPORT = "churn/offer_performance/week-2026-08-09.html"


def project_with_offers() -> ProjectConfig:
    """Return the project whose churn use case makes offers in one geography."""
    config = load_project()
    offers = OffersSpec(catalogue=OfferCatalogueSpec())
    changed = config.use_cases["churn"] | {
        "cl": config.use_cases["churn"]["cl"].model_copy(update={"offers": offers})
    }
    return config.model_copy(update={"use_cases": {"churn": changed}})


class Offers:
    """A lake with reconciled days, and the report's asset over it."""

    def __init__(self, root: Path) -> None:
        config = project_with_offers()
        self.table = reconciliation_table(proposals_table("churn"))
        (self.asset,) = build_offer_reports(config, daily_partitions(config.environment.calendar))
        self.lake, self.reports, self.outbox = LocalLake(root / "lake"), FakeReportStore(), FakeOutbox()
        self.engine = DuckDbEngine(1, "500MB", root / "spill", [root])

    def reconcile(self, day: dt.date, proposed: int) -> None:
        """Publish a day on which nothing that was proposed was sent."""
        types = {name: column.type for name, column in self.table.columns.items()}
        keys = {"proposed_plan": "data_m", "sent_plan": "none", "model_version": "7", "offers": proposed}
        rows = [{**dict.fromkeys(types, 0), **keys, "kind": kind} for kind in ("proposed", "no_offer")]
        with self.lake.write(
            PartitionId(self.table.name, "cl", day), stable_hash(str((day, rows)))
        ) as writer:
            content = pa.Table.from_pylist(rows, schema=empty_arrow(types).schema)
            pq.write_table(content, writer.file("data"))
            writer.commit(row_count=len(rows))

    def report(self, day: dt.date) -> dg.AssetMaterialization:
        """Materialise the report of a day."""
        ports = {"lake": self.lake, "engine": self.engine, "reports": self.reports, "outbox": self.outbox}
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [self.asset], partition_key=day.isoformat(), resources=ports, instance=instance
            )
        (event,) = result.get_asset_materialization_events()
        return event.materialization


@pytest.fixture
def offers(tmp_path: Path) -> Offers:
    """Return an empty lake of offers."""
    return Offers(tmp_path)


def test_a_use_case_with_offers_has_a_report_in_the_daily_graph() -> None:
    definitions = build_defs(project_with_offers())
    graph = definitions.resolve_asset_graph()
    key = dg.AssetKey(names.offer_report_key("churn"))
    assert [one.to_user_string() for one in graph.get(key).parent_keys] == ["offers/churn/reconciliation"]
    assert key in graph.get(dg.AssetKey(["reports", "day_log"])).parent_keys
    assert key in definitions.resolve_job_def(names.DAILY_JOB).asset_layer.executable_asset_keys


def test_without_offers_there_is_no_report() -> None:
    config = load_project()
    churn_only = config.model_copy(update={"use_cases": {"churn": config.use_cases["churn"]}})
    assert build_offer_reports(churn_only, daily_partitions(config.environment.calendar)) == []


def test_the_week_is_mailed_once_and_on_its_last_day(offers: Offers) -> None:
    offers.reconcile(MONDAY, 10)
    offers.report(MONDAY)
    assert offers.outbox.messages == []
    assert b"2026-08-03" in offers.reports.saved[REPORT]
    for _ in range(2):
        made = offers.report(SUNDAY)
    (mail,) = offers.outbox.entries()
    assert mail.key.partition == "2026-08-03/2026-08-09"
    assert mail.key.recipient == "customer-value@operator.example"
    assert made.metadata["mismatch_ratio"].value == 1.0
    assert b"churn/offer_performance/week-2026-08-09.html" in offers.reports.saved["index.html"]


def test_a_late_day_changes_the_page_of_its_week(offers: Offers) -> None:
    offers.reconcile(SUNDAY, 5)
    offers.report(SUNDAY)
    before = offers.reports.saved[REPORT]
    offers.reconcile(MONDAY, 10)
    offers.report(MONDAY)
    assert offers.reports.saved[REPORT] != before
    (mail,) = offers.outbox.entries()
    assert mail.subject == "Offer performance: 2026-08-03 to 2026-08-09"


def test_before_the_first_offer_there_is_no_page(offers: Offers) -> None:
    made = offers.report(SUNDAY)
    assert made.metadata["report"].value == "Nothing has been proposed in this week."
    assert offers.reports.saved == {}


# ---------------------------------------------------------------- utilisation

DAYS = dg.DailyPartitionsDefinition(start_date=MONDAY.isoformat())
SEGMENTS = dg.StaticPartitionsDefinition(["cl"])
TROUBLE: list[Exception] = []


@dg.asset(key=["etl", "one"], partitions_def=DAYS)
@retry_if_worthwhile
def one(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # noqa: ARG001
    """A table with rows, which fails as often as there is trouble."""
    time.sleep(0.05)
    if TROUBLE:
        raise TROUBLE.pop()
    return dg.MaterializeResult(metadata={"dagster/row_count": 12})


@dg.asset(key=["model", "churn", "risk"], partitions_def=SEGMENTS)
@retry_if_worthwhile
def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # noqa: ARG001
    """A training."""
    return dg.MaterializeResult()


@dg.multi_asset(
    name="several",
    specs=[dg.AssetSpec(["quality", name], partitions_def=DAYS) for name in ("first__half", "second")],
)
@retry_if_worthwhile
def failing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # noqa: ARG001
    """Two assets of one step, which never come."""
    yield from ()
    raise StorageError("damaged", is_retryable=False)


@dg.asset(key=["etl", "old"], partitions_def=DAYS)
def unmeasured() -> None:
    """A step that nothing measures."""


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance in memory; trouble of other tests is forgotten, retries do not wait."""
    TROUBLE.clear()
    monkeypatch.setattr(execution, "RETRY_AFTER_S", 0.0)
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def make(
    instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partition: str, **tags: str
) -> dg.ExecuteInProcessResult:
    """Materialise an asset, whatever comes of it."""
    tagged = {name.replace("__", "/"): value for name, value in tags.items()}
    return dg.materialize(
        [asset], partition_key=partition, instance=instance, tags=tagged, raise_on_error=False
    )


def test_steps_are_read_with_time_cpu_and_rows(instance: dg.DagsterInstance) -> None:
    for day in (MONDAY, TUESDAY):
        make(instance, one, day.isoformat())
    steps, runs = read_usage(instance, TUESDAY, SUNDAY)
    (step,) = steps
    assert (step.asset, step.day, step.row_count, step.is_failed) == ("etl/one", TUESDAY, 12, False)
    assert step.seconds >= 0.05
    assert step.cpu_seconds is not None
    assert step.cpu_seconds < step.seconds
    (run,) = runs
    assert run.seconds >= step.seconds


def test_every_try_counts(instance: dg.DagsterInstance) -> None:
    TROUBLE.append(StorageError("the disk is full"))
    assert make(instance, one, MONDAY.isoformat()).success
    steps, _ = read_usage(instance, MONDAY, MONDAY)
    assert [(step.is_failed, step.asset) for step in steps] == [(True, "etl/one"), (False, "etl/one")]
    assert steps[0].seconds >= 0.05
    assert steps[0].cpu_seconds is None


def test_a_failed_run_counts(instance: dg.DagsterInstance) -> None:
    TROUBLE.append(StorageError("damaged", is_retryable=False))
    assert not make(instance, one, MONDAY.isoformat()).success
    (step,), runs = read_usage(instance, MONDAY, MONDAY)
    assert step.is_failed
    assert len(runs) == 1


def test_a_failed_step_of_several_assets_counts_where_they_do(instance: dg.DagsterInstance) -> None:
    """Its own name has no stage in it."""
    make(instance, failing, MONDAY.isoformat())
    (step,), _ = read_usage(instance, MONDAY, MONDAY)
    assert (step.asset, step.stage, step.is_failed) == ("quality/first__half", "quality", True)


def test_a_training_counts_on_its_as_of_day_else_on_the_day_it_ran(instance: dg.DagsterInstance) -> None:
    make(instance, trained, "cl", mlops__as_of_day=TUESDAY.isoformat())
    make(instance, trained, "cl")
    assert [step.day for step in read_usage(instance, MONDAY, SUNDAY)[0]] == [TUESDAY]
    today = dt.datetime.now(dt.UTC).date()
    yesterday = today - dt.timedelta(days=1)  # the clock may pass midnight
    assert len(read_usage(instance, yesterday, today)[0]) == 1


def test_what_nothing_measured_has_no_cpu(instance: dg.DagsterInstance) -> None:
    make(instance, unmeasured, MONDAY.isoformat())
    (step,), _ = read_usage(instance, MONDAY, MONDAY)
    assert (step.asset, step.cpu_seconds, step.row_count) == ("etl/old", None, None)


def test_a_day_of_the_graph_leaves_a_page(replay: Replay) -> None:
    """Every stage that ran is in it, measured; the report comes after the day's log."""
    (result,) = replay.run(MONDAY, MONDAY, lambda _: None)
    assert result.status == "built"
    reports = replay.workspace.platform.reports
    page = reports.read("utilisation/week-2026-08-09.html").decode()
    lines = reports.read("utilisation/week-2026-08-09.csv").decode().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    known = [tuple(line[:2]) for line in cells]
    assert known[0] == ("feeds", "shared")
    assert {("etl", "shared"), ("quality", "shared"), ("scores", "churn"), ("Total", "")} <= set(known)
    assert all(float(line[4]) > 0 for line in cells if line[0] in ("feeds", "etl", "quality", "Total"))
    assert {line[7] for line in cells} == {"0"}
    assert int(cells[0][5]) > result.rows / 2
    assert "Utilisation: 2026-08-03 to 2026-08-03" in page
    assert b"utilisation/week-2026-08-09.html" in reports.read("index.html")
