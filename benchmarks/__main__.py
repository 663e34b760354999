"""`python -m benchmarks list` and `python -m benchmarks run NAME... [--quick] [--record]`.

Belongs here: the list of benchmarks and the exit status. Does not belong here: measuring or rendering.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Protocol

from benchmarks import (
    anomaly_removal,
    churn_ibm_auc,
    demo_time,
    dev_server_start,
    drift_verdicts,
    engine_equality,
    environment_equality,
    etl_increment,
    etl_memory,
    etl_ratio,
    fault_table,
    fleet_evidence,
    fleet_scale,
    graph_overhead,
    growth,
    hot_swap,
    hypothesis_inputs,
    kernel_clean_days,
    kernel_coverage,
    kernel_speed,
    kernel_winkler,
    load_ratio,
    loop_replay,
    lte_fleet_auc,
    offer_ladder,
    offer_scale,
    ope_coverage,
    ope_digits,
    ope_obd,
    promotion_race,
    retrain_cost,
    serving_latency,
    simulator_support,
    subscriber_validation_speed,
)
from benchmarks.measuring import BenchmarkFailedError, BenchmarkSkippedError, Line
from benchmarks.recording import record, recorded_lines
from benchmarks.regressions import Regression, find_regressions


class Benchmark(Protocol):
    """A benchmark yields its lines."""

    def __call__(self, *, quick: bool) -> Iterator[Line]: ...  # noqa: D102


BENCHMARKS: dict[str, Benchmark] = {
    "load_ratio": load_ratio.run,
    "churn_ibm_auc": churn_ibm_auc.run,
    "dev_server_start": dev_server_start.run,
    "first_ten_minutes": demo_time.run_first_minutes,
    "demo_time": demo_time.run_time,
    "demo_memory": demo_time.run_memory,
    "graph_overhead": graph_overhead.run,
    "growth": growth.run,
    "etl_ratio": etl_ratio.run,
    "etl_memory": etl_memory.run,
    "etl_increment": etl_increment.run,
    "kernel_coverage": kernel_coverage.run,
    "kernel_clean_days": kernel_clean_days.run,
    "kernel_winkler": kernel_winkler.run,
    "anomaly_removal": anomaly_removal.run,
    "kernel_speed": kernel_speed.run,
    "drift_verdicts": drift_verdicts.run,
    "loop_replay": loop_replay.run,
    "engine_equality": engine_equality.run,
    "environment_equality": environment_equality.run,
    "offer_scale": offer_scale.run,
    "offer_ladder": offer_ladder.run,
    "simulator_support": simulator_support.run,
    "retrain_cost": retrain_cost.run,
    "promotion_race": promotion_race.run,
    "fault_table": fault_table.run,
    "subscriber_validation_speed": subscriber_validation_speed.run,
    "serving_latency": serving_latency.run,
    "hot_swap": hot_swap.run,
    "hypothesis_inputs": hypothesis_inputs.run,
    "ope_digits": ope_digits.run,
    "ope_obd": ope_obd.run,
    "lte_fleet_auc": lte_fleet_auc.run,
    "fleet_scale": fleet_scale.run,
    "fleet_gain": fleet_evidence.run_gain,
    "fleet_false_promotions": fleet_evidence.run_false_promotions,
    "fleet_growth_accuracy": fleet_evidence.run_growth,
    "ope_coverage": ope_coverage.run,
}


def main() -> int:
    """Run what the command line names; return 0 only if every goal holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    run = commands.add_parser("run")
    run.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    run.add_argument("--all", action="store_true", help="all of them; one whose data are absent is skipped")
    run.add_argument("--quick", action="store_true", help="small sizes; the lines say so")
    run.add_argument(
        "--record", action="store_true", help="write benchmarks/results.json and docs/benchmarks.md"
    )
    options = parser.parse_args()
    if options.command == "list":
        print("\n".join(BENCHMARKS))
        return 0
    names = list(BENCHMARKS) if options.all else options.names
    if not names:
        run.error("name a benchmark, or --all")
    return _run(names, quick=options.quick, records=options.record, skips_allowed=options.all)


def _run(names: list[str], *, quick: bool, records: bool, skips_allowed: bool) -> int:
    status, regressions = 0, list[Regression]()
    for name in names:
        lines: list[dict[str, Any]] = []
        try:
            for line in BENCHMARKS[name](quick=quick):
                lines.append(line.to_dict())
                print(json.dumps(lines[-1]), flush=True)
        except BenchmarkSkippedError as reason:
            print(json.dumps({"name": name, "skipped": str(reason)}), flush=True)
            status = status if skips_allowed else 1
        except BenchmarkFailedError as reason:
            print(json.dumps({"name": name, "failed": str(reason), "holds": False}), flush=True)
            status = 1
        if not all(line["holds"] for line in lines):
            status = 1
        regressions += find_regressions(recorded_lines(), lines)
        if records and lines:
            record(lines)
    for one in regressions:
        print(f"worse than recorded: {one}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
