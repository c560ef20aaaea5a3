"""One round of a search as a subflow with a task for each of its stages."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner

from flows._runs import is_away
from flows._settings import logger
from nas.search.search import Search

OPEN: dict[str, Search] = {}
"""The searches that this process holds, by the fingerprint of each: tasks are given only the name."""


@task(name="sample", cache_policy=NO_CACHE)
def sample(search: str, at_most: int | None) -> list[int]:
    """The numbers of the children of the open round, or of a new one."""
    current = OPEN[search]
    begun = current.sample(at_most)
    return [child.number for child in current.record.children(round=begun.number)]


@task(name="train-child", task_run_name="child {number}", cache_policy=NO_CACHE)
def train_child(search: str, number: int) -> Any:
    """Trains one child; a child that fails is a result, not a failed task, and never tried again."""
    try:
        child = OPEN[search].train(number)
    except CancelledError:
        return Cancelled(message="The search was stopped; the next flow run trains this child again.")
    result = child.result
    if result is not None and not result.ok:
        logger.warning("child %d: %s (%s)", number, result.status, result.message)
    return {"status": child.status, "reward": result.reward if result else None}


@task(name="aggregate-rewards", cache_policy=NO_CACHE)
def aggregate_rewards(search: str, number: int) -> dict[str, float]:
    """What the round's children earned; every child has its result by now."""
    results = [result for _, result in OPEN[search].aggregate(number)]
    rewards = [result.reward or 0.0 for result in results]
    return {
        "children": len(results),
        "failed": sum(not result.ok for result in results),
        "mean": sum(rewards) / len(rewards),
        "best": max(rewards),
    }


@task(name="update-controller", cache_policy=NO_CACHE)
def update_controller(search: str, number: int) -> dict[str, float]:
    """Lets the controller learn from the round."""
    return OPEN[search].update(number)


@flow(name="round", flow_run_name="round {number}", validate_parameters=False)
def one_round(search: str, number: int, at_most: int | None) -> dict[str, float]:
    """Sample, train in parallel, aggregate, update.

    Args:
        search: fingerprint of a search in `OPEN`.
        number: of the round.
        at_most: a new round has no more children than this.

    Returns:
        What `aggregate_rewards` counted.
    """
    children = sample(search, at_most)
    futures = [train_child.submit(search, child) for child in children]
    try:
        wait(futures)
        for future in futures:
            future.result()
    except BaseException as error:
        if not is_away(error):  # else the children train on, and the search with them
            OPEN[search].evaluator.close()  # first of all: the threads of the tasks wait for the children
        raise
    earned = aggregate_rewards(search, number)
    update_controller(search, number)
    return earned


def run_round(search: str, number: int, at_most: int | None, threads: int) -> dict[str, float]:
    """Runs `one_round` with a thread for each child; they wait for slots, not for threads.

    The round sends no heartbeats of its own, since the search's flow run does: Prefect waits up to a
    second for their thread at the end of every flow run.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=threads)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return one_round.with_options(task_runner=runner)(search, number, at_most)
