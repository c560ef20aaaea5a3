"""The evaluator that trains every child on its own, in a fresh process on a slot of this machine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from nas.errors import InputError
from nas.evaluation import ChildResult, Evaluator, Job, Status
from nas.experiment import Experiment
from nas.workers import OUT_OF_MEMORY_EXIT, process
from nas.workers.slots import Lease, Slot, holder, slots
from nas.workspace import Workspace

POLL_SECONDS = 0.05
"""How often a queued child looks for a free slot and a finished one for its process to be gone."""

TRAINER = "nas.training.child:train"
PRELOAD = ("tensorflow", "keras", "nas.training.child")


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
        preload = PRELOAD if trainer == TRAINER else (trainer.partition(":")[0],)
        self._pool = ProcessPool(
            max_workers=len(self._slots), max_tasks=1, context=process.fresh_processes(preload)
        )
        self._ready = self._pool.schedule(process.warm_up)
        self._queue: deque[tuple[Job, Future[ChildResult], Callable[[str], None] | None]] = deque()
        self._running: dict[int, str] = {}
        self._flying: set[Any] = set()
        self._changed = threading.Condition()
        self._closed = False
        for slot in self._slots:
            threading.Thread(target=self._serve, args=(slot,), daemon=True, name=slot.name).start()

    @property
    def slots(self) -> int:
        return len(self._slots)

    def warm_up(self) -> None:
        """Waits until fresh processes can start at once (the forkserver's imports take seconds)."""
        with suppress(CancelledError):
            self._ready.result()

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        future: Future[ChildResult] = Future()
        with self._changed:
            if self._closed:
                raise InputError("this pool of children is closed")
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
        self._pool.join(timeout=4)

    def _serve(self, slot: Slot) -> None:
        """Runs queued children on `slot`, one after the other, until the pool closes."""
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            lease = Lease.take(slot)
            if lease is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                with self._changed:
                    if not self._queue:
                        continue
                    job, future, started = self._queue.popleft()
                    self._running[job.proposal.number] = slot.name
                self._evaluate(slot, job, future, started)
                while not lease.child_gone() and not self._closed:
                    time.sleep(POLL_SECONDS)
            finally:
                lease.release()

    def _evaluate(
        self, slot: Slot, job: Job, future: Future[ChildResult], started: Callable[[str], None] | None
    ) -> None:
        number = job.proposal.number
        begun = time.monotonic()
        try:
            if started is not None:
                started(slot.name)
            result = self._train(slot, job)
        except CancelledError:
            future.cancel()
            return
        except Exception as error:  # a bug or a full disk must reach the search, not end this thread
            with suppress(InvalidStateError):
                future.set_exception(error)
            return
        finally:
            with self._changed:
                self._running.pop(number, None)
        seconds = time.monotonic() - begun
        overhead = max(0.0, seconds - result["train_seconds"])
        with suppress(InvalidStateError):
            future.set_result(ChildResult.from_json({**result, "overhead_seconds": overhead}))

    def _train(self, slot: Slot, job: Job) -> dict[str, Any]:
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
            result: dict[str, Any] = child.result()
            if result["status"] == Status.OK and task["log"]:
                Path(task["log"]).unlink(missing_ok=True)
            return result
        except TimeoutError:
            status = Status.TIMEOUT
            message = f"stopped at the time limit of {workers.time_limit_minutes:g} minutes"
        except ProcessExpired as error:
            if error.exitcode == OUT_OF_MEMORY_EXIT:
                status = Status.OUT_OF_MEMORY
                message = f"stopped at the memory limit of {memory:g} GiB"
            else:
                message = _death(error.exitcode)
        except CancelledError:
            raise
        except Exception as error:  # what the child raised
            message = f"{type(error).__name__}: {error}".splitlines()[0]
        finally:
            with self._changed:
                self._flying.discard(child)
        failed = ChildResult(status, seed=job.seed, device=slot.name, message=message)
        return failed.to_json()

    def _task(self, slot: Slot, job: Job) -> dict[str, Any]:
        recipe: Mapping[str, Any] = {**self._experiment.recipe.model_dump(), **job.proposal.overrides}
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


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        cause = " (perhaps the system ran out of memory)" if exit_code == -9 else ""
        return f"its process was killed by signal {-exit_code}{cause}"
    return f"its process ended with exit code {exit_code}"
