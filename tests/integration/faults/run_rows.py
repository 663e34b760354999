"""Rows of the fault table about processes: workers, daemons and everything killed; a database away under a run.

Belongs here: injecting each fault once and counting what it did. Does not belong here: how often, or the platform that
it is done to (run_world).
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from tests.integration.faults.outcome import Outcome, Services
from tests.integration.faults.run_world import World, build_world, monitor, ready_state, status_of

_SUCCESS, _FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


def kill_a_worker(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Kill a worker in the middle of writing a partition; or everything at once, the database with it."""
    return _kill(folder, services, dice, kills_database=False)


def kill_everything(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Kill the worker in the middle of writing, and PostgreSQL as by a power cut; then start again."""
    return _kill(folder, services, dice, kills_database=True)


def _kill(folder: Path, services: Services, dice: random.Random, *, kills_database: bool) -> Outcome:
    outcome = Outcome(injected=1)
    with build_world(folder / "home", services.postgres) as world:
        instance = world.open_instance()
        world.hold()
        run_id = world.launch(instance)
        world.wait_inside()
        time.sleep(dice.random() * 0.3)
        world.kill(world.workers)
        if kills_database:
            instance.dispose()
            services.postgres.stop("immediate")
            services.postgres.start()
            instance = world.open_instance()
        world.release()
        _wait_for_end(world, outcome)
        _judge_dead_run(world, instance, run_id, outcome)
        _judge_rerun(world, instance, outcome)
        instance.dispose()
    return outcome


def start_two_workers(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Lose the answer of Cloud Run and hide what it started, so that two workers begin the same run."""
    outcome = Outcome(injected=1)
    with build_world(folder / "home", services.postgres) as world:
        instance = world.open_instance()
        faults = itertools.chain(["lose"], itertools.repeat(None))
        world.cloud.fault = lambda method, _: next(faults) if method == "POST" else None
        world.cloud.is_shy = True
        if dice.random() < 0.5:
            world.hold()  # the second one comes while the first is at work; otherwise they race
        run_id = world.launch(instance)
        world.wait_for(lambda: len(world.workers) == 2, "Cloud Run was not asked twice")
        world.wait_for(lambda: any(w.poll() is not None for w in world.workers), "no worker was turned away")
        world.release()
        _wait_for_end(world, outcome)
        status = status_of(instance, run_id)
        outcome.count("lost", status != _SUCCESS, f"the run is {status.value}")
        told = "".join(path.read_text() for path in world.home.glob("worker-*.log"))
        ignored = [entry.message for entry in instance.all_logs(run_id) if "Ignoring" in entry.message]
        is_told = "another worker executes this run" in told or ignored
        outcome.count("silent", not is_told, "the second worker did not say why it left")
        events = {line.get("event") for line in world.lines_of(run_id)}
        is_logged = {"run_start", "asset_materialization", "run_success"} <= events
        outcome.count("silent", not is_logged, f"the worker's log has {events}")
        world.judge_steps(outcome)
        world.judge_lake(outcome)
        instance.dispose()
    return outcome


def make_database_row(away_s: float) -> Callable[[Path, Services, random.Random], Outcome]:
    """Return the row of a database that is away for some seconds under a run."""

    def stop_the_database(folder: Path, services: Services, dice: random.Random) -> Outcome:
        outcome = Outcome(injected=1)
        with build_world(folder / "home", services.postgres) as world:
            instance = world.open_instance()
            world.hold()
            run_id = world.launch(instance)
            world.wait_inside()
            instance.dispose()
            services.postgres.stop(dice.choice(["immediate", "fast"]))
            try:
                time.sleep(away_s * dice.choice([0.0, 0.5]))
                world.release()
                time.sleep(away_s)
            finally:
                services.postgres.start()
            _wait_for_end(world, outcome)
            instance = world.open_instance()
            if status_of(instance, run_id) != _SUCCESS:
                _judge_dead_run(world, instance, run_id, outcome)
            _judge_rerun(world, instance, outcome)
            instance.dispose()
        return outcome

    return stop_the_database


def kill_a_daemon(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Start two daemons, let them work, and kill the one that leads while a run of its is at work."""
    outcome = Outcome(injected=2)
    with build_world(folder / "home", services.postgres) as world:
        instance = world.open_instance()
        ports = [world.start_daemon(), world.start_daemon()]
        world.wait_for(lambda: any(_leads(port) for port in ports), "no daemon leads")
        world.request("before")
        world.wait_for(lambda: _finished(instance, "before"), "a request was not worked on")
        outcome.count("doubled", all(_leads(port) for port in ports), "two daemons lead")
        told = [ready_state(port)[1].get("problems") for port in ports]
        outcome.count("silent", ["this process is waiting"] not in told, f"nobody says that it waits: {told}")
        leader = next(number for number, port in enumerate(ports) if _leads(port))
        world.hold()
        world.request("during")
        world.wait_inside()
        time.sleep(dice.random())
        world.kill([world.daemons[leader]])
        world.request("after")
        world.release()
        other = ports[1 - leader]
        world.wait_for(lambda: _leads(other), "nobody took over")
        world.wait_for(lambda: _finished(instance, "after"), "a request after the kill was not worked on")
        _judge_requests(world, instance, outcome, ["before", "during", "after"])
        world.daemons[1 - leader].send_signal(signal.SIGTERM)
        instance.dispose()
    return outcome


def kill_a_laptop(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Kill daemon, code server and worker of one machine at once; the daemon that is started again has to notice."""
    del services
    outcome = Outcome(injected=1)
    with build_world(folder / "home", None) as world:
        instance = world.open_instance()
        world.hold()
        port = world.start_daemon()
        world.request("killed")
        world.wait_inside()
        time.sleep(dice.random())
        world.kill(world.daemons)
        (run,) = _runs(instance, "killed")
        outcome.count(
            "lost", status_of(instance, run.run_id) != dg.DagsterRunStatus.STARTED, "the run was not at work"
        )
        outcome.count("stuck", ready_state(port) != (0, {}), "the daemon was not killed")
        world.release()
        world.start_daemon()
        # Dagster tries a run again whose worker died.
        done = lambda: any(one.status == _SUCCESS for one in _runs(instance, "killed"))  # noqa: E731
        world.wait_for(done, "the run was not tried again")
        said = monitor(instance, run.run_id)
        outcome.count("silent", "its process" not in said, f"the killed run says: {said}")
        outcome.count("doubled", len(_runs(instance, "killed")) != 2, "it was tried again more than once")
        world.judge_steps(outcome)
        world.judge_lake(outcome)
        instance.dispose()
    return outcome


def _leads(port: int) -> bool:
    return ready_state(port)[1].get("daemon") == "leading"


def _runs(instance: dg.DagsterInstance, request: str) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(tags={"request": request})))


