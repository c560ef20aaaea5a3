"""One search in a table on a virtual clock: nothing is written down."""

from __future__ import annotations

from typing import cast

from nas.controllers.controller import Controller
from nas.errors import InputError
from nas.experiment import Budget, Experiment
from nas.search.loops import drive_by_clock
from nas.search.memory import MemoryRecord, SearchRecord
from nas.search.record import Record
from nas.search.search import Search
from nas.tables.columns import Results
from nas.tables.evaluator import TableEvaluator

MISSING = -1
"""Stands for a query that the table has no row for."""


def replay(experiment: Experiment, controller: Controller, results: Results) -> list[int]:
    """Searches until the summed cost passes the experiment's `budget.cost_seconds`.

    It is the search that `nas search` would make, by the same loop, except that its record is in memory: so
    thousands of searches take minutes.

    Args:
        experiment: on the table; see `Comparison.experiment`.
        controller: built afresh, for the experiment's space.
        results: of the table's rows.

    Returns:
        The row of each query in order, `MISSING` where the table has none. The last query is the one with
        which the clock passes the budget.

    Raises:
        InputError: queries cost nothing, so that the search would never end.
        SearchError: the controller proposed nothing.
    """
    if not results.costs.any():
        raise InputError("the table's queries cost nothing: name its column of seconds, or write `cost: 1`")
    seconds = experiment.budget.cost_seconds
    if seconds is None:
        raise InputError("a replay needs budget.cost_seconds, where it ends")
    record: SearchRecord = MemoryRecord()  # a search needs no more of a record
    evaluator = TableEvaluator.of(results, experiment.built_space)
    reward = experiment.built_reward
    search = Search(experiment, cast(Record, record), controller, evaluator, reward)
    drive_by_clock(search.loop(Budget(cost_seconds=seconds)), evaluator.slots, seconds)
    asked: list[int] = []
    clock = 0.0
    for child in record.children():
        if clock >= seconds or child.result is None:
            break
        row = evaluator.rows[child.number]
        asked.append(MISSING if row is None else row)
        clock += child.cost_seconds
    return asked
