"""The demo's days in order, and what a person does between them.

Belongs here: importing, living days, approving, rolling back, adding a geography. Does not belong here: what happens
when (demo_story), what is printed (demo), or whether it came true (demo_checks).

Every step is found done if it was done before, so that an interrupted demo goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mlops_assets.commands.demo_story import (
    APPROVAL_LINES,
    APPROVED_SLOT,
    FIRST_DAY,
    HISTORY_DAYS,
    MOVED,
    NEW_LINES,
    NEW_NUMBER,
    PERSON,
    ROLLBACK_NUMBER,
    STEADY,
    day_of,
    script,
)
from mlops_assets.commands.history import import_history
from mlops_assets.commands.landing_ahead import open_landing_ahead
from mlops_assets.commands.models import now_utc
from mlops_assets.commands.operator_process import OperatorProcess, open_operator
from mlops_assets.commands.replay import DayResult, Replay, end_deserted_runs
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.approval_plan import decide
from mlops_assets.config.loader import config_roots, reload_project
from mlops_assets.domain.learning.approval import Verdict
from mlops_assets.domain.learning.decisions import list_pending, roll_back
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.sandbox.simulation import init_sandbox
from resources.atomic_files import write_atomic

CONFIG_FOLDER = "demo_configs"
_IMPORT_DAYS = 7  # of history that are waited for at once; before them the first day alone
OnDay = Callable[[DayResult], None]


@dataclass(frozen=True)
class Scale:
    """How large the demo is: subscribers and network devices of each geography, the seed, the days of the story."""

    subscribers: int
    devices: int
    seed: int
    days: int


@dataclass
class DemoRun:
    """Lives through the story.

    Attributes:
        home: data root.
        scale: how large it is.
        on_day: told of every day that was run.
        on_action: told, in words, what a person did, and on which day.
        on_chapters: told the number of each day before it is run.
        on_wait: told the seconds that were spent between days.
    """

    home: Path
    scale: Scale
    on_day: OnDay
    on_action: Callable[[str], None]
    on_chapters: Callable[[int], None]
    on_wait: Callable[[float], None]
    workspace: Workspace = field(init=False)
    results: list[DayResult] = field(default_factory=list)

    def run(self) -> None:
        """Run all days of the story, or go on where it was interrupted."""
        write_lines(self.home, APPROVAL_LINES)
        self.workspace = open_demo_workspace(self.home)
        init_sandbox(
            **sandbox_arguments(self.workspace), subscribers=self.scale.subscribers, first_day=FIRST_DAY, days=0,
            seed=self.scale.seed, devices=self.scale.devices, events=script(), on_day=None,
        )  # fmt: skip
        with open_operator() as operator, self.workspace.open_instance() as instance:
            end_deserted_runs(instance)
            replay, first_of_three = Replay(self.workspace, instance), min(NEW_NUMBER, self.scale.days)
            with replay.runner.keep_processes():
                with open_landing_ahead(replay):
                    if replay.ahead is not None:
                        operator.on_delivered = replay.ahead.ask
                    self._import_history(operator, replay)
                    self._live_days(operator, replay, range(HISTORY_DAYS, first_of_three))
                if first_of_three < self.scale.days:
                    self.on_chapters(first_of_three)
                    self._add_geography()
                    operator.order(self.workspace, day_of(first_of_three))
                    replay = replay.serve(self.workspace)
                    # The graph is loaded while the operator sets out.
                    replay.runner.asset_keys(names.DAILY_JOB)
                    self._live_days(operator, replay, range(first_of_three, self.scale.days))

    def _import_history(self, operator: OperatorProcess, replay: Replay) -> None:
        last = min(HISTORY_DAYS, self.scale.days)
        for number in range(last):  # nothing of these days waits for what this process builds
            operator.order(self.workspace, day_of(number))
        replay.runner.asset_keys(names.DAILY_JOB)  # the graph is loaded while the operator sets out
        starts = [first for first in (0, 1, *range(_IMPORT_DAYS, last, _IMPORT_DAYS)) if first < last]
        for first, after in pairwise([*starts, last]):
            if first == starts[-1]:  # the feeds of the last days are read already, or nearly so
                self._start_training(replay)
            self.on_chapters(first)
            self._wait(operator, after - 1)
            self.results += import_history(replay, day_of(first), day_of(after - 1), self.on_day)

    def _live_days(self, operator: OperatorProcess, replay: Replay, numbers: range) -> None:
        """Live days of one configuration."""
        for number in numbers:
            if number != NEW_NUMBER:
                self.on_chapters(number)
            self._wait(operator, number)
            if number + 1 not in {NEW_NUMBER, self.scale.days}:
                operator.order_ahead(self.workspace, day_of(number + 1))
            self._live_day(replay, number)

    def _start_training(self, replay: Replay) -> None:
        """Start the processes that train, where the story gets as far as the first training."""
        if self.scale.days > HISTORY_DAYS:
            jobs = [names.training_job(use_case) for use_case in self.workspace.config.use_cases]
            replay.runner.start_processes(len((STEADY, MOVED)), jobs)

    def _live_day(self, replay: Replay, number: int) -> None:
        day = day_of(number)
        self.results += replay.run(day, day, self.on_day, rebuild_from=FIRST_DAY)
        self._approve(replay)
        if number == ROLLBACK_NUMBER:
            self._roll_back(replay)
            # The day was scored by the withdrawn version: it is due again.
            self.results += replay.run(day, day, self.on_day, rebuild_from=FIRST_DAY)

    def _wait(self, operator: OperatorProcess, number: int) -> None:
        started = time.monotonic()
        operator.wait(self.workspace, day_of(number))
        self.on_wait(time.monotonic() - started)

    def _approve(self, replay: Replay) -> None:
        """Approve whatever waits, as a person would who has read the retraining report."""
        platform = self.workspace.platform
        for pending in list_pending(platform.ledger, now_utc()):
            if pending.state != "waiting":
                continue
            verdict = Verdict(
                pending.entry.decision_id, True, PERSON, "figures and report are sound", now_utc()
            )
            entry = decide(
                self.workspace.config, verdict, lake=platform.lake, registry=platform.registry,
                ledger=platform.ledger, provenance=platform.provenance,
            )  # fmt: skip
            self._follow(replay, entry, "approves")

    def _roll_back(self, replay: Replay) -> None:
        platform = self.workspace.platform
        history = platform.ledger.history(APPROVED_SLOT)
        is_done = any(one.outcome == "rolled_back" for one in history)
        if is_done or sum(one.makes_champion for one in history) < 2:
            return  # demo_checks says what is missing
        entry = roll_back(
            APPROVED_SLOT, by=PERSON, note="customer care reports complaints", at_utc=now_utc(),
            registry=platform.registry, ledger=platform.ledger,
        )  # fmt: skip
        self._follow(replay, entry, "rolls back to")

    def _follow(self, replay: Replay, entry: LedgerEntry, what: str) -> None:
        failures = replay.follow_up(entry)
        self.on_action(
            f"{PERSON} {what} {entry.slot.registered_name} version {entry.version}: {entry.reasons[0]}"
        )
        for failure in failures:
            self.on_action(f"! {failure}")

    def _add_geography(self) -> None:
        """Add the third geography's lines to the demo's configuration, and load it."""
        write_lines(self.home, APPROVAL_LINES + NEW_LINES)
        self.workspace = open_demo_workspace(self.home)
        self.on_action(
            f"{config_file(self.home)} has {len(NEW_LINES.splitlines())} more lines:\n{NEW_LINES}".rstrip()
        )


def config_file(home: Path) -> Path:
    """Return the file of configuration that the demo adds to the project's."""
    return home / CONFIG_FOLDER / "geographies.yaml"


def write_lines(home: Path, lines: str) -> None:
    """Write the demo's configuration; one that has the lines of a later chapter already stays as it is."""
    path = config_file(home)
    if path.exists() and path.read_text().startswith(lines):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lines.encode())


def open_demo_workspace(home: Path) -> Workspace:
    """Return the workspace of the project's configuration with the demo's lines laid over it."""
    roots = (*config_roots(), home / CONFIG_FOLDER)
    last = FIRST_DAY + dt.timedelta(days=NEW_NUMBER + 30)
    return Workspace.of_one_process(home, reload_project(list(dict.fromkeys(roots)))).covering(last)
