"""A fleet's predictions beside what happened, by group and day of prediction.

Belongs here: counting a day once everything within its horizon is in. Does not belong here: figures over days and
drift (fleet_live), or learning from it (corpus).

A day is matched when the feed of each of the following `horizon_days` days is there; a missing one is named and the day
waits: it is never taken for a day on which nothing happened. Devices that were not heard of are counted apart if the
label asks for that (`given`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.alerts import rank_alerts
from mlops_assets.domain.learning.corpus_expression import fits_values, reaches_values
from mlops_assets.domain.learning.fleet_scoring import FleetDay
from mlops_assets.domain.learning.lake_tables import matched_table
from mlops_assets.domain.learning.spec import AlertSpec, EventLabel
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import find_current
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]

MATCHING_VERSION = "1"
CAUGHT = "events"  # file of the devices that had an event
LOOK_BACK_DAYS = 14
_SMALLEST = 1e-15
_DAY = dt.timedelta(days=1)
# Columns of a matched day, all of them sums over a group's devices that were observed (but `devices`).
SUMS = (
    *("devices", "observed", "events", "expected_events", "above", "above_events"),
    *("alerts", "alert_events", "at_capacity", "at_capacity_events", "loss", "pooled_loss"),
)


@dataclass(frozen=True)
class MatchOutcome:
    """What became of a day of predictions. `status`: built, reused, no_scores or incomplete."""

    partition: PartitionId
    status: Literal["built", "reused", "no_scores", "incomplete"]
    detail: str
    manifest: Manifest | None = None
    missing: tuple[str, ...] = ()


def days_to_match(run_day: dt.date, label: EventLabel) -> list[dt.date]:
    """Return the days whose horizon has ended by a day, oldest first.

    Beside the newest one, `LOOK_BACK_DAYS` earlier ones that may have waited: a late feed completes them in turn.
    """
    newest = run_day - label.horizon_days * _DAY
    return [newest - back * _DAY for back in range(LOOK_BACK_DAYS, -1, -1)]


def find_missing_feeds(fleet: FleetDay, lake: Lake) -> list[str]:
    """Return the feeds that scored days wait for whose horizon has ended by the fleet's day."""
    label, _ = _asked(fleet)
    slot, missing = fleet.slot, set()
    for day in days_to_match(fleet.day, label):
        if lake.manifest(replace(fleet, day=day).target) is None:
            continue
        ahead = [day + number * _DAY for number in range(1, label.horizon_days + 1)]
        missing |= {PartitionId(label.table, slot.segment, one) for one in ahead}
    return [str(one) for one in sorted(missing) if lake.manifest(one) is None]


def match_day(fleet: FleetDay, *, lake: Lake, engine: TableEngine) -> MatchOutcome:
    """Count a day's predictions beside the events of its horizon.

    Publishes one row per group (null for devices without one): `devices` scored; of those observed: `observed`,
    `events`, `expected_events` (sum of probabilities), those `above` the threshold, `alerts` (threshold and capacity)
    and those `at_capacity` (the likeliest, whatever their cost), each with its events; `loss` and `pooled_loss`, sums
    of the log loss of the scores and of the pooled model's. File `events`: a row per device that had an event.

    Raises:
        TypeError: the model has no alerts, or its label is no event.
    """
    label, alerts = _asked(fleet)
    slot = fleet.slot
    target = PartitionId(matched_table(slot.use_case, slot.model), slot.segment, fleet.day)
    scores = lake.manifest(fleet.target)
    if scores is None:
        return MatchOutcome(target, "no_scores", f"{fleet.target} not there")
    days = [fleet.day + ahead * _DAY for ahead in range(1, label.horizon_days + 1)]
    sources = [PartitionId(label.table, slot.segment, day) for day in days]
    found = {source: lake.manifest(source) for source in sources}
    if missing := tuple(str(source) for source, manifest in found.items() if manifest is None):
        return MatchOutcome(target, "incomplete", f"not matched without {', '.join(missing)}", None, missing)
    inputs = {str(fleet.target): scores.build_key}
    inputs |= {str(source): manifest.build_key for source, manifest in found.items() if manifest}
    build_key = stable_hash([inputs, label, alerts, MATCHING_VERSION])
    if current := find_current(lake, target, build_key):
        return MatchOutcome(target, "reused", _describe(current), current)
    outcomes = _read_outcomes(fleet, label, [lake.path(source) for source in found], engine)
    with lake.write(target, build_key) as writer:
        matched = _Matched.of(fleet, alerts, lake.path(fleet.target), outcomes, label)
        matched.write(writer.file("data"), writer.file(CAUGHT))
        manifest = writer.commit(row_count=len(matched.names), inputs=inputs, facts=matched.facts())
    return MatchOutcome(target, "built", _describe(manifest), manifest)


def _asked(fleet: FleetDay) -> tuple[EventLabel, AlertSpec]:
    label, alerts = fleet.spec.label, fleet.spec.alerts
    if not isinstance(label, EventLabel) or alerts is None:
        raise TypeError("a model with alerts about events is expected")
    return label, alerts


def _describe(manifest: Manifest) -> str:
    facts = manifest.facts
    return f"{facts['events']} of {facts['observed']} devices had an event; {facts['unobserved']} were not heard of"


