"""One batch of a search as a subflow with a task for each of its stages."""

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
from nas.search.loops import Loop, Stage, StageKind

OPEN: dict[str, Loop] = {}
"""Loops that this process carries out, by the fingerprint of the search: tasks are given only that name."""


@task(name="sample", cache_policy=NO_CACHE)
def sample(search: str, batch: int) -> list[int]:
    """The numbers of the children of a new batch."""
    loop = OPEN[search]
    loop.carry_out(Stage(StageKind.SAMPLE, batch))
    return [child.number for child in loop.search.record.children(batch=batch)]


@task(name="train-child", task_run_name="child {number}", cache_policy=NO_CACHE)
def train_child(search: str, batch: int, number: int) -> Any:
    """Trains one child; a child that fails is a result, not a failed task, and never tried again."""
    loop = OPEN[search]
    try:
        loop.carry_out(Stage(StageKind.EVALUATE, batch, number))
    except CancelledError:
        return Cancelled(message="The search was stopped; the next flow run trains this child again.")
    child = loop.search.record.child(number)
    result = child.result
    if result is not None and not result.ok:
        logger.warning("child %d: %s (%s)", number, result.status, result.message)
    return {"status": child.status, "reward": result.reward if result else None}


@task(name="aggregate-rewards", cache_policy=NO_CACHE)
def aggregate_rewards(search: str, batch: int) -> dict[str, float]:
    """What the batch's children earned; every child has its result by now."""
    loop = OPEN[search]
    loop.carry_out(Stage(StageKind.AGGREGATE, batch))
    return earned(loop, batch)


@task(name="update-controller", cache_policy=NO_CACHE)
def update_controller(search: str, batch: int) -> dict[str, float]:
    """Lets the controller learn from the batch."""
    loop = OPEN[search]
    loop.carry_out(Stage(StageKind.UPDATE, batch))
    return dict(loop.search.record.batch(batch).statistics or {})


TASKS: dict[StageKind, Any] = {
    StageKind.SAMPLE: sample,
    StageKind.AGGREGATE: aggregate_rewards,
    StageKind.UPDATE: update_controller,
}
"""Of the stages that a batch has once."""


@flow(name="round", flow_run_name="round {number}", validate_parameters=False)
def one_batch(search: str, number: int) -> None:
    """Carries out the stages of one batch as its loop says: each a task, children in parallel.

    Args:
        search: fingerprint of a search in `OPEN`.
        number: of the batch.
    """
    loop = OPEN[search]
    while stages := loop.ready(number):
        children = [stage.child for stage in stages if stage.child is not None]
        futures = [train_child.submit(search, number, child) for child in children]
        try:
            for stage in stages:
                if stage.child is None:
                    TASKS[stage.kind](search, number)
            wait(futures)
            for future in futures:
                future.result()
        except BaseException as error:
            if not is_away(error):  # else the children train on, and the search with them
                loop.search.evaluator.close()  # first of all: the threads of the tasks wait for the children
            raise
        for stage in stages:
            loop.done(stage)


def run_batch(search: str, number: int, threads: int) -> None:
    """Runs `one_batch` with a thread for each child; they wait for slots, not for threads.

    The batch sends no heartbeats of its own, since the search's flow run does: Prefect waits up to a
    second for their thread at the end of every flow run.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=threads)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        one_batch.with_options(task_runner=runner)(search, number)


def earned(loop: Loop, batch: int) -> dict[str, float]:
    """What the children of a batch earned, in a few numbers; of a batch without children, none."""
    results = [child.result for child in loop.search.record.children(batch=batch) if child.result is not None]
    rewards = [result.reward or 0.0 for result in results]
    if not rewards:
        return {}
    return {
        "children": len(results),
        "failed": sum(not result.ok for result in results),
        "mean": sum(rewards) / len(rewards),
        "best": max(rewards),
    }
