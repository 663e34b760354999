"""What an environment may say about its buckets and databases, and what becomes of it without a credential."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.config.models import Environment
from mlops_assets.config.store_models import DatabaseConfig, StorageConfig
from mlops_assets.domain.errors import ConfigError
from resources.dagster_instance import LOCAL_INSTANCE, instance_file, render_instance
from resources.database_address import make_address
from resources.environments import open_platform, open_scratch
from resources.gcs_lake import GcsLake
from resources.lake import LocalLake
from resources.postgres_stores import PostgresPromotionLedger

ENVIRONMENTS = sorted(path.stem for path in (PROJECT_CONFIGS / "environments").glob("*.yaml"))
SERVER = {
    "kind": "postgresql",
    "host": "db.operator.example",
    "user": "mlops",
    "password_variable": "DB_PASSWORD",
}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kind": "gcs"}, "`bucket` is missing"),
        ({"kind": "gcs", "bucket": "Upper"}, "bucket"),
        ({"kind": "gcs", "bucket": "a"}, "bucket"),
        ({"kind": "gcs", "bucket": "../other"}, "bucket"),
        ({"kind": "gcs", "bucket": "gs://x"}, "bucket"),
        ({"kind": "gcs", "bucket": "my-google-data"}, "goog"),
        ({"kind": "gcs", "bucket": "ok-bucket", "lake": "../lake"}, "lake"),
        ({"kind": "gcs", "bucket": "ok-bucket", "lake": "/lake"}, "lake"),
        ({"lake": "a", "reports": "a/b"}, "lie in each other"),
        ({"lake": "a", "reports": "a"}, "lie in each other"),
        ({"kind": "s3"}, "kind"),
        ({"cache_gb": 0}, "cache_gb"),
    ],
)
def test_bad_storage_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        StorageConfig.model_validate(values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kind": "postgresql"}, "`host`, `user`, `password_variable` missing"),
        ({**SERVER, "tls": "none"}, "in clear to db.operator.example"),
        ({**SERVER, "password_variable": "hunter2"}, "password_variable"),
        ({**SERVER, "password": "hunter2"}, "password"),
        ({**SERVER, "host": "db@evil/x"}, "host"),
        ({**SERVER, "host": "/cloudsql/../../etc"}, "`..`"),
        ({**SERVER, "host": "db?sslmode=disable"}, "host"),
        ({**SERVER, "platform": "mlops; drop"}, "platform"),
        ({**SERVER, "dagster": "mlflow"}, "a database each"),
        ({**SERVER, "port": 0}, "port"),
    ],
)
def test_a_bad_database_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DatabaseConfig.model_validate(values)


def test_an_address_is_composed_with_the_secret_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    address = make_address(DatabaseConfig.model_validate(SERVER), "mlops")
    with pytest.raises(ConfigError, match="DB_PASSWORD"):
        address()
    monkeypatch.setenv("DB_PASSWORD", "p@ss/w:rd")
    assert address().render_as_string(hide_password=False) == (
        "postgresql+psycopg2://mlops:p%40ss%2Fw%3Ard@db.operator.example:5432/mlops?sslmode=verify-full"
    )
    assert "p@ss" not in repr(address())
    socket = DatabaseConfig.model_validate({**SERVER, "host": "/cloudsql/p:r:i", "tls": "none"})
    query = dict(make_address(socket, "mlops")().query)
    assert query == {"host": "/cloudsql/p:r:i", "sslmode": "disable"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_opens_without_network_or_secret(name: str, tmp_path: Path) -> None:
    environment = load_project(environment=name).environment
    platform = open_platform(environment, tmp_path)
    is_cloud = name != "local"
    assert isinstance(platform.lake, GcsLake if is_cloud else LocalLake)
    assert isinstance(platform.ledger, PostgresPromotionLedger) is is_cloud
    open_scratch(environment, tmp_path, tmp_path / "scratch")
    assert list(tmp_path.iterdir()) == [], "nothing is written before it is used"


def test_the_variable_alone_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_project().environment.storage.kind == "local"
    monkeypatch.setenv("MLOPS_ENVIRONMENT", "gcp")
    assert load_project().environment.storage.kind == "gcs"
    monkeypatch.setenv("MLOPS_ENVIRONMENT", "gpc")
    with pytest.raises(ConfigError, match="gcp, local, staging"):
        load_project()


def test_staging_and_production_share_neither_bucket_nor_database() -> None:
    one, other = (load_project(environment=name).environment for name in ("gcp", "staging"))
    assert not {one.storage.bucket, one.storage.landing_bucket} & {
        other.storage.bucket,
        other.storage.landing_bucket,
    }
    assert one.database.host != other.database.host


@pytest.mark.parametrize("name", [name for name in ENVIRONMENTS if name != "local"])
def test_the_rendered_instance_is_fresh_and_names_its_secret_only(name: str) -> None:
    environment = load_project(environment=name).environment
    text = instance_file(name).read_text()
    assert text == render_instance(environment), "run `mlops config render`"
    settings, local = yaml.safe_load(text), yaml.safe_load(LOCAL_INSTANCE.read_text())
    database = settings["storage"]["postgres"]["postgres_db"]
    assert database["scheme"] == "postgresql+psycopg2"
    assert database["password"] == {"env": environment.database.password_variable}
    assert settings["telemetry"] == {"enabled": False}
    assert settings["compute_logs"]["config"]["bucket"] == environment.storage.bucket
    assert "event_log_storage" not in settings
    for shared in ("concurrency", "run_queue", "run_monitoring", "run_retries", "retention"):
        assert settings[shared] == local[shared]


def test_the_local_instance_is_the_file_as_it_is(tmp_path: Path) -> None:
    environment = Environment.model_validate({"name": "mine", "calendar": {"first_day": "2026-08-03"}})
    assert render_instance(environment) == LOCAL_INSTANCE.read_text()
    assert not list(tmp_path.iterdir())
