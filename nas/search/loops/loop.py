"""Loops: which stages of a search can begin, and in which order batches are learnt from."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from nas.experiment import Budget
from nas.search.memory import SearchRecord
from nas.search.rows import Batch

if TYPE_CHECKING:
    from nas.search.search import Search


class StageKind(StrEnum):
    """What a stage does for its batch, in this order."""

    SAMPLE = "sample"
    """The controller proposes the batch's architectures; the record commits and numbers them."""
    EVALUATE = "evaluate"
    """One child is trained, or looked up."""
    AGGREGATE = "aggregate"
    """The batch's rewards are put together."""
    UPDATE = "update"
    """The controller learns from them."""


@dataclass(frozen=True)
class Stage:
    """One piece of a search's work.

    Attributes:
        kind: what is done.
        batch: number of the batch that it belongs to.
        child: number of the child that is evaluated; None: the stage is the whole batch's.
    """

    kind: StageKind
    batch: int
    child: int | None = None


@dataclass(frozen=True)
class Limits:
    """How far a loop goes this time.

    Attributes:
        budget: `children`, `rounds` and `cost_seconds` count everything in the record; `hours` from
            `begun_at` on.
        batches: it begins or goes on with no more batches than this; None: any number.
        begun_at: on the monotonic clock, in seconds; None: now.
    """

    budget: Budget
    batches: int | None = None
    begun_at: float | None = None


@dataclass
class _Open:
    """A batch that is not learnt from yet, as far as this loop has got with it."""

    number: int
    replica: int
    waiting: set[int] = field(default_factory=set)
    """Children that nobody has begun to evaluate."""
    running: set[int] = field(default_factory=set)
    stage: StageKind = StageKind.EVALUATE
    """The next stage of the batch, or the one that is under way."""
    under_way: bool = False


