"""The evaluator that trains every child on its own, in a fresh process on a slot of this machine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from nas.errors import ChildError, InputError, SearchError
from nas.evaluation import ChildResult, Evaluator, Job, Status
from nas.experiment import Experiment
from nas.workers import OUT_OF_MEMORY_EXIT, process
from nas.workers.backend import check_backend
from nas.workers.slots import Lease, Slot, holder, slots
from nas.workspace import Workspace

UNKNOWN_EXIT = 255
"""What Python reports of a child when its forkserver, which would know, is gone."""

POLL_SECONDS = 0.02
"""How often a queued child looks for a free slot and a finished one for its process to be gone."""

CLOSE_SECONDS = 4.0
"""How long `close` waits at most for the processes to be gone; they were killed by then."""

TRAINER = "nas.training.child:train"
PRELOAD = ("tensorflow", "keras", "nas.training.child")
CHECK = "nas.training.device:check"


class ChildPool(Evaluator):
    """Trains each child in a fresh process: isolated, limited in time and memory, on a leased slot.

    A child that crashes, hangs, diverges or eats its memory is a result with that status. The
    processes end with this one, however it ends.

    Args:
        experiment: its recipe and the limits of its workers.
        data_folder: the prepared data set's folder.
        workspace: children keep files relative to its root.
        trainer: `package.module:function` that trains one child: it takes a JSON-like job and
            returns `ChildResult.to_json()`. Any Python function can stand in for a network.
        logs: folder for the output of children that failed; None: it is not kept.
    """

    def __init__(
        self,
        *,
        experiment: Experiment,
        data_folder: Path,
        workspace: Workspace,
        logs: Path | None = None,
        trainer: str = TRAINER,
    ) -> None:
        self._experiment = experiment
        self._data_folder = data_folder
        self._workspace = workspace
        self._logs = logs
        self._trainer = trainer
        self._slots = slots(experiment.workers)
        self.check(trainer)
        preload = PRELOAD if trainer == TRAINER else (trainer.partition(":")[0],)
        self._pool = ProcessPool(  # twice the slots: a fresh process waits ready for each slot's next child
            max_workers=2 * len(self._slots), max_tasks=1, context=process.fresh_processes(preload)
        )
        check = CHECK if trainer == TRAINER else ""
        self._ready = self._pool.schedule(process.warm_up, args=[check, self._slots[0].device()])
        self._queue: deque[tuple[Job, Future[ChildResult], Callable[[str], None] | None]] = deque()
        self._running: dict[int, str] = {}
        self._flying: set[Any] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._broken: Exception | None = None
        self._servers = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True, name=slot.name)
            for slot in self._slots
        ]
        for server in self._servers:
            server.start()

    @staticmethod
    def check(trainer: str = TRAINER, **_: Any) -> None:
        """Raises InputError if Keras' backend can't be used; asked before a search begins its record."""
        if trainer == TRAINER:
            check_backend()

    @property
    def slots(self) -> int:
        return len(self._slots)

    def warm_up(self) -> None:
        """Waits until fresh processes can start at once (the forkserver's imports take seconds).

        Raises:
            InputError: children can't compute where they should; the message says what to do.
        """
        with suppress(CancelledError):
            if reason := self._ready.result():
                raise InputError(reason)

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        future: Future[ChildResult] = Future()
        with self._changed:
            if self._closed:
                raise InputError("this pool of children is closed")
            if self._broken is not None:
                raise self._broken
            self._queue.append((job, future, started))
            self._changed.notify()
        return future

    def running(self) -> dict[int, str]:
        with self._changed:
            return dict(self._running)

    def waiting(self) -> str:
        with self._changed:
            queued, mine = len(self._queue), set(self._running.values())
        others = {slot.name: holder(slot.name) for slot in self._slots if slot.name not in mine}
        held = "; ".join(f"{name} is held by {by}" for name, by in others.items() if by)
        if not queued:
            return ""
        return f"{queued} queued for {len(self._slots)} slots" + (f" ({held})" if held else "")

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting, flying = [future for _, future, _ in self._queue], list(self._flying)
            self._queue.clear()
            self._changed.notify_all()
        for future in waiting:
            future.cancel()
        for child in [*flying, self._ready]:  # before the pool stops, or their waiters never wake
            child.cancel()
        self._pool.stop()  # type: ignore[no-untyped-call]
        ending = threading.Thread(target=self._pool.join, daemon=True)  # pebble's own limit doesn't hold
        ending.start()
        ending.join(CLOSE_SECONDS)
        for server in self._servers:
            if server is not threading.current_thread():
                server.join(CLOSE_SECONDS / 4)

    def _serve(self, slot: Slot) -> None:
        """Runs queued children on `slot`, one after the other, until the pool closes or breaks."""
        try:
            self.warm_up()
            while self._wait():
                lease = Lease.take(slot)
                if lease is None:
                    time.sleep(POLL_SECONDS)
                    continue
                try:
                    self._run_next(slot)
                    while not lease.child_gone() and not self._closed:
                        time.sleep(POLL_SECONDS)
                finally:
                    lease.release()
        except Exception as error:  # no lease, no GPU, a full disk: whoever waits must hear of it
            self._break(error)

    def _wait(self) -> bool:
        """Waits for a queued child; False when there will be none."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            return not self._closed

    def _break(self, error: Exception) -> None:
        """Lets everybody who waits, and all who come, know that children can't run."""
        with self._changed:
            self._broken = self._broken or error
            waiting = [future for _, future, _ in self._queue]
            self._queue.clear()
        for future in waiting:
            with suppress(InvalidStateError):
                future.set_exception(error)

    def _run_next(self, slot: Slot) -> None:
        with self._changed:
            if not self._queue:
                return
            job, future, started = self._queue.popleft()
            self._running[job.proposal.number] = slot.name
        begun = time.monotonic()
        try:
            if started is not None:
                started(slot.name)
            result = self._train(slot, job)
            seconds = time.monotonic() - begun
            answer: ChildResult | None = replace(
                result, overhead_seconds=max(0.0, seconds - result.train_seconds)
            )
        except CancelledError:
            answer = None
        except Exception as error:  # a bug or a full disk must reach the search, not end this thread
            with suppress(InvalidStateError):
                future.set_exception(error)
            return
        finally:
            with self._changed:
                self._running.pop(job.proposal.number, None)
        if answer is None:
            future.cancel()
        else:
            with suppress(InvalidStateError):
                future.set_result(answer)

    def _train(self, slot: Slot, job: Job) -> ChildResult:
        workers = self._experiment.workers
        memory = workers.memory_limit_gb
        task = self._task(slot, job)
        with self._changed:
            if self._closed:
                raise CancelledError
            child = self._pool.schedule(
                process.run,
                args=[self._trainer, task, slot.name, int(memory * 2**30) if memory else None],
                timeout=workers.time_limit_minutes * 60 if workers.time_limit_minutes else None,
            )
            self._flying.add(child)
        status, message = Status.CRASHED, ""
        try:
            result = _result(child.result())
            if result.ok and task["log"]:
                Path(task["log"]).unlink(missing_ok=True)
            return result
        except TimeoutError:
            status = Status.TIMEOUT
            message = f"stopped at the time limit of {workers.time_limit_minutes:g} minutes"
        except ProcessExpired as error:
            if error.exitcode == OUT_OF_MEMORY_EXIT:
                status = Status.OUT_OF_MEMORY
                message = f"stopped at the memory limit of {memory:g} GiB"
            elif error.exitcode == UNKNOWN_EXIT:
                raise SearchError(
                    "the process that starts children was killed, so they are out of reach; "
                    "start the search again: it goes on"
                ) from error
            else:
                message = _death(error.exitcode)
        except CancelledError:
            raise
        except SearchError:
            raise
        except Exception as error:  # what the child raised, or an answer that is no result
            message = f"{type(error).__name__}: {error}".splitlines()[0]
        finally:
            with self._changed:
                self._flying.discard(child)
        return ChildResult(status, seed=job.seed, device=slot.name, message=message)

    def _task(self, slot: Slot, job: Job) -> dict[str, Any]:
        recipe: Mapping[str, Any] = {**self._experiment.recipe_options(), **job.proposal.overrides}
        log = self._logs / f"child-{job.proposal.number:06}.log" if self._logs else None
        return {
            "architecture": job.proposal.architecture.to_json(),
            "recipe": recipe,
            "seed": job.seed,
            "data": str(self._data_folder),
            "elders": list(job.elders),
            "folder": str(self._workspace.root / job.folder) if job.folder else "",
            "device": slot.device(),
            "log": str(log) if log else "",
        }


def _result(answer: Any) -> ChildResult:
    try:
        return ChildResult.from_json(answer)
    except (TypeError, KeyError, ValueError) as error:
        raise ChildError(f"its trainer's answer is no result ({error!r}): {answer!r:.200}") from error


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        cause = " (perhaps the system ran out of memory)" if exit_code == -9 else ""
        return f"its process was killed by signal {-exit_code}{cause}"
    return f"its process ended with exit code {exit_code}"
