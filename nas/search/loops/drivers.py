"""Drivers: what carries the stages of a loop out. Prefect's is `flows.search`."""

from __future__ import annotations

import heapq
import math
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import SimpleQueue

from nas.errors import SearchError
from nas.search.loops.loop import Loop, Stage

STANDS_STILL = "the loop gives out no stage although batches are open, so the search can't go on"


def drive(loop: Loop) -> None:
    """Carries a loop out to its end: children on the evaluator's slots, all else in this thread.

    After an error no other stage begins; the children that run are waited for, and then it is raised.

    Raises:
        CancelledError: the evaluator was closed while children ran.
        NasError: a stage couldn't be carried out.
    """
    ended: SimpleQueue[tuple[Stage, Future[None]]] = SimpleQueue()
    under_way = 0
    failure: BaseException | None = None
    while True:
        stages = [] if failure else loop.ready()
        for stage in stages:
            try:
                future = loop.begin(stage)
            except Exception as error:
                failure = error
                break
            if future is None:
                loop.done(stage)
            else:
                under_way += 1
                future.add_done_callback(partial(_put, ended, stage))
        if stages and not failure:
            continue  # what was done here may have made other stages ready
        if not under_way:
            break
        stage, future = ended.get()
        under_way -= 1
        if future.cancelled():
            failure = failure or CancelledError()
        elif (raised := future.exception()) is not None:
            failure = failure or raised
        else:
            loop.done(stage)
    if failure is not None:
        raise failure
    if not loop.over:
        raise SearchError(STANDS_STILL)


def _put(ended: SimpleQueue[tuple[Stage, Future[None]]], stage: Stage, future: Future[None]) -> None:
    ended.put((stage, future))


def drive_by_clock(loop: Loop, slots: int = 1, until_seconds: float = math.inf) -> float:
    """Carries a loop out on a virtual clock, for evaluators that answer at once and know what it costs.

    Each child occupies one of the `slots` for the training time that its result tells; everything else
    takes no time. Stages therefore end in the order in which they would on a machine with so many slots.

    Args:
        loop: its search's evaluator answers at once (a table).
        slots: how many children run at a time.
        until_seconds: the clock stops when it has passed this; what would end later is not done.

    Returns:
        The time on the clock, in seconds.
    """
    clock, order = 0.0, 0
    free = [0.0] * slots
    running: list[tuple[float, int, Stage]] = []
    while clock < until_seconds:
        stages = loop.ready()
        for stage in stages:
            future = loop.begin(stage)
            if future is not None and stage.child is not None:
                future.result()
                cost = loop.search.record.child(stage.child).cost_seconds
                end = max(clock, heapq.heappop(free)) + cost
                heapq.heappush(free, end)
                heapq.heappush(running, (end, order, stage))
                order += 1
            else:
                loop.done(stage)
        if not stages:
            if not running:
                break
            clock, _, stage = heapq.heappop(running)
            loop.done(stage)
    return clock
