"""The contract of evaluators as tests: an evaluator's author inherits them and runs pytest."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from nas.errors import NasError, RefusedError
from nas.evaluation import ChildResult, Evaluator, Job, Proposal
from nas.experiment import Workers
from nas.spaces import parse_architecture

PLATFORM = {"threads", "device", "backend", "environment"}
"""What a platform may tell."""


def echo(value: Any) -> Any:
    """Isolated work that ends well."""
    return value


def refuse(reason: str) -> None:
    """Isolated work that ends with one of nasflow's errors."""
    raise RefusedError(reason)


class EvaluatorContract:
    """What every evaluator must keep to. Inherit it in a class whose name pytest collects.

    Only `make_evaluator` must be defined. The more of the other jobs there are, the more is proven: without
    `long_job` nothing is known of an evaluator that is closed while it works.
    """

    patience: float = 60.0
    """Seconds that a test waits for a job to begin or to end."""
    close_seconds: float = 5.0
    """Seconds that `close` may take."""

    def make_evaluator(self) -> Evaluator:
        """A new evaluator, always with the same options. The tests close it."""
        raise NotImplementedError("a class that inherits EvaluatorContract defines make_evaluator()")

    def job(self, number: int) -> Job:
        """A job that ends well."""
        return Job(Proposal(number, 1, (), parse_architecture("conv:3x3x4@0")), seed=number)

    def failing_jobs(self) -> Sequence[Job]:
        """Jobs that go wrong, each in another way, numbered from 1000: one raises, one crashes …"""
        return ()

    def long_job(self, number: int) -> Job | None:
        """A job that goes on until the evaluator is closed; None: this one answers everything at once."""
        return None

    # --- jobs and results --------------------------------------------------------------------------

    def test_it_says_how_many_jobs_run_at_a_time(self) -> None:
        with self.opened() as evaluator:
            assert isinstance(evaluator.slots, int)
            assert evaluator.slots >= 1

    def test_every_job_ends_as_a_result_whatever_happens_to_it(self) -> None:
        """Failing jobs come between good ones, which they must not harm."""
        failing = list(self.failing_jobs())
        jobs = [self.job(0), *failing, *(self.job(number) for number in range(1, 4))]
        with self.opened() as evaluator:
            results = self.results([evaluator.submit(job) for job in jobs])
        for job, result in zip(jobs, results, strict=True):
            assert isinstance(result, ChildResult), f"of job {job.proposal.number}: {result!r}"
            assert result.checked().status is result.status, f"a record can't keep {result}"
            if job in failing:
                assert not result.ok, f"job {job.proposal.number} went wrong: {result}"
                assert result.message, f"{result} doesn't say why it failed"
            else:
                assert result.ok, f"job {job.proposal.number} should end well: {result}"
                assert result.seed == job.seed, f"the seed is {job.seed}: {result}"

    def test_a_job_is_told_to_begin_once_and_before_it_ends(self) -> None:
        told: list[tuple[int, str]] = []
        jobs = [self.job(0), *self.failing_jobs(), self.job(1)]

        def started(number: int) -> Callable[[str], None]:
            return lambda slot: told.append((number, f"begins on {slot}" if slot else "begins nowhere"))

        def ended(number: int, _: object) -> None:
            told.append((number, "ends"))

        with self.opened() as evaluator:
            futures = []
            for job in jobs:
                number = job.proposal.number
                futures.append(evaluator.submit(job, started(number)))
                futures[-1].add_done_callback(partial(ended, number))
            self.results(futures)
            self.until(lambda: sum(what == "ends" for _, what in told) == len(jobs), "all jobs have ended")
        for job in jobs:
            mine = [what for number, what in told if number == job.proposal.number]
            assert len(mine) == 2, f"job {job.proposal.number}: {mine}"
            assert mine[0].startswith("begins on "), f"job {job.proposal.number}: {mine}"
            assert mine[1] == "ends", f"job {job.proposal.number}: {mine}"

    def test_jobs_may_come_from_many_threads(self) -> None:
        with self.opened() as evaluator, ThreadPoolExecutor(4) as threads:
            futures = list(threads.map(lambda number: evaluator.submit(self.job(number)), range(8)))
            assert [result.seed for result in self.results(futures)] == list(range(8))

    def test_what_runs_and_what_waits_is_told_truly(self) -> None:
        with self.opened() as evaluator:
            self.results([evaluator.submit(self.job(0))])
            assert (evaluator.running(), evaluator.waiting()) == ({}, ""), "nothing runs or waits any more"
            if self.long_job(0) is None:
                return
            told: dict[int, str] = {}
            for number in range(1, evaluator.slots + 1):
                evaluator.submit(self.long(number), partial(told.__setitem__, number))
            self.until(lambda: len(told) == evaluator.slots, "as many jobs begin as there are slots")
            assert evaluator.running() == told
            assert evaluator.waiting() == "", "no job is queued"
            evaluator.submit(self.long(1000))
            assert evaluator.waiting(), "a job is queued for slots that are all taken"
            assert evaluator.running() == told, "no more jobs run than there are slots"

    # --- its end -----------------------------------------------------------------------------------

    def test_closing_is_quick_and_leaves_no_future_unresolved(self) -> None:
        with self.opened() as evaluator:
            futures = self.busy(evaluator)
            begun = time.monotonic()
            evaluator.close()
            took = time.monotonic() - begun
            assert took < self.close_seconds, f"close took {took:.1f} s"
            left = [future for future in futures if not future.done()]
            assert not left, f"{len(left)} futures are unresolved: what didn't end must be cancelled"
            for future in futures:
                assert future.cancelled() or isinstance(future.result(), ChildResult)
            evaluator.close()

    def test_closing_leaves_no_process(self) -> None:
        with self.opened() as evaluator:
            self.results([evaluator.submit(self.job(0))])
        before = {process.pid for process in psutil.Process().children(recursive=True)}  # they serve the next
        with self.opened() as evaluator:
            self.busy(evaluator)
        left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
        _, alive = psutil.wait_procs(left, timeout=1.0)
        running = [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        assert not running, f"left behind: {running}"

    def test_a_closed_evaluator_takes_no_job(self) -> None:
        with self.opened() as evaluator:
            evaluator.close()
            try:
                evaluator.submit(self.job(0))
            except NasError:
                return
        raise AssertionError("a job that is submitted after close must be refused")

    # --- what lasts --------------------------------------------------------------------------------

    def test_its_state_survives_json_and_is_taken_up_by_another(self) -> None:
        with self.opened() as evaluator:
            self.results([evaluator.submit(self.job(number)) for number in range(2)])
            state = evaluator.state()
        kept = json.loads(json.dumps(state))
        assert kept == state, f"JSON changes the state {state}"
        with self.opened() as another:
            another.restore(kept)
            assert another.state() == state, "what was restored is not what was kept"

    def test_its_platform_is_plain_and_always_the_same(self) -> None:
        with self.opened() as evaluator:
            kind, workers = type(evaluator), Workers(slots=1, threads=1)
            platform = kind.platform(workers)
            assert kind.platform(workers) == platform, "it changes, and so would the search's fingerprint"
        if platform is None:
            return
        assert json.loads(json.dumps(dict(platform))) == platform, f"JSON changes {platform}"
        assert set(platform) <= PLATFORM, f"{platform} may only tell {', '.join(sorted(PLATFORM))}"
        assert isinstance(platform.get("threads"), int), f"{platform} must say how many threads a child has"

    def test_isolated_work_answers_or_fails_with_its_own_error(self) -> None:
        with self.opened() as evaluator, tempfile.TemporaryDirectory() as folder:
            if not type(evaluator).isolates():
                return
            log = Path(folder) / "logs" / "work.log"
            value = {"a": [1, 2.5, None]}
            here = f"{__name__}:"
            assert evaluator.isolated(f"{here}echo", {"value": value}, log) == value
            assert not log.exists(), "the log of work that ended well must be removed"
            try:
                evaluator.isolated(f"{here}refuse", {"reason": "not today"}, log)
            except RefusedError as error:
                assert "not today" in str(error)  # noqa: PT017 - pytest is not a dependency of nasflow
            else:
                raise AssertionError("an error of the work must be raised again")

    # --- helpers -----------------------------------------------------------------------------------

    @contextmanager
    def opened(self) -> Iterator[Evaluator]:
        """A new evaluator that can take jobs, closed in the end."""
        evaluator = self.make_evaluator()
        try:
            evaluator.warm_up()
            yield evaluator
        finally:
            evaluator.close()

    def results(self, futures: Sequence[Future[ChildResult]]) -> list[Any]:
        """What the futures hold, an exception in place of a result too; all must have ended."""
        left = wait(futures, timeout=self.patience).not_done
        assert not left, f"{len(left)} of {len(futures)} jobs have no result after {self.patience} s"
        return [future.exception() or future.result() for future in futures]

    def busy(self, evaluator: Evaluator) -> list[Future[ChildResult]]:
        """Futures of jobs that run on all slots, and of one that waits."""
        if self.long_job(0) is None:
            return [evaluator.submit(self.job(number)) for number in range(3)]
        begun = threading.Semaphore(0)
        jobs = [self.long(number) for number in range(evaluator.slots + 1)]
        futures = [evaluator.submit(job, lambda _: begun.release()) for job in jobs]
        for _ in range(evaluator.slots):
            assert begun.acquire(timeout=self.patience), f"fewer than {evaluator.slots} jobs begin"
        return futures

    def long(self, number: int) -> Job:
        """A long job, where there are such."""
        made = self.long_job(number)
        assert made is not None
        return made

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for what must come true."""
        end = time.monotonic() + self.patience
        while not condition():
            assert time.monotonic() < end, f"not after {self.patience} s: {what}"
            time.sleep(0.01)
