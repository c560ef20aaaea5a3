"""Runs many searches in a table, several at a time, and keeps each the moment it is done."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pebble import ProcessPool

from nas import datasets
from nas.datasets import PreparedTable
from nas.errors import InputError
from nas.evaluation import reward_rule
from nas.search.compare.comparison import Comparison, Configuration
from nas.search.compare.replay import replay
from nas.search.compare.runs import Run, Runs
from nas.tables.columns import Results
from nas.workspace import Workspace

CHUNK = 10
"""Runs that a process does before it reports: what a stop loses at most, for each process."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The controllers' matrices are too small for threads; processes would get into each other's way."""

Progress = Callable[[str, int, int], None]
"""Called as `progress(configuration, done, total)`."""


@dataclass(frozen=True)
class Compared:
    """The runs of a comparison.

    Attributes:
        results: of the table's rows.
        rewards: of the rows, with shape `(rows,)`; −∞ where a training failed, which is not an answer.
        configurations: settings by what they are called, in the order in which they were asked for.
        runs: for each of them the runs in the order of the seeds.
        seeds: one for each run.
        keys: names of all that defines the runs of each configuration.
        budgets: in seconds, ascending.
        computed: how many of the runs were not there before.
    """

    results: Results
    rewards: np.ndarray
    configurations: Mapping[str, Configuration]
    runs: Mapping[str, Sequence[Run]]
    keys: Mapping[str, str]
    seeds: Sequence[int]
    budgets: Sequence[float]
    computed: int


def compare(
    comparison: Comparison,
    workspace: Workspace,
    controllers: Sequence[str],
    budgets: Sequence[float],
    seeds: Sequence[int],
    processes: int,
    progress: Progress = lambda name, done, total: None,
) -> Compared:
    """Runs what isn't there yet, and gives all runs.

    Args:
        comparison: the table, and settings by name.
        workspace: where the table is prepared and finished runs are kept (`.state/tables.sqlite`).
        controllers: words as `Comparison.configuration` reads them.
        budgets: summed costs in seconds; each run goes on to the largest.
        seeds: one for each run.
        processes: how many at a time, each with one thread.
        progress: told of finished runs.

    Raises:
        InputError: an option is not allowed, a name stands twice, or the table lacks a column.
    """
    configurations = dict(comparison.configuration(word) for word in controllers)
    if len(configurations) < len(controllers) or not controllers:
        raise InputError(f"name controllers, each once. Received: {', '.join(controllers) or 'none'}")
    table = prepared_table(comparison, workspace)
    results = Results(table, comparison.roles)
    for column in comparison.roles.report.values():
        column.read(table)
    store = Runs(workspace.state / "tables.sqlite")
    keys = {name: store.known(comparison.keys(each, table.digest)) for name, each in configurations.items()}
    found = {name: store.get(key, seeds, max(budgets)) for name, key in keys.items()}
    before = sum(map(len, found.values()))
    tasks = [
        (name, chunk)
        for name, own in found.items()
        for chunk in _chunks([seed for seed in seeds if seed not in own])
    ]
    for name, own in found.items():
        progress(name, len(own), len(seeds))
    job = _Job(comparison, table.folder, max(budgets))
    for name, done in _computed(job, configurations, tasks, processes):
        store.put(keys[name], done)
        found[name].update(done)
        progress(name, len(found[name]), len(seeds))
    return Compared(
        results=results,
        rewards=_rewards(comparison, results),
        configurations=configurations,
        runs={name: [own[seed] for seed in seeds] for name, own in found.items()},
        keys=keys,
        seeds=tuple(seeds),
        budgets=tuple(sorted(budgets)),
        computed=len(seeds) * len(found) - before,
    )


def prepared_table(comparison: Comparison, workspace: Workspace) -> PreparedTable:
    """The comparison's table, prepared if it is not yet."""
    table = datasets.prepare(comparison.data, workspace)
    if not isinstance(table, PreparedTable):
        raise InputError(f"'{comparison.data.name}' holds {table.kind}, no table")
    return table


def _rewards(comparison: Comparison, results: Results) -> np.ndarray:
    rule = reward_rule(comparison.reward.make("reward"))
    children = map(results.of, range(results.table.rows))
    return np.array([rule(child) if child.ok else -np.inf for child in children])


def one_run(
    comparison: Comparison, results: Results, configuration: Configuration, seed: int, budget_seconds: float
) -> Run:
    """One search with a controller built afresh."""
    begun = time.process_time()
    experiment = comparison.experiment(configuration, seed, budget_seconds)
    rows = replay(experiment, configuration.make(experiment.built_space, seed), results)
    return Run(np.array(rows, dtype="<i4"), budget_seconds, time.process_time() - begun)


@dataclass(frozen=True)
class _Job:
    """What every process of a comparison needs."""

    comparison: Comparison
    folder: Path
    budget_seconds: float


def _chunk(job: _Job, configuration: Configuration, seeds: Sequence[int]) -> dict[int, Run]:
    """Some runs in a process of their own, which opens the table for itself."""
    results = Results(datasets.load(job.folder, PreparedTable), job.comparison.roles)
    return {seed: one_run(job.comparison, results, configuration, seed, job.budget_seconds) for seed in seeds}


def _computed(
    job: _Job,
    configurations: Mapping[str, Configuration],
    tasks: Sequence[tuple[str, Sequence[int]]],
    processes: int,
) -> Iterator[tuple[str, dict[int, Run]]]:
    """Chunks as they are done; after an error or a signal nothing goes on."""
    if not tasks:
        return
    with _one_thread():
        pool = ProcessPool(
            max_workers=min(processes, len(tasks)),
            context=multiprocessing.get_context("spawn"),
        )
        try:
            names: dict[Future[dict[int, Run]], str] = {
                pool.schedule(_chunk, args=[job, configurations[name], seeds]): name for name, seeds in tasks
            }
            waiting = set(names)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield names[future], future.result()
            pool.close()  # type: ignore[no-untyped-call]
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise
        finally:
            pool.join()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are begun in the block compute with one thread each."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _chunks(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(seeds), CHUNK):
        yield seeds[begin : begin + CHUNK]
