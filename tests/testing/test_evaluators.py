"""The contract of evaluators catches the mistakes that it is there for."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nas.errors import InputError
from nas.evaluation import ChildResult, Evaluator, Job, Status
from nas.testing.evaluators import EvaluatorContract
from nas.workers.process import _function
from tests.factories import job

Started = Callable[[str], None] | None


class Sound(Evaluator):
    """Does all that the contract asks for, in threads of this process."""

    def __init__(self) -> None:
        self.closed, self.lock = threading.Event(), threading.Lock()
        self.threads = ThreadPoolExecutor(2)
        self.free = ["one", "two"]
        self.now: dict[int, str] = {}
        self.queued = self.served = 0
        self.futures: list[Future[ChildResult]] = []

    @property
    def slots(self) -> int:
        return 2

    @classmethod
    def platform(cls, workers: Any) -> Mapping[str, Any] | None:
        return {"threads": workers.threads, "device": "cpu"}

    @classmethod
    def isolates(cls) -> bool:
        return True

    def isolated(self, function: str, arguments: Mapping[str, Any], log: Path) -> Any:
        return _function(function)(**arguments)

    def submit(self, job: Job, started: Started = None) -> Future[ChildResult]:
        if self.closed.is_set():
            raise InputError("closed")
        future: Future[ChildResult] = Future()
        self.futures.append(future)
        with self.lock:
            self.queued += 1
        self.threads.submit(self.work, job, started, future)
        return future

    def work(self, job: Job, started: Started, future: Future[ChildResult]) -> None:
        with self.lock:
            slot = self.free.pop()
            self.queued -= 1
            self.now[job.proposal.number] = slot
        if started and not self.closed.is_set():
            started(slot)
        answer = self.answer(job)
        with self.lock:
            self.now.pop(job.proposal.number)
            self.free.append(slot)
            self.served += 1
        if not future.cancelled():
            self.give(future, answer)

    def give(self, future: Future[ChildResult], answer: ChildResult) -> None:
        future.set_result(answer)

    def answer(self, job: Job) -> ChildResult:
        way = job.proposal.overrides.get("way")
        if way == "long":
            self.closed.wait(60)
        return ChildResult(Status.CRASHED if way else Status.OK, seed=job.seed, message=way or "")

    def running(self) -> dict[int, str]:
        with self.lock:
            return dict(self.now)

    def waiting(self) -> str:
        return f"{self.queued} queued" if self.queued else ""

    def state(self) -> dict[str, Any]:
        return {"served": self.served}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.served = state["served"]

    def close(self) -> None:
        for future in self.futures:
            future.cancel()
        self.closed.set()
        self.threads.shutdown(cancel_futures=True)


class RaisesInPlaceOfAResult(Sound):
    def give(self, future: Future[ChildResult], answer: ChildResult) -> None:
        if answer.ok:
            future.set_result(answer)
        else:
            future.set_exception(ValueError(answer.message))


class LosesAJob(Sound):
    def give(self, future: Future[ChildResult], answer: ChildResult) -> None:
        if answer.ok:
            future.set_result(answer)


class SaysThatAllIsWell(Sound):
    def answer(self, job: Job) -> ChildResult:
        return ChildResult(Status.OK, seed=job.seed)


class SaysNoReason(Sound):
    def answer(self, job: Job) -> ChildResult:
        return ChildResult(super().answer(job).status, seed=job.seed)


class MixesUpSeeds(Sound):
    def answer(self, job: Job) -> ChildResult:
        return ChildResult(super().answer(job).status, seed=7, message="why")


class AnswersWhatNoRecordKeeps(Sound):
    def answer(self, job: Job) -> ChildResult:
        return ChildResult(Status.OK, ({"loss": float("nan")},), seed=job.seed)


class NeverSaysThatAJobBegins(Sound):
    def work(self, job: Job, started: Started, future: Future[ChildResult]) -> None:
        super().work(job, None, future)


class SaysTwiceThatAJobBegins(Sound):
    def work(self, job: Job, started: Started, future: Future[ChildResult]) -> None:
        if started:
            started("one")
        super().work(job, started, future)


class SaysTooLateThatAJobBegins(Sound):
    def work(self, job: Job, started: Started, future: Future[ChildResult]) -> None:
        time.sleep(0.05)
        super().work(job, None, future)
        if started:
            started("one")


class BeginsNowhere(Sound):
    def work(self, job: Job, started: Started, future: Future[ChildResult]) -> None:
        super().work(job, started and (lambda _: started("")), future)


class BreaksWhenThreadsMeet(Sound):
    def submit(self, job: Job, started: Started = None) -> Future[ChildResult]:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("changed size during iteration")
        return super().submit(job, started)


class NeverSaysWhatRuns(Sound):
    def running(self) -> dict[int, str]:
        return {}


class SaysForEverWhatRan(Sound):
    def running(self) -> dict[int, str]:
        return dict.fromkeys(range(len(self.futures)), "one")


class NeverSaysWhatWaits(Sound):
    def waiting(self) -> str:
        return ""


class AlwaysWaits(Sound):
    def waiting(self) -> str:
        return "0 queued"


class HasNoSlots(Sound):
    @property
    def slots(self) -> int:
        return 0


class ClosesSlowly(Sound):
    def close(self) -> None:
        super().close()
        time.sleep(0.4)


class ClosesOnce(Sound):
    def close(self) -> None:
        if self.closed.is_set():
            raise ValueError("closed already")
        super().close()


class LeavesFuturesUnresolved(Sound):
    def give(self, future: Future[ChildResult], answer: ChildResult) -> None:
        if not self.closed.is_set():
            future.set_result(answer)

    def close(self) -> None:
        self.closed.set()
        self.threads.shutdown(cancel_futures=True)


class LeavesAProcess(Sound):
    left: ClassVar[list[subprocess.Popen[bytes]]] = []

    def answer(self, job: Job) -> ChildResult:
        self.left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return super().answer(job)


class TakesJobsForEver(Sound):
    def submit(self, job: Job, started: Started = None) -> Future[ChildResult]:
        return Future() if self.closed.is_set() else super().submit(job, started)


class KeepsObjectsInItsState(Sound):
    def state(self) -> dict[str, Any]:
        return {"served": self.served, "by number": {0: "one"}}


class ForgetsItsState(Sound):
    def restore(self, state: Mapping[str, Any]) -> None:
        """Forgets it."""


class ChangesItsPlatform(Sound):
    asked = itertools.count(1)

    @classmethod
    def platform(cls, workers: Any) -> Mapping[str, Any]:
        return {"threads": next(cls.asked), "device": "cpu"}


class ComputesAnywhere(Sound):
    @classmethod
    def platform(cls, workers: Any) -> Mapping[str, Any]:
        return {"device": "cpu"}


class TellsItsHost(Sound):
    @classmethod
    def platform(cls, workers: Any) -> Mapping[str, Any]:
        return {"threads": 1, "device": "cpu", "host": "here"}


class KeepsTheLog(Sound):
    def isolated(self, function: str, arguments: Mapping[str, Any], log: Path) -> Any:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("all went well")
        return super().isolated(function, arguments, log)


class SwallowsErrors(Sound):
    def isolated(self, function: str, arguments: Mapping[str, Any], log: Path) -> Any:
        try:
            return super().isolated(function, arguments, log)
        except Exception:
            return None


def contract(of: Callable[[], Evaluator]) -> EvaluatorContract:
    class Contract(EvaluatorContract):
        patience = 1.0
        close_seconds = 0.3

        def make_evaluator(self) -> Evaluator:
            return of()

        def failing_jobs(self) -> Sequence[Job]:
            return [job(1000, way="fails")]

        def long_job(self, number: int) -> Job:
            return job(number, way="long")

    return Contract()


class TestSound(EvaluatorContract):
    def make_evaluator(self) -> Evaluator:
        return Sound()

    def failing_jobs(self) -> Sequence[Job]:
        return [job(1000, way="fails")]

    def long_job(self, number: int) -> Job:
        return job(number, way="long")


RESULTS = "test_every_job_ends_as_a_result_whatever_happens_to_it"
BEGINS = "test_a_job_is_told_to_begin_once_and_before_it_ends"
RUNS = "test_what_runs_and_what_waits_is_told_truly"
CLOSES = "test_closing_is_quick_and_leaves_no_future_unresolved"
STATE = "test_its_state_survives_json_and_is_taken_up_by_another"
PLATFORM = "test_its_platform_is_plain_and_always_the_same"
ISOLATED = "test_isolated_work_answers_or_fails_with_its_own_error"


@pytest.fixture
def no_process_left() -> Iterator[None]:
    yield
    for process in LeavesAProcess.left:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (HasNoSlots, "test_it_says_how_many_jobs_run_at_a_time"),
        (RaisesInPlaceOfAResult, RESULTS),
        (LosesAJob, RESULTS),
        (SaysThatAllIsWell, RESULTS),
        (SaysNoReason, RESULTS),
        (MixesUpSeeds, RESULTS),
        (AnswersWhatNoRecordKeeps, RESULTS),
        (NeverSaysThatAJobBegins, BEGINS),
        (SaysTwiceThatAJobBegins, BEGINS),
        (SaysTooLateThatAJobBegins, BEGINS),
        (BeginsNowhere, BEGINS),
        (BreaksWhenThreadsMeet, "test_jobs_may_come_from_many_threads"),
        (NeverSaysWhatRuns, RUNS),
        (SaysForEverWhatRan, RUNS),
        (NeverSaysWhatWaits, RUNS),
        (AlwaysWaits, RUNS),
        (ClosesSlowly, CLOSES),
        (ClosesOnce, CLOSES),
        (LeavesFuturesUnresolved, CLOSES),
        (LeavesAProcess, "test_closing_leaves_no_process"),
        (TakesJobsForEver, "test_a_closed_evaluator_takes_no_job"),
        (KeepsObjectsInItsState, STATE),
        (ForgetsItsState, STATE),
        (ChangesItsPlatform, PLATFORM),
        (ComputesAnywhere, PLATFORM),
        (TellsItsHost, PLATFORM),
        (KeepsTheLog, ISOLATED),
        (SwallowsErrors, ISOLATED),
    ],
)
def test_a_broken_evaluator_fails(broken: Callable[[], Evaluator], test: str) -> None:
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        getattr(contract(broken), test)()
