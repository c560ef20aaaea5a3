"""A search: its stages on its record, so that it can go on whatever happens."""

from __future__ import annotations

import bisect
import hashlib
import logging
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any, Self

from nas.controllers.controller import Controller
from nas.errors import InputError, NasError, SearchError
from nas.evaluation import (
    LONGEST_MESSAGE,
    ChildResult,
    Evaluator,
    Job,
    Proposal,
    RewardRule,
    Status,
    harmless,
)
from nas.experiment import Budget, Experiment
from nas.search.loops import Limits, Loop, drive
from nas.search.record import Record
from nas.search.rows import Batch, Child
from nas.search.states import EVALUATOR, POLICY, replica_owner
from nas.spaces import UnknownArchitecture

logger = logging.getLogger("nas")

UNJUDGED = 3
"""So many children that the reward can't judge end a search in which it has judged none."""


@dataclass(frozen=True)
class Event:
    """Something that a listener may want to show.

    Attributes:
        what: `sampled` (a batch), `started`, `finished` (a child), `updated` (a batch).
        batch: number of the batch.
        child: number of the child, where the event is one child's.
        slot: where it started.
    """

    what: str
    batch: int
    child: int | None = None
    slot: str = ""


Listener = Callable[[Event], None]


@dataclass
class Search:
    """One search: its controller and evaluator, the record that both go on from, and what each stage does.

    Which stage comes when, its loop says (see `nas.search.loops`); `advance` carries the loop out here, and a
    pipeline shows each stage. Whatever is killed when, the next `Search` on the same record goes on with the
    open batches: their proposals are kept, finished children are not trained again.

    Attributes:
        experiment: a single search (one seed).
        record: held for going on.
        controller: built afresh; its state is restored from the record.
        evaluator: turns jobs into results.
        reward: the experiment's reward rule.
        listeners: called after each commit, from any thread; an error in one is only logged.
        folder: where children may keep files, relative to the workspace; empty: they keep nothing.
        commit: of the code; the record keeps that of its last new round. Empty: unknown.
    """

    experiment: Experiment
    record: Record
    controller: Controller
    evaluator: Evaluator
    reward: RewardRule
    listeners: Sequence[Listener] = ()
    folder: str = ""
    commit: str = ""
    _judges: bool = False
    _unjudged: int = 0
    _curves: list[array[float]] = field(default_factory=list)
    _batches_in_curves: int = 0
    _begun: dict[int, Future[None]] = field(default_factory=dict)
    _lock: Any = field(default_factory=RLock)

    def __post_init__(self) -> None:
        policy, sampler = self.record.state(POLICY), self.record.state(replica_owner(0))
        if policy is not None:
            self.controller.restore_policy(policy)
        if sampler is not None:
            self.controller.restore_sampler(sampler)
        evaluator = self.record.state(EVALUATOR)
        if evaluator is not None:
            self.evaluator.restore(evaluator)

    # --- the stages of a batch ---------------------------------------------------------------------

    def sample(self, at_most: int | None = None, *, replica: int = 0) -> Batch:
        """A new batch, committed before any of its children starts.

        Args:
            at_most: it has no more children than this (the rest of a budget).
            replica: whose batch it is.
        """
        count = self.experiment.search.children_per_round
        if self.commit:
            self.record.set_meta("git_commit", self.commit)
        first = self.record.count()
        proposals = self.controller.propose(min(count, at_most or count), first)
        if not proposals:
            raise SearchError("the controller proposed nothing, so the search can't go on")
        seeds = [child_seed(self.experiment.seed, first + place) for place in range(len(proposals))]
        begun = self.record.begin_batch(
            proposals,
            seeds,
            self._states(replica, policy=first == 0),
            policy_version=self.controller.updates,
            replica=replica,
        )
        self._tell(Event("sampled", begun.number))
        return begun

    def train(self, number: int) -> Child:
        """Trains child `number` unless it has a result, and returns it with its result.

        Blocks until then; thread-safe, and meant to be called for a batch's children in parallel.
        """
        self.submit(number).result()
        return self.record.child(number)

    def submit(self, number: int) -> Future[None]:
        """Begins the training of child `number`; the future ends when its result is committed."""
        with self._lock:
            if number in self._begun:
                return self._begun[number]
            done = self._begun[number] = Future()
        done.add_done_callback(lambda _: self._begun.pop(number, None))
        self._begin(number, done)
        return done

    def _begin(self, number: int, done: Future[None]) -> None:
        try:
            self._reuse_or_train(self.record.child(number), done)
        except Exception as error:  # it may run in another child's callback: whoever waits must hear
            done.set_exception(error)

    def _reuse_or_train(self, child: Child, done: Future[None]) -> None:
        if child.result is not None:
            done.set_result(None)
            return
        if self.experiment.search.duplicates == "reuse":
            for twin in self.record.twins_before(child):
                if twin.result is None:
                    self.submit(twin.number).add_done_callback(lambda twin: self._after(twin, child, done))
                    return
                if twin.result.ok:
                    self._end(child, twin.result, done, same_as=twin.number)
                    return
        if child.attempts >= self.experiment.workers.attempts:
            message = f"interrupted {child.attempts} times while it trained"
            self._end(child, ChildResult(Status.LOST, seed=child.seed, message=message), done)
        else:
            self._evaluate(child, done)

    def _after(self, twin: Future[None], child: Child, done: Future[None]) -> None:
        """Goes on with a child that waited for its twin, unless the twin was stopped or broke the search."""
        if twin.cancelled():
            _cancel(done)
        elif (error := twin.exception()) is not None:
            done.set_exception(error)
        else:
            self._begin(child.number, done)

    def _evaluate(self, child: Child, done: Future[None]) -> None:
        architecture = child.proposal.architecture
        if isinstance(architecture, UnknownArchitecture):
            raise SearchError(f"child {child.number} can't be trained: {architecture.reason}")
        folder = f"{self.folder}/child-{child.number:06}" if self.folder else ""
        job = Job(child.proposal, child.seed, self._median_curve(child.batch), folder)

        begun = []

        def started(slot: str) -> None:
            self.record.begin_child(child.number, slot)
            begun.append(slot)
            self._tell(Event("started", child.batch, child.number, slot))

        def finished(future: Future[ChildResult]) -> None:
            if future.cancelled():
                if begun:  # else the attempts are those of a search that was killed, and count
                    with suppress(NasError):  # only the count of attempts would be one too high
                        self.record.stop_child(child.number)
                _cancel(done)
                return
            error = future.exception()
            if error is not None:
                done.set_exception(error)
            else:
                self._end(child, future.result(), done)

        self.evaluator.submit(job, started).add_done_callback(finished)

    def _end(self, child: Child, result: ChildResult, done: Future[None], same_as: int | None = None) -> None:
        try:
            if same_as is None:  # else it was checked
                result = result.checked()
            judged, fault = self._judged(result)
            self.record.end_child(child.number, judged, same_as)
            if result.ok:
                self._notice(fault)
        except BaseException as error:  # a full disk, say: whoever waits must hear of it
            done.set_exception(error)
            if isinstance(error, Exception):
                return
            raise
        self._tell(Event("finished", child.batch, child.number))
        done.set_result(None)

    def _judged(self, result: ChildResult) -> tuple[ChildResult, str]:
        """The result with its reward, which is finite, and why the rule couldn't judge it (empty: it could).

        One that the rule can't judge has crashed, and has the reward of a failed child.
        """
        try:
            reward = _finite("reward", self.reward(result))
            if result.ok:
                score = self.reward.score(result)
                if score is None:
                    measured = ", ".join(sorted(result.history[0])) if result.history else "nothing"
                    raise InputError(
                        f"there is no '{self.reward.metric}' to judge it by; it records {measured}"
                    )
                _finite("score", score)
            return replace(result, reward=reward), ""
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            text = str(error) if isinstance(error, NasError) else f"{type(error).__name__}: {error}"
            fault = harmless(f"its reward can't be computed: {text}", LONGEST_MESSAGE)
        failed = result.failed(Status.CRASHED, fault)
        try:
            reward = _finite("reward", self.reward(failed))
        except (Exception, SystemExit):  # the rule is broken for every child
            reward = 0.0
        return replace(failed, reward=reward), fault

    def _notice(self, fault: str) -> None:
        """Ends a search whose rule can't judge any of its first children: going on would waste them all.

        Args:
            fault: why a child that ended well couldn't be judged; empty: it could.

        Raises:
            InputError: so many children in a row, and none before, couldn't be judged.
        """
        with self._lock:
            self._judges = self._judges or not fault
            self._unjudged += bool(fault)
            found = 0 if self._judges else self._unjudged
        if found and found >= min(UNJUDGED, self.experiment.search.children_per_round):
            raise InputError(
                f"none of the {found} children that ended well could be judged by the reward "
                f"'{self.experiment.reward.name}': {fault}. Correct the reward (or what children record) "
                "and start again"
            )

    def aggregate(self, number: int) -> list[tuple[Proposal, ChildResult]]:
        """The batch's proposals with their results and rewards, in the order of their numbers.

        Raises:
            SearchError: a child of the batch has no result yet.
        """
        told = []
        for child in self.record.children(batch=number):
            if child.result is None:
                raise SearchError(f"child {child.number} of batch {number} has no result yet")
            told.append((child.proposal, child.result))
        return told

    def update(self, number: int) -> dict[str, float]:
        """Lets the controller learn from the batch and commits the update whole."""
        done = self.record.batch(number)
        if done.statistics is not None:
            return dict(done.statistics)
        learnt = self.controller.learn(self.aggregate(number))
        states = self._states(done.replica, policy=True)
        self.record.end_batch(number, learnt, states, policy_version=self.controller.updates)
        self._tell(Event("updated", number))
        return learnt

    # --- all of it ---------------------------------------------------------------------------------

    def loop(self, budget: Budget, *, batches: int | None = None, begun_at: float | None = None) -> Loop:
        """The experiment's loop over this search, within limits (see `nas.search.loops.Limits`)."""
        limits = Limits(budget, batches, begun_at)
        made = self.experiment.search.loop_part.make("loop", search=self, limits=limits)
        if not isinstance(made, Loop):
            raise InputError(f"loop '{self.experiment.search.loop}' is not a nas.search.loops.Loop")
        return made

    def advance(self, budget: Budget) -> None:
        """Goes on until the record has used up `budget`.

        `children`, `rounds` and `cost_seconds` count everything in the record, `hours` this call's wall time.
        """
        drive(self.loop(budget))

    # --- inside ------------------------------------------------------------------------------------

    def _states(self, replica: int, *, policy: bool) -> dict[str, Any]:
        """What must be committed with a batch: the policy changes only by an update."""
        if not self.record.keeps_states:
            return {}
        states = {replica_owner(replica): self.controller.sampler_state(), EVALUATOR: self.evaluator.state()}
        return states | ({POLICY: self.controller.policy_state()} if policy else {})

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # a display that fails must never stop a search
                logger.warning("a listener of the search failed at '%s': %s", event.what, error)

    def _median_curve(self, batch: int) -> tuple[float, ...]:
        """Median of what the recipe watches at each epoch over the children of earlier batches.

        Of those that ended well, each for the epochs that it finished (see `Recipe.stops_at_median`).
        """
        if self.experiment.recipe is None:
            return ()
        recipe = self.experiment.built_recipe()
        if not recipe.median_stopping:
            return ()
        with self._lock:
            self._add_curves(self.record.curves(recipe.watched, self._batches_in_curves, batch))
            self._batches_in_curves = max(self._batches_in_curves, batch)
            return tuple(map(_median, self._curves))

    def _add_curves(self, curves: Iterable[Sequence[float]]) -> None:
        fresh: list[array[float]] = []
        for curve in curves:
            fresh += [array("d") for _ in range(len(curve) - len(fresh))]
            for values, value in zip(fresh, curve, strict=False):
                values.append(value)
        self._curves += [array("d") for _ in range(len(fresh) - len(self._curves))]
        for epoch, values in enumerate(fresh):
            known = self._curves[epoch]
            if len(values) > len(known):  # the record was opened just now
                self._curves[epoch] = array("d", sorted(known + values))
            else:
                for value in values:
                    bisect.insort(known, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.evaluator.close()
        self.record.close()


def _median(values: Sequence[float]) -> float:
    """Of sorted values, of which there is at least one."""
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def child_seed(seed: int, number: int) -> int:
    """The seed of a child's randomness: a different one for each child of each search.

    Depends on nothing but the search's seed and the child's number, so a repeated training is the same.
    """
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: every framework takes it


def _finite(what: str, value: Any) -> float:
    """A plain finite number of what a reward rule returned.

    Raises:
        InputError: it isn't one.
    """
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"the {what} must be a finite number. Received: {value!r:.100}")
    return number


def _cancel(future: Future[None]) -> None:
    future.cancel()
    future.set_running_or_notify_cancel()  # so that those who wait for it wake