def _finished(instance: dg.DagsterInstance, request: str) -> bool:
    return any(run.is_finished for run in _runs(instance, request))


def _judge_requests(
    world: World, instance: dg.DagsterInstance, outcome: Outcome, requests: list[str]
) -> None:
    for request in requests:
        found = _runs(instance, request)
        outcome.count("doubled", len(found) > 1, f"{request} has {len(found)} runs")
        done = [run for run in found if run.status == _SUCCESS]
        outcome.count("lost", not done, f"{request} did not succeed: {[run.status for run in found]}")
    world.judge_steps(outcome)
    world.judge_lake(outcome)


def _wait_for_end(world: World, outcome: Outcome) -> None:
    """Wait until no worker is left, and Cloud Run says so."""
    del outcome
    world.wait_for(
        lambda: all(worker.poll() is not None for worker in world.workers), "a worker does not end"
    )
    running = lambda: [one for one in world.cloud.executions.values() if one.state == "running"]  # noqa: E731
    world.wait_for(lambda: not running(), "an execution outlives its worker")


def _judge_dead_run(world: World, instance: dg.DagsterInstance, run_id: str, outcome: Outcome) -> None:
    """The run has to be failed, once, with the reason."""
    del world
    said = monitor(instance, run_id)
    status = status_of(instance, run_id)
    outcome.count("silent", status != _FAILURE, f"the run is {status.value}")
    outcome.count("silent", status == _FAILURE and not said, "the run failed without a reason")
    again = len(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE))
    outcome.count("doubled", again > 1, f"it was failed {again} times")


def _judge_rerun(world: World, instance: dg.DagsterInstance, outcome: Outcome) -> None:
    """Another run has to succeed, and to leave whole partitions and nothing else."""
    world.release()
    run_id = world.launch(instance)
    _wait_for_end(world, outcome)
    status = status_of(instance, run_id)
    outcome.count("stuck", status != _SUCCESS, f"the run afterwards is {status.value}")
    world.judge_steps(outcome)
    world.judge_lake(outcome)
