"""subscriber_validation_speed: one day's values of a million subscribers beside their own ranges.

The platform's side is the table `quality/subscriber_anomalies` of a day: feeds, state of the day before,
kernel and limits come from the lake, the anomalies go there. The peer computes the same from the same files
with pandas and numpy; both find as many subscribers for each reason, or no figure is reported. State and scores of the
day, which the platform makes beside it, are among the facts.

Belongs here: made-up inputs of the right size, both sides, their figures. Does not belong here: how well
ranges cover (the tests say that).
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    BenchmarkFailedError,
    Goal,
    Line,
    Measured,
    Usage,
    in_turns,
    least_cpu_s,
    run_fresh,
)
from benchmarks.operator_data import work_folder

NAME = "subscriber_validation_speed"
CPU_S_PER_MILLION = 2.0
GEOGRAPHY, KERNEL = "cl", "quality/plan_usage/kernel"
DAY = dt.date(2026, 9, 1)
_PLANS, _SEED = 8, 1
_MADE = {part: f"quality/subscriber_{part}" for part in ("anomalies", "levels", "scores")}


def run(*, quick: bool) -> Iterator[Line]:
    """Yield CPU seconds of the day's validation over the best of some rounds."""
    subscribers, rounds, started = (100_000, 1, Usage.taken()) if quick else (1_000_000, 3, Usage.taken())
    home = work_folder() / f"subscriber_ranges_{subscribers}"
    shutil.rmtree(home, ignore_errors=True)
    run_fresh(f"{__name__}:make_inputs", {"home": str(home), "subscribers": subscribers})
    ours, theirs = in_turns(
        rounds, lambda: _fresh(home, "validate"), lambda: _fresh(home, "validate_by_pandas")
    )
    found, expected = ours[0].result["anomalies"], theirs[0].result["anomalies"]
    # A value on the edge of its range falls to either side by the last bit.
    if not found["rows"] or any(abs(found[name] - n) > max(2, 1e-3 * n) for name, n in expected.items()):
        raise BenchmarkFailedError(f"the platform finds {found}, pandas {expected}")
    shutil.rmtree(home)
    yield Line(
        NAME,
        min(one.result["cpu_s"]["anomalies"] for one in ours),
        "CPU s",
        Goal("value", CPU_S_PER_MILLION),
        {"subscribers": subscribers, "plans": _PLANS, "rounds": rounds},
        Usage.taken().since(started).wall_s,
        peer="pandas and numpy",
        peer_value=min(one.result["cpu_s"] for one in theirs),
        is_quick=quick,
        facts={
            "cpu_s_of_state": min(one.result["cpu_s"]["levels"] for one in ours),
            "cpu_s_of_scores": min(one.result["cpu_s"]["scores"] for one in ours),
            "cpu_s_of_process": least_cpu_s(ours),
            "cpu_s_of_pandas_process": least_cpu_s(theirs),
            "anomalies": found["rows"],
            "removed": found["removed"],
        },
    )


def _fresh(home: Path, function: str) -> Measured:
    return run_fresh(f"{__name__}:{function}", {"home": str(home)})


# ---------------------------------------------------------------- run in fresh processes


def make_inputs(home: str, subscribers: int) -> None:
    """Publish feeds of a day, the state of the day before, a kernel, plan totals and limits."""
    import numpy as np

    chance = np.random.default_rng(_SEED)
    plans = np.array([f"plan_{number}" for number in range(_PLANS)])
    of_plan = chance.integers(0, _PLANS, subscribers)
    mean_mb, level = np.exp(chance.normal(5.0, 0.8, _PLANS)), chance.normal(-0.3, 1.1, subscribers)
    spread = np.exp(chance.normal(np.log(0.5), 0.35, subscribers))
    ratio = level + spread * chance.standard_t(6, subscribers)
    offset = 0.05 * mean_mb[of_plan]
    value_mb = np.maximum((mean_mb[of_plan] + offset) * np.exp(ratio) - offset, 0.0)
    value_mb[chance.random(subscribers) < 0.1] = 0.0
    ids, used = np.arange(1, subscribers + 1) * 7919 % 10_000_019, value_mb > 0
    order = chance.permutation(np.flatnonzero(used))
    feeds = _feeds(ids, plans[of_plan], order, value_mb)
    earlier = DAY - dt.timedelta(days=1)
    days = chance.integers(0, 31, subscribers)
    known = chance.permutation(np.flatnonzero(days > 0))
    state = _state(ids[known], plans[of_plan[known]], level[known], spread[known], days[known], earlier)
    _publish(home, {("feeds/usage", DAY): feeds["usage"], ("feeds/subscribers", DAY): feeds["subscribers"]})
    _publish(
        home,
        {("quality/subscriber_levels", earlier): state, ("quality/subscriber_limits", DAY): _limits(plans)},
    )
    people = np.bincount(of_plan, minlength=_PLANS)
    _publish(home, _plan_inputs(plans, mean_mb, people, earlier))


