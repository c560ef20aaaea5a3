"""One search in a table, without a record: the same controller, asked and told as a search does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nas.controllers.controller import Controller
from nas.errors import InputError, SearchError
from nas.evaluation import ChildResult
from nas.spaces import Space
from nas.tables.columns import Results
from nas.tables.evaluator import row_of

MISSING = -1
"""Stands for a query that the table has no row for."""


def replay(
    controller: Controller,
    space: Space,
    results: Results,
    reward: Callable[[ChildResult], float],
    children_per_round: int,
    budget_seconds: float,
) -> list[int]:
    """Asks and tells round by round until the summed cost passes the budget.

    Proposals, rewards and updates are those of a `Search` with the table's evaluator (a test compares
    them); but nothing is written down, so that thousands of searches take minutes.

    Args:
        controller: built afresh.
        space: that it was built for.
        results: of the table's rows.
        reward: the rule that makes a reward of a result.
        children_per_round: m: architectures for each update.
        budget_seconds: the last query is the one with which the clock passes it.

    Returns:
        The row of each query in order, `MISSING` where the table has none.

    Raises:
        InputError: queries cost nothing, so that the search would never end.
        SearchError: the controller proposed nothing.
    """
    if not results.costs.any():
        raise InputError("the table's queries cost nothing: name its column of seconds, or write `cost: 1`")
    asked: list[int] = []
    begun, clock = 0, 0.0
    while clock < budget_seconds:
        proposals = controller.propose(children_per_round, begun)
        if not proposals:
            raise SearchError("the controller proposed nothing, so the search can't go on")
        told = []
        for number, proposal in enumerate(proposals, start=begun):
            row = row_of(results.table, space, proposal)
            result = results.of(row)
            if clock < budget_seconds:
                asked.append(MISSING if row is None else row)
            clock += result.train_seconds
            told.append((replace(proposal, number=number), replace(result, reward=reward(result))))
        begun += len(proposals)
        if clock < budget_seconds:
            controller.learn(told)
    return asked