class Loop(ABC):
    """The course of a search: gives out stages as they can begin, each once, and hears when they end.

    A batch is sampled, its children are evaluated in any order and number at a time, its rewards are
    aggregated, and the controller is updated; that order stands here alone. A loop decides how many
    batches are open at a time and which of those that are complete is learnt from next. It holds nothing
    that the record doesn't: a loop built afresh on the same record goes on with the batches that are open.

    Whoever drives a loop asks for `ready` stages, carries each out (`begin`) and tells that it is `done`,
    until it is `over`. Thread-safe.

    Args:
        search: whose record, controller and evaluator the stages work on.
        limits: how far it goes.
    """

    def __init__(self, search: Search, limits: Limits) -> None:
        self.search, self.limits = search, limits
        self._begun_at = time.monotonic() if limits.begun_at is None else limits.begun_at
        self._lock = threading.RLock()
        self._open: dict[int, _Open] = {}
        self._sampling: int | None = None
        self._taken = 0
        if self._hours_left() > 0:
            for batch in search.record.open_batches():
                if limits.batches is None or self._taken < limits.batches:
                    self._take(batch)

    # --- what a loop decides -----------------------------------------------------------------------

    @abstractmethod
    def next_replica(self) -> int | None:
        """The replica that samples a batch now; None: none may, before another stage is done."""

    def may_update(self, batch: int) -> bool:
        """Whether the controller may learn from `batch` now, all of whose children have results."""
        return True

    # --- what a driver uses ------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether no stage is ready or under way."""
        with self._lock:
            return self._sampling is None and not self._open and self._replica() is None

    def next_batch(self) -> int | None:
        """Number of the batch whose stages come next: one that is open, else a new one; None: over."""
        with self._lock:
            if self._sampling is not None:
                return self._sampling
            if self._open:
                return min(self._open)
            return None if self._replica() is None else self.search.record.count_batches()

    def ready(self, batch: int | None = None) -> list[Stage]:
        """Stages that can begin now and were not given out before.

        Args:
            batch: only those of the batch with this number, be it one that is yet to be sampled.
        """
        with self._lock:
            stages = [
                stage
                for number in sorted(self._open)
                if batch is None or number == batch
                for stage in self._stages_of(self._open[number])
            ]
            if self._sampling is None and self._replica() is not None:
                number = self.search.record.count_batches()
                if batch is None or batch == number:
                    self._sampling = number
                    stages.append(Stage(StageKind.SAMPLE, number))
            return stages

    def begin(self, stage: Stage) -> Future[None] | None:
        """Begins a stage that was ready; None: it has ended already."""
        if stage.kind is StageKind.EVALUATE and stage.child is not None:
            return self.search.submit(stage.child)
        if stage.kind is StageKind.SAMPLE:
            self._sample(stage.batch)
        elif stage.kind is StageKind.AGGREGATE:
            self.search.aggregate(stage.batch)
        else:
            self.search.update(stage.batch)
        return None

    def carry_out(self, stage: Stage) -> None:
        """Begins a stage and waits for its end; `done` is for the driver to tell."""
        if (future := self.begin(stage)) is not None:
            future.result()

    def done(self, stage: Stage) -> None:
        """Takes note that a stage was carried out."""
        with self._lock:
            if stage.kind is StageKind.SAMPLE:
                self._sampling = None
                self._take(self.search.record.batch(stage.batch))
                return
            batch = self._open[stage.batch]
            batch.under_way = False
            if stage.kind is StageKind.EVALUATE:
                batch.running.discard(-1 if stage.child is None else stage.child)
            elif stage.kind is StageKind.AGGREGATE:
                batch.stage = StageKind.UPDATE
            else:
                del self._open[stage.batch]

    @property
    def open_batches(self) -> int:
        """How many batches are sampled and not yet learnt from."""
        return len(self._open)

    # --- inside ------------------------------------------------------------------------------------

    def _sample(self, number: int) -> None:
        replica = self.next_replica()
        left = room(self.search.record, self.limits.budget)
        self.search.sample(None if left == math.inf else int(left), replica=replica or 0)

    def _take(self, batch: Batch) -> None:
        """Goes on with a batch of the record."""
        children = {child.number for child in self.search.record.children(batch=batch.number)}
        self._open[batch.number] = _Open(batch.number, batch.replica, waiting=children)
        self._taken += 1

    def _stages_of(self, batch: _Open) -> list[Stage]:
        if batch.waiting:
            stages = [Stage(StageKind.EVALUATE, batch.number, child) for child in sorted(batch.waiting)]
            batch.running |= batch.waiting
            batch.waiting = set()
            return stages
        if batch.running or batch.under_way:
            return []
        if batch.stage is StageKind.EVALUATE:
            batch.stage = StageKind.AGGREGATE
        if batch.stage is StageKind.UPDATE and not self.may_update(batch.number):
            return []
        batch.under_way = True
        return [Stage(batch.stage, batch.number)]

    def _replica(self) -> int | None:
        """Who samples now, within the limits."""
        if self.limits.batches is not None and self._taken >= self.limits.batches:
            return None
        replica = self.next_replica()  # first, since room may have to sum up the whole record
        if replica is None or self._hours_left() <= 0 or room(self.search.record, self.limits.budget) <= 0:
            return None
        return replica

    def _hours_left(self) -> float:
        hours = self.limits.budget.hours
        return math.inf if hours is None else hours - (time.monotonic() - self._begun_at) / 3600


def room(record: SearchRecord, budget: Budget) -> int | float:
    """How many more children may be proposed within a budget; its hours are the loop's own.

    Args:
        record: `children`, `rounds` and `cost_seconds` count all that it holds.
        budget: what is allowed.

    Returns:
        0 when the budget is used up; infinity if nothing but time or cost limits it.
    """
    if budget.rounds is not None and record.count_batches() >= budget.rounds:
        return 0
    if budget.cost_seconds is not None and record.cost_seconds() >= budget.cost_seconds:
        return 0
    return math.inf if budget.children is None else max(0, budget.children - record.count())
