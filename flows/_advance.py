"""Batches of one search until its budget or this flow run's share is used up, shown as they end."""

from __future__ import annotations

import time

from flows._page import Page
from flows._round import OPEN, earned, run_batch
from flows._runs import is_away, was_stopped, why
from flows._settings import logger
from nas.errors import SearchError
from nas.experiment import Budget, fingerprint
from nas.search.loops import Loop, drive
from nas.search.loops.drivers import STANDS_STILL
from nas.search.rewards import shown
from nas.search.search import Search


def advance(current: Search, budget: Budget, at_most: int, begun: float) -> int:
    """Runs batches until the budget is used up, `at_most` of them; returns how many.

    When Prefect's API goes away, the other batches are done without it before its error is raised.

    Args:
        current: held by this process.
        budget: of the search.
        at_most: batches.
        begun: when the hours of the budget began, on the monotonic clock.
    """
    page = Page(current, budget)
    name = fingerprint(current.record.definition)
    loop = OPEN[name] = current.loop(budget, batches=at_most, begun_at=begun)
    done = 0
    try:
        while (number := loop.next_batch()) is not None:
            if not done:
                current.evaluator.warm_up()
            run_batch(name, number, current.experiment.search.children_per_round)
            if loop.next_batch() == number:
                raise SearchError(STANDS_STILL)
            done += 1
            logger.info("%s", told(loop, number))
            page.show((time.monotonic() - begun) / 3600)
        page.close()
        return done
    except BaseException as error:
        if not is_away(error) or was_stopped(error):
            current.evaluator.close()  # nothing that follows may keep children running
            raise
        logger.warning("Prefect's API is away (%s); the search goes on without it", why(error))
        drive(current.loop(budget, batches=at_most - done, begun_at=begun))
        raise
    finally:
        del OPEN[name]


def told(loop: Loop, number: int) -> str:
    """A batch in a line."""
    current, mean = loop.search, earned(loop, number).get("mean")
    best = current.record.best(1)
    so_far = f", best {shown(best[0].reward)} (child {best[0].number})" if best else ""
    reward = "" if mean is None else f", reward {shown(mean)} on average"
    return (
        f"{current.experiment.name}, seed {current.experiment.seed}, round {number}: "
        f"{current.record.count('finished')} children{reward}{so_far}"
    )
