"""The groups of a fleet over a few processes of one thread each.

Belongs here: handing tasks out in waves, so that memory does not grow with the fleet. Does not belong here: what
is done with a task (fleet_fit).

A process a core with one thread each fits small models fastest: the libraries' own threads cost more than such
fits take. Processes come from a fork server, never by forking this one: OpenMP does not survive that.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.fleet_fit import FleetSite, GroupResult, GroupTask, fit_group

WAVE = 64
_site: list[FleetSite] = []


def fit_groups(site: FleetSite, tasks: Iterable[GroupTask], processes: int) -> Iterator[list[GroupResult]]:
    """Yield the results of each wave of groups, in the order of the tasks.

    Args:
        site: what all groups share.
        tasks: read wave by wave.
        processes: how many work at once; 1 works in this process.

    Raises:
        LearningError: a worker process died (out of memory, killed).
    """
    waves = iter(tasks)
    if processes <= 1:
        while wave := list(islice(waves, WAVE)):
            yield [fit_group(site, task) for task in wave]
        return
    server = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(processes, server, _take_site, (site,)) as pool:
        while wave := list(islice(waves, WAVE)):
            try:
                yield list(pool.map(_fit, wave, chunksize=max(1, WAVE // (processes * 4))))
            except BrokenProcessPool as error:
                raise LearningError(
                    "a worker process died",
                    where=f"groups {wave[0].rows.name} to {wave[-1].rows.name}",
                    remedy="see whether memory ran out; fewer `cores` in the environment need less of it",
                ) from error


def _take_site(site: FleetSite) -> None:
    _site[:] = [site]


def _fit(task: GroupTask) -> GroupResult:
    return fit_group(_site[0], task)
