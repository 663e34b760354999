"""An MLflow database as the MLflow before this one left it, for the tests of upgrades."""

from __future__ import annotations

from resources.mlflow_store import _import_stores


def make_older_store(address: str) -> str:
    """Make the tables of the last schema but one in an empty database and return its revision."""
    _import_stores()
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels import initial_models

    engine = utils.create_sqlalchemy_engine(address)
    initial_models.Base.metadata.create_all(engine)
    config = utils._get_alembic_config(address)
    _, older, *_ = ScriptDirectory.from_config(config).walk_revisions()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older.revision)
    engine.dispose()
    return str(older.revision)