def _feeds(ids: Any, plan_codes: Any, order: Any, value_mb: Any) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    kb = np.round(value_mb[order] * 1024).astype("int64")
    usage = {"subscriber_id": ids[order], "data_local_kb": kb, "data_roaming_kb": np.zeros(len(kb), "int64")}
    people = {"subscriber_id": ids, "status": np.full(len(ids), "active"), "plan_code": plan_codes}
    return {"usage": pa.table(usage), "subscribers": pa.table(people)}


def _state(ids: Any, plan_codes: Any, level: Any, spread: Any, days: Any, day: dt.date) -> Any:
    import pyarrow as pa

    columns = {"subscriber_id": ids, "plan_code": plan_codes, "level": level.astype("float32")}
    columns |= {"spread": spread.astype("float32"), "history_days": days.astype("int32")}
    return pa.table({**columns, "last_day": pa.array([day] * len(ids), pa.date32())})


def _limits(plans: Any) -> Any:
    import pyarrow as pa

    names = ("low_score", "high_score", "removal_low_score", "removal_high_score")
    rows = [
        {"plan_code": plan, "stratum": stratum, **dict(zip(names, (-w, w, -2.4 * w, 2.4 * w), strict=True))}
        for plan in ("", *plans.tolist())
        for stratum, w in ((0, 5.0), (1, 3.0), (2, 2.5))
        if plan or stratum
    ]
    return pa.Table.from_pylist(rows)


def _plan_inputs(plans: Any, mean_mb: Any, people: Any, day: dt.date) -> dict[tuple[str, dt.date], Any]:
    import pyarrow as pa

    kernel = [
        {
            "series": plan,
            "target_day": day + dt.timedelta(days=ahead),
            "horizon_days": ahead,
            "mid_mb": float(mean * count),
        }
        for plan, mean, count in zip(plans.tolist(), mean_mb, people, strict=True)
        for ahead in range(1, 31)
    ]
    totals = pa.table({"plan_code": plans, "active_subscribers": people})
    base = {("etl/plan_usage_daily", day - dt.timedelta(days=back)): totals for back in range(7)}
    return {(KERNEL, day): pa.Table.from_pylist(kernel), **base}


def _publish(home: str, tables: dict[tuple[str, dt.date], Any]) -> None:
    import pyarrow.parquet as pq

    from mlops_assets.domain.hashing import stable_hash
    from mlops_assets.domain.ports import PartitionId

    lake, _ = _site(home)
    for (table, day), rows in tables.items():
        with lake.write(PartitionId(table, GEOGRAPHY, day), stable_hash([table, day])) as writer:
            pq.write_table(rows, writer.file("data"), row_group_size=122_880)
            writer.commit(row_count=rows.num_rows)


def _site(home: str) -> tuple[Any, Any]:
    from resources.duckdb_engine import DuckDbEngine
    from resources.lake import LocalLake

    root = Path(home)
    root.mkdir(parents=True, exist_ok=True)
    return LocalLake(root / "lake"), DuckDbEngine(1, "2GB", root / "spill", [root])


def validate(home: str) -> dict[str, Any]:
    """Build the day's tables; return the CPU seconds of each and what was found."""
    from mlops_assets.domain.features.build import build_table
    from mlops_assets.domain.features.compile import compile_statements
    from mlops_assets.domain.ports import PartitionId
    from mlops_assets.domain.quality.subscriber_tables import subscriber_tables

    lake, engine = _site(home)
    by_name, cpu_s = {table.name: table for table in subscriber_tables(KERNEL)}, {}
    compile_statements(by_name[_MADE["anomalies"]])  # imports Ibis, which a daily process does once
    engine.fetch("SELECT 1", {})
    for part, name in _MADE.items():
        partition = PartitionId(name, GEOGRAPHY, DAY)
        lake.remove(partition)
        start = Usage.taken()
        build_table(by_name[name], GEOGRAPHY, DAY, lake=lake, engine=engine)
        cpu_s[part] = Usage.taken().since(start).cpu_s
    return {"cpu_s": cpu_s, "anomalies": _digest(lake.path(PartitionId(_MADE["anomalies"], GEOGRAPHY, DAY)))}