def _read_outcomes(fleet: FleetDay, label: EventLabel, files: list[Path], engine: TableEngine) -> pa.Table:
    """Return entities that were heard of, and whether something that counts happened to them."""
    import pyarrow.parquet as pq

    stored = pq.read_schema(files[0]).remove_metadata()
    sql = _outcome_sql(fleet.corpus.entity_key, label.model_dump_json(), stored, engine.dialect)
    return engine.fetch(sql, {"events": ViewSource(files=files)})


@lru_cache(maxsize=16)
def _outcome_sql(key: str, label_json: str, stored: pa.Schema, dialect: str) -> str:
    import ibis

    label = EventLabel.model_validate_json(label_json)
    types = ibis.Schema.from_pyarrow(stored)
    rows = ibis.table({name: types[name] for name in dict.fromkeys([key, *label.columns])}, name="events")
    if label.given is not None:
        rows = rows.filter(fits_values(rows, label.given.one_of), reaches_values(rows, label.given.at_least))
    counted = rows.select(key=rows[key].cast("string"), happened=fits_values(rows, label.where).cast("int64"))
    return compile_sql(counted.group_by("key").aggregate(happened=counted.happened.max()), dialect)


@dataclass(frozen=True, eq=False)
class _Matched:
    """Sums by group in the order of `names`, and the devices with an event."""

    names: list[str | None]
    sums: dict[str, Floats]
    caught: pa.Table

    @classmethod
    def of(
        cls, fleet: FleetDay, alerts: AlertSpec, scores: Path, outcomes: pa.Table, label: EventLabel
    ) -> _Matched:
        """Match the scores of a day with what happened."""
        import pyarrow.parquet as pq

        rows = pq.read_table(scores).sort_by(fleet.corpus.entity_key)  # sums of floats depend on the order
        keys = np.array([str(key) for key in rows[fleet.corpus.entity_key].to_pylist()], dtype=object)
        heard = dict(zip(outcomes["key"].to_pylist(), outcomes["happened"].to_pylist(), strict=True))
        is_observed = np.array([label.given is None or key in heard for key in keys], dtype=bool)
        is_event = np.array([bool(heard.get(key)) for key in keys], dtype=bool)
        score, pooled = rows["score"].to_numpy(), rows["pooled_score"].to_numpy()
        flags = {
            "above": score > alerts.threshold,
            "alerts": rows["is_alert"].to_numpy(zero_copy_only=False).astype(bool),
            "at_capacity": _likeliest(score, keys, alerts),
        }
        names, codes = _code_groups(rows[fleet.group_column].to_pylist())
        sums = {
            name: np.bincount(codes, weights=values, minlength=len(names)).astype(np.float64)
            for name, values in _weights(score, pooled, is_observed, is_event, flags).items()
        }
        return cls(names, sums, _list_events(keys, rows[fleet.group_column], is_event, flags))

    def write(self, target: Path, events: Path) -> None:
        """Write both files."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = {name for name in SUMS if name not in {"expected_events", "loss", "pooled_loss"}}
        columns = {
            name: pa.array(values.astype(np.int64) if name in whole else values)
            for name, values in self.sums.items()
        }
        pq.write_table(
            pa.table({"group": pa.array(self.names, pa.string()), **columns}), target, compression="zstd"
        )
        pq.write_table(self.caught, events, compression="zstd")

    def facts(self) -> dict[str, Any]:
        """Return the totals that the manifest says."""
        total = {name: float(values.sum()) for name, values in self.sums.items()}
        return {
            "events": int(total["events"]),
            "observed": int(total["observed"]),
            "unobserved": int(total["devices"] - total["observed"]),
        }


def _likeliest(score: Floats, keys: NDArray[Any], alerts: AlertSpec) -> Flags:
    """Return the rows that a team would look at that always uses its capacity."""
    everything_pays = alerts.model_copy(update={"missed_event_usd": 1e12, "false_alarm_usd": 1e-6})
    return rank_alerts(score, keys, everything_pays)[0]


def _weights(
    score: Floats, pooled: Floats, is_observed: Flags, is_event: Flags, flags: dict[str, Flags]
) -> dict[str, Floats]:
    happened = is_event.astype(np.float64)
    weights = {
        "devices": np.ones(len(score)),
        "observed": is_observed,
        "events": is_observed & is_event,
        "expected_events": np.where(is_observed, score, 0.0),
        "loss": np.where(is_observed, _log_loss(score, happened), 0.0),
        "pooled_loss": np.where(is_observed, _log_loss(pooled, happened), 0.0),
    }
    for name, flag in flags.items():
        weights[name] = flag & is_observed
        weights[f"{name.removesuffix('s')}_events"] = flag & is_observed & is_event
    return {name: weights[name].astype(np.float64) for name in SUMS}


def _log_loss(score: Floats, happened: Floats) -> Floats:
    p = np.clip(score, _SMALLEST, 1 - _SMALLEST)
    return -(happened * np.log(p) + (1 - happened) * np.log1p(-p))


def _code_groups(groups: list[str | None]) -> tuple[list[str | None], NDArray[np.int64]]:
    named = sorted({group for group in groups if group is not None})
    names: list[str | None] = [*named, *([None] if None in groups else [])]
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[group] for group in groups], dtype=np.int64)


def _list_events(
    keys: NDArray[Any], groups: pa.ChunkedArray, is_event: Flags, flags: dict[str, Flags]
) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "key": pa.array(keys[is_event], pa.string()),
            "group": pa.array(groups.filter(pa.array(is_event)).to_pylist(), pa.string()),
            **{f"is_{name}": pa.array(flag[is_event]) for name, flag in flags.items()},
        }
    )
