"""The profile of a file: figures against a count by hand, and nothing of any subscriber."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.file_homologation import RowCounts
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.feed_profile import (
    OTHERS,
    FeedProfile,
    NumberProfile,
    number_columns,
    read_profile,
    segment_columns,
)
from resources.duckdb_engine import DuckDbEngine
from tests.unit.domain.quality.gate_world import FIRST_DAY, GateWorld

CONTRACT = FeedContract.model_validate(
    {
        "name": "bills",
        "description": "x",
        "owner": "team:x",
        "file_pattern": "bills_{day}.parquet",
        "key": ["bill_id"],
        "columns": [
            {"name": "bill_id", "source": "ID", "type": "text"},
            {"name": "subscriber_id", "source": "S", "type": "integer"},
            {
                "name": "amount_usd_cents",
                "source": "A",
                "type": "integer",
                "unit": "usd_cent",
                "nullable": True,
            },
            {"name": "pages", "source": "P", "type": "integer", "unit": "count"},
            {"name": "channel", "source": "C", "type": "text", "allowed": ["mail", "paper"]},
            {"name": "town", "source": "T", "type": "text", "nullable": True},
            {"name": "remark", "source": "R", "type": "text", "nullable": True},
            {"name": "agent_id", "source": "G", "type": "text", "nullable": True},
        ],
    }
)


def bills(folder: Path, rows: list[dict[str, object]]) -> Path:
    types = {"subscriber_id": pa.int64(), "amount_usd_cents": pa.int64(), "pages": pa.int64()}
    names = [c.name for c in CONTRACT.columns]
    table = pa.table({n: pa.array([r.get(n) for r in rows], types.get(n, pa.string())) for n in names})
    path = folder / "bills.parquet"
    pq.write_table(table, path)
    return path


def bill(number: int, **changes: object) -> dict[str, object]:
    row = {"bill_id": f"B{number}", "subscriber_id": number // 2, "amount_usd_cents": 100 * (number + 1)}
    return {
        **row,
        "pages": number % 3,
        "channel": "mail",
        "town": "Lima",
        "remark": f"for {number}",
        **changes,
    }


@pytest.fixture
def profile(tmp_path: Path, gate_engine: DuckDbEngine) -> FeedProfile:
    rows = [bill(n) for n in range(100)]
    rows[0] |= {"amount_usd_cents": None, "town": "Ica", "channel": "paper"}
    rows[1] |= {"amount_usd_cents": 0}
    rows[2] |= {"amount_usd_cents": -50}
    counts = RowCounts(delivered=110, good=100, duplicates=6, quarantined={"x": 4})
    return read_profile(CONTRACT, bills(tmp_path, rows), 100, counts, gate_engine)


def test_table_is_counted(profile: FeedProfile) -> None:
    assert (profile.row_count, profile.entity_count, profile.record_count) == (100, 50, 100)
    assert profile.records_per_entity == 2.0
    assert (profile.duplicate_share, profile.quarantined_share) == (
        pytest.approx(6 / 110, abs=1e-6),
        pytest.approx(4 / 110, abs=1e-6),
    )


def test_numbers_are_counted(profile: FeedProfile) -> None:
    amount = profile.numbers["amount_usd_cents"]
    assert (amount.null_count, amount.zero_count, amount.negative_count, amount.positive_count) == (
        1,
        1,
        1,
        97,
    )
    assert amount.total == sum(100 * (n + 1) for n in range(3, 100)) - 50
    assert sum(amount.bucket_counts) == 97
    assert amount.first_bucket == math.floor(4 * math.log(400))
    for found, exact in ((amount.p10, 1390), (amount.p50, 5200), (amount.p90, 9030)):
        assert found == pytest.approx(exact, rel=0.08)  # a bucket spans 28 %
    pages = profile.numbers["pages"]
    assert (pages.zero_count, pages.positive_count, pages.total, pages.p50) == (34, 66, 99.0, None)


def test_histograms_of_large_tables_are_of_a_sample_and_nothing_else_is(
    tmp_path: Path, gate_engine: DuckDbEngine
) -> None:
    path = bills(tmp_path, [bill(n) for n in range(200)])
    small = read_profile(CONTRACT, path, 200, RowCounts(), gate_engine)
    large = read_profile(CONTRACT, path, 100_000, RowCounts(), gate_engine)  # as if it had so many rows
    amount = large.numbers["amount_usd_cents"]
    assert sum(amount.bucket_counts) == sum((n // 2) % 8 == 0 for n in range(200))
    assert (amount.positive_count, amount.total) == (200, sum(100 * (n + 1) for n in range(200)))
    assert amount.p50 == pytest.approx(small.numbers["amount_usd_cents"].p50, rel=0.15)
    assert large.segments == small.segments


def test_only_measures_and_harmless_texts_are_profiled(profile: FeedProfile) -> None:
    assert set(profile.numbers) == {"amount_usd_cents", "pages"}
    assert profile.segments["channel"] == {"mail": 99, "paper": 1}, (
        "declared codes are shown whatever their count"
    )
    assert profile.segments["town"] == {OTHERS: 1, "Lima": 99}, (
        "an undeclared value of one row may be a person"
    )
    assert "remark" not in profile.segments, "more than 50 values name things one by one"
    assert not {"bill_id", "agent_id"} & set(profile.segments)


def test_profile_survives_json_and_knows_a_copy(profile: FeedProfile) -> None:
    again = FeedProfile.model_validate_json(json.dumps(profile.model_dump(mode="json")))
    assert again == profile
    assert again.content == profile.content
    resent = profile.model_copy(update={"duplicate_share": 0.5})
    assert resent.content == profile.content
    assert profile.model_copy(update={"entity_count": 49}).content != profile.content


def test_empty_file(tmp_path: Path, gate_engine: DuckDbEngine) -> None:
    profile = read_profile(CONTRACT, bills(tmp_path, []), 0, RowCounts(), gate_engine)
    assert (profile.row_count, profile.records_per_entity) == (0, 0.0)
    assert profile.numbers["pages"] == NumberProfile()
    assert profile.segments["channel"] == {}


def test_unreadable_file_is_a_clear_error(tmp_path: Path, gate_engine: DuckDbEngine) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(EngineError, match=r"Parquet|disk|truncated"):
        read_profile(CONTRACT, path, 1, RowCounts(), gate_engine)


def test_partials_count_records_and_subscribers(quiet_world: GateWorld) -> None:
    contract = quiet_world.contract("usage")
    manifest = quiet_world.lake.manifest(PartitionId("feeds/usage", "cl", FIRST_DAY))
    assert manifest is not None
    profile = FeedProfile.model_validate(manifest.facts["profile"] | {"numbers": {}})
    assert profile.row_count == profile.entity_count == manifest.row_count
    assert profile.record_count == manifest.facts["good"]
    assert "subscriber_id" not in manifest.facts["profile"]["numbers"]
    assert {c.name for c in number_columns(contract)} == set(manifest.facts["profile"]["numbers"])


def test_profiles_hold_no_subscriber_and_stay_small(quiet_world: GateWorld) -> None:
    for feed in ("usage", "subscribers", "topups", "dna"):
        partition = PartitionId(f"feeds/{feed}", "cl", FIRST_DAY + dt.timedelta(days=9))
        manifest = quiet_world.lake.manifest(partition)
        assert manifest is not None
        text = json.dumps(manifest.facts)
        numbers = pq.read_table(quiet_world.lake.path(partition), columns=["subscriber_id"])["subscriber_id"]
        assert not [n for n in numbers.to_pylist() if f'"{n}"' in text or f" {n}," in text]
        assert len(text) < 10_000
        assert {c.name for c in segment_columns(quiet_world.contract(feed))} >= set(
            manifest.facts["profile"]["segments"]
        )
