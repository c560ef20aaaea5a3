"""Rounds of one search until its budget or this flow run's share is used up, shown as they end."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flows._page import Page
from flows._round import OPEN, run_round
from flows._runs import is_away, was_stopped, why
from flows._settings import logger
from nas.experiment import Budget, fingerprint
from nas.search.rewards import shown
from nas.search.search import Search, room


def advance(current: Search, budget: Budget, at_most: int, begun: float) -> int:
    """Runs rounds until the budget is used up, `at_most` of them; returns how many.

    When Prefect's API goes away, the other rounds are done without it before its error is raised.

    Args:
        current: held by this process.
        budget: of the search.
        at_most: rounds.
        begun: when the hours of the budget began, on the monotonic clock.
    """
    record, page = current.record, Page(current, budget)
    name = fingerprint(record.definition)
    threads = current.experiment.search.children_per_round
    open_round = record.open_round()
    first = open_round.number if open_round else len(record.rounds())
    OPEN[name] = current
    try:
        for number in range(first, first + at_most):
            seconds = time.monotonic() - begun
            if (left := room(record, budget, seconds)) <= 0:
                page.close()
                return number - first
            if number == first:
                getattr(current.evaluator, "warm_up", lambda: None)()
            earned = run_round(name, number, None if left == float("inf") else int(left), threads)
            logger.info("%s", told(current, number, earned))
            page.show((time.monotonic() - begun) / 3600)
        page.close()
        return at_most
    except BaseException as error:
        if not is_away(error) or was_stopped(error):
            current.evaluator.close()  # nothing that follows may keep children running
            raise
        logger.warning("Prefect's API is away (%s); the search goes on without it", why(error))
        hours = budget.hours and max(1e-9, budget.hours - (time.monotonic() - begun) / 3600)
        last = min(first + at_most, budget.rounds or first + at_most)
        current.advance(budget.model_copy(update={"rounds": last, "hours": hours}))
        raise
    finally:
        del OPEN[name]


def told(current: Search, number: int, earned: Mapping[str, float]) -> str:
    """A round in a line."""
    best = current.record.best(1)
    so_far = f", best {shown(best[0].reward)} (child {best[0].number})" if best else ""
    return (
        f"{current.experiment.name}, seed {current.experiment.seed}, round {number}: "
        f"{current.record.count('finished')} children, reward {shown(earned['mean'])} on average{so_far}"
    )
