"""Columns that may not be features are refused by name."""

from __future__ import annotations

import pytest

from mlops_assets.domain.errors import ConfigError, LeakageError
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.leakage import check_features, feed_columns
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.feeds.contract import FeedContract

COLUMNS = FEATURE_TABLES["etl/subscriber_features"].columns


def check(features: list[str], columns: dict[str, ColumnDoc] | None = None, label: str | None = None) -> None:
    check_features(
        features, table="etl/x", columns=columns or COLUMNS, entity_key="subscriber_id", label_column=label
    )


def test_features_of_the_table_pass() -> None:
    check([name for name, column in COLUMNS.items() if column.role == "feature"])


def test_unknown_feature_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'avg_topup_amt'"):
        check(["avg_topup_amount"])


def test_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="key column"):
        check(["subscriber_id"])


@pytest.mark.parametrize(
    ("column", "label"),
    [
        (ColumnDoc("text", "outcome", role="label"), None),
        (ColumnDoc("text", "outcome"), "outcome"),
        (ColumnDoc("text", "corrected for a week", is_point_in_time=False), None),
    ],
)
def test_leaks_are_refused(column: ColumnDoc, label: str | None) -> None:
    with pytest.raises(LeakageError, match="outcome"):
        check(["outcome"], {"outcome": column, "fine": ColumnDoc("text", "fine")}, label)


def test_info_columns_are_refused() -> None:
    with pytest.raises(ConfigError, match="info column"):
        check(["last_day"], dict(FEATURE_TABLES["etl/usage_30d"].columns))


def test_names_of_the_corpus_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a reserved column is not a feature.*use one of fine"):
        check(["split"], {"split": ColumnDoc("text", "of a feed's own"), "fine": ColumnDoc("text", "fine")})


def test_columns_of_a_snapshot_feed() -> None:
    contract = FeedContract.model_validate(
        {
            "name": "telco",
            "description": "one snapshot",
            "owner": "team:test",
            "cadence": "snapshot",
            "file_pattern": "telco.csv",
            "key": ["customer_id"],
            "columns": [
                {"name": "customer_id", "source": "customerID", "type": "text"},
                {"name": "tenure_months", "source": "tenure", "type": "integer", "description": "months"},
            ],
        }
    )
    columns = feed_columns(contract)
    assert columns["customer_id"].role == "key"
    assert columns["tenure_months"] == ColumnDoc("integer", "months")
