"""The evaluator that trains every child on its own, in a fresh process on a slot of this machine."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import InputError, SearchError
from nas.evaluation import LONGEST_MESSAGE, ChildResult, Evaluator, Job, Status, harmless
from nas.experiment import Experiment, Workers
from nas.workers import OUT_OF_MEMORY_EXIT
from nas.workers.backend import check_backend
from nas.workers.isolated import (
    POLL_SECONDS,
    PRELOAD,
    IsolatedProcess,
    ProcessEndError,
    WorkError,
    run_isolated,
)
from nas.workers.slots import Lease, Slot, holder, platform, slots
from nas.workspace import Workspace

CLOSE_SECONDS = 4.0
"""How long `close` waits at most for the processes to be gone; they were killed by then."""

TRAINER = "nas.training.child:train"
CHECK = "nas.training.device:check"
WARM_UP = "nas.workers.process:warm_up"


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
        self._preload = PRELOAD if trainer == TRAINER else (trainer.partition(":")[0],)
        self._ready: Future[str] = Future()
        self._queue: deque[tuple[Job, Future[ChildResult], Callable[[str], None] | None]] = deque()
        self._running: dict[int, str] = {}
        self._processes: set[IsolatedProcess] = set()
        self._spare: dict[str, IsolatedProcess] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._broken: Exception | None = None
        self._servers = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True, name=slot.name)
            for slot in self._slots
        ]
        self._servers.append(threading.Thread(target=self._try_device, daemon=True, name="warm-up"))
        for server in self._servers:
            server.start()

    @classmethod
    def check(cls, trainer: str = TRAINER, **options: Any) -> None:
        """Raises InputError if Keras' backend can't be used; asked before a search begins its record."""
        if trainer == TRAINER:
            check_backend()

    @classmethod
    def platform(cls, workers: Workers) -> Mapping[str, Any]:
        """Threads, device, backend and environment of this machine's slots."""
        return platform(workers)

    @classmethod
    def isolates(cls) -> bool:
        """Always, unless Keras' backend can't be used, whatever trains the children."""
        check_backend()
        return True

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

    def isolated(self, function: str, arguments: Mapping[str, Any], log: Path) -> Any:
        return run_isolated(
            function,
            arguments,
            log,
            candidates=self._slots,
            memory_limit_gb=self._experiment.workers.memory_limit_gb,
            start=lambda: self._process(preload=PRELOAD),
            given_up=lambda: self._closed,
        )

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
            waiting, processes = [future for _, future, _ in self._queue], list(self._processes)
            self._queue.clear()
            self._changed.notify_all()
        for future in waiting:
            future.cancel()
        for child in processes:
            child.kill()
        end = time.monotonic() + CLOSE_SECONDS
        for server in self._servers:
            if server is not threading.current_thread():
                server.join(max(0.0, end - time.monotonic()))

    def _try_device(self) -> None:
        """Finds out, in a first process, whether children can run."""
        check = CHECK if self._trainer == TRAINER else ""
        try:
            with self._process() as process:
                self._ready.set_result(
                    process.run(WARM_UP, {"check": check, "device": self._slots[0].device()})
                )
        except CancelledError:
            self._ready.cancel()
            self._ready.set_running_or_notify_cancel()  # so that those who wait for it wake
        except (WorkError, ProcessEndError) as error:
            self._ready.set_exception(SearchError(f"children can't run here: {error}"))
        except BaseException as error:  # whoever waits must hear of it
            self._ready.set_exception(error)

    @contextmanager
    def _process(
        self, spare_of: Slot | None = None, preload: Sequence[str] = ()
    ) -> Iterator[IsolatedProcess]:
        """A fresh process, ended at the end of the block or when the pool is closed.

        Args:
            spare_of: takes the one that waits for this slot, and lets the next one start.
            preload: modules that the forkserver imports if it is only begun now; empty: the trainer's.
        """
        made = self._spare.pop(spare_of.name, None) if spare_of else None
        if made is not None and not made.alive():
            self._end(made)  # it died while it waited
            made = None
        if made is None:
            made = self._start(preload)
        try:
            if spare_of is not None:
                self._spare[spare_of.name] = self._start()
            yield made
        finally:
            self._end(made)

    def _start(self, preload: Sequence[str] = ()) -> IsolatedProcess:
        made = IsolatedProcess(preload or self._preload)
        with self._changed:
            self._processes.add(made)
            closed = self._closed
        if closed:
            self._end(made)
            raise CancelledError
        return made

    def _end(self, process: IsolatedProcess) -> None:
        process.close()
        with self._changed:
            self._processes.discard(process)

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
        except BaseException as error:  # a plug-in's sys.exit, say, in what a result leads to
            self._break(
                SearchError(f"the thread of slot {slot.name} ended by {type(error).__name__}: {error}")
            )
        finally:
            if (spare := self._spare.pop(slot.name, None)) is not None:
                self._end(spare)

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
        except BaseException as error:  # a bug or a full disk must reach the search, not end this thread
            with suppress(InvalidStateError):
                future.set_exception(error)
            if isinstance(error, Exception):
                return
            raise
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
        status = Status.CRASHED
        try:
            with self._process(slot) as process:
                answer = process.run(
                    self._trainer,
                    task,
                    slot.name,
                    memory_limit_bytes=int(memory * 2**30) if memory else None,
                    seconds=workers.time_limit_minutes * 60 if workers.time_limit_minutes else None,
                )
            result = _result(answer, self._workspace.root)
            if result.ok and task["log"]:
                Path(task["log"]).unlink(missing_ok=True)
            return result
        except TimeoutError:
            status = Status.TIMEOUT
            message = f"stopped at the time limit of {workers.time_limit_minutes:g} minutes"
        except WorkError as error:
            message = harmless(str(error), LONGEST_MESSAGE)
        except ProcessEndError as error:
            message = str(error)
            if memory and error.exit_code == OUT_OF_MEMORY_EXIT:
                status = Status.OUT_OF_MEMORY
                message = f"stopped at the memory limit of {memory:g} GiB"
        if task["log"] and Path(task["log"]).is_file():
            log = os.path.relpath(task["log"], self._workspace.root)
            message = f"{harmless(message, LONGEST_MESSAGE - len(log) - 20)}; its output: {log}"
        return ChildResult(status, seed=job.seed, device=slot.name, message=message)

    def _task(self, slot: Slot, job: Job) -> dict[str, Any]:
        recipe: Mapping[str, Any] = {**self._experiment.recipe_options(), **job.proposal.overrides}
        log = self._logs / f"child-{job.proposal.number:06}.log" if self._logs else None
        return {
            "architecture": job.proposal.architecture.to_json(),
            "recipe": recipe,
            "seed": job.seed,
            "data": str(self._data_folder),
            "median_curve": list(job.median_curve),
            "folder": str(self._workspace.root / job.folder) if job.folder else "",
            "device": slot.device(),
            "log": str(log) if log else "",
        }


def _result(answer: Any, root: Path) -> ChildResult:
    """The result that a trainer's answer tells, as a record can keep it.

    Args:
        answer: `ChildResult.to_json()`, if all is well.
        root: what files are told relative to.

    Raises:
        WorkError: it isn't a result.
    """
    try:
        result = ChildResult.from_json(answer)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        shown = harmless(f"{answer!r:.200}")
        raise WorkError(f"its trainer's answer is not a result ({error!r}): {shown}") from error
    if isinstance(result.files, Mapping):
        files = {
            name: os.path.relpath(path, root) if isinstance(path, str) and os.path.isabs(path) else path
            for name, path in result.files.items()
        }
        result = replace(result, files=files)
    return result.checked()