def validate_by_pandas(home: str) -> dict[str, Any]:
    """Do the same with merges and numpy; return CPU seconds and what was found."""
    import numpy as np  # noqa: F401 - loaded before the measurement, as by the other side
    import pandas as pd  # noqa: F401

    lake, _ = _site(home)
    target = Path(home) / "pandas.parquet"
    start = Usage.taken()
    _pandas_anomalies(lake).to_parquet(target, index=False)
    return {"cpu_s": Usage.taken().since(start).cpu_s, "anomalies": _digest(target)}


def _pandas_anomalies(lake: Any) -> Any:
    import numpy as np
    import pandas as pd

    from mlops_assets.domain.ports import PartitionId

    def read(table: str, day: dt.date) -> pd.DataFrame:
        return pd.read_parquet(lake.path(PartitionId(table, GEOGRAPHY, day)))

    earlier = DAY - dt.timedelta(days=1)
    state = read("quality/subscriber_levels", earlier)
    rows = read("feeds/subscribers", DAY).query("status == 'active'")[["subscriber_id", "plan_code"]]
    rows = rows.merge(read("feeds/usage", DAY), on="subscriber_id", how="left")
    rows = rows.merge(state, on=["subscriber_id", "plan_code"], how="left")
    rows = rows.merge(_pandas_plans(read, state, earlier), on="plan_code")
    value_mb = (rows["data_local_kb"].fillna(0) + rows["data_roaming_kb"].fillna(0)) / 1024
    days = rows["history_days"].fillna(0)
    level = (days * rows["level"].fillna(0) + 4 * rows["plan_level"]) / (days + 4)
    own = rows["spread"].fillna(rows["plan_spread"])
    spread = np.sqrt((days * own**2 + 8 * rows["plan_spread"] ** 2) / (days + 8)).clip(lower=0.05)
    deviation = np.log((value_mb + rows["c"]) / (rows["m"] + rows["c"])) - level
    common = rows["plan_code"].map(_lower_median(deviation, rows["plan_code"]))
    rows["stratum"] = (days >= 3).astype(int) + (days >= 10)
    limits = read("quality/subscriber_limits", DAY)
    q = rows[["plan_code", "stratum"]].merge(limits, on=["plan_code", "stratum"], how="left")
    q.index = rows.index
    low = ((rows["m"] + rows["c"]) * np.exp(level + spread * q["low_score"]) - rows["c"]).clip(lower=0)
    high = (rows["m"] + rows["c"]) * np.exp(level + spread * q["high_score"]) - rows["c"]
    centred = (deviation - common) / spread
    is_removed = (centred < q["removal_low_score"]) | (centred > q["removal_high_score"])
    is_above = value_mb > high
    reason = np.where(is_above, "above", "below").astype(object)
    reason[is_removed] = "far_" + reason[is_removed]
    found = rows[["subscriber_id", "plan_code"]].assign(
        value_mb=value_mb, low_mb=low, high_mb=high, reason=reason, is_removed=is_removed
    )
    return found[is_above | (value_mb < low)]


def _pandas_plans(read: Any, state: Any, day: dt.date) -> Any:
    import numpy as np
    import pandas as pd

    kernel = read(KERNEL, day)
    base = pd.concat([read("etl/plan_usage_daily", day - dt.timedelta(days=back)) for back in range(7)])
    active = base.groupby("plan_code")["active_subscribers"].mean()
    of_day = kernel[pd.to_datetime(kernel["target_day"]) == pd.Timestamp(DAY)].set_index("series")["mid_mb"]
    week = kernel[kernel["horizon_days"] <= 7].groupby("series")["mid_mb"].mean()
    known = state[state["history_days"] >= 3]
    columns = {
        "m": of_day / active,
        "c": 0.05 * week / active,
        "plan_level": _lower_median(known["level"].astype(float), known["plan_code"]),
        "plan_spread": np.exp(_lower_median(np.log(known["spread"].astype(float)), known["plan_code"])),
    }
    return pd.DataFrame(columns).rename_axis("plan_code").reset_index()


def _lower_median(values: Any, by: Any) -> Any:
    """Return the middle of the median's bucket of 0.02, as the platform does."""
    import numpy as np

    return (np.floor(values / 0.02).groupby(by).quantile(0.5, interpolation="lower") + 0.5) * 0.02


def _digest(path: Path) -> dict[str, Any]:
    import pandas as pd

    rows = pd.read_parquet(path)
    reasons = rows["reason"].value_counts().sort_index()
    removed = int(rows["is_removed"].sum())
    keys = int(rows["subscriber_id"].sum())
    return {
        "rows": len(rows),
        "removed": removed,
        "keys": keys,
        **{str(k): int(v) for k, v in reasons.items()},
    }
