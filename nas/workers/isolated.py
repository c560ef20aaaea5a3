"""The search's side of one piece of work in a fresh process: start it, wait for its answer, end it.

Each process has pipes of its own and is waited for by whoever runs it, so that no way in which one ends
can keep another, or the search, waiting: the kernel tells of its end (through the forkserver) even when
what it has started still holds its pipes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from multiprocessing import connection, util
from pathlib import Path
from typing import IO, Any, Self, cast

from nas import errors
from nas.errors import ChildError, NasError, SearchError
from nas.workers import process
from nas.workers.slots import Lease, Slot, holder

logger = logging.getLogger("nas")

EXIT_SECONDS = 5.0
"""How long a process may take to end by itself after its answer, before it is killed."""

LOG_BYTES = 4 * 2**20
"""Size that the log of a process doesn't pass. Its end is kept, in which the failure stands."""

POLL_SECONDS = 0.02
"""How often who waits for a slot looks for a free one."""

PRELOAD = ("tensorflow", "keras", "nas.training.child")
CARRY_OUT = "nas.training.child:carry_out"

_CHUNK = 2**16


class WorkError(NasError):
    """The work raised an error, or answered what can't be handed on; the log has the traceback.

    Attributes:
        kind: name of the error's class in `nas.errors`; empty: it isn't one of these.
    """

    def __init__(self, sentence: str, kind: str = "") -> None:
        super().__init__(sentence)
        self.kind = kind

    def original(self) -> NasError | None:
        """The error as the work raised it, if it is one of nasflow's."""
        return getattr(errors, self.kind)(str(self)) if self.kind else None


class ProcessEndError(ChildError):
    """A process ended without an answer.

    Attributes:
        exit_code: as `multiprocessing` gives it: negative for a signal.
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        if exit_code < 0:
            cause = " (perhaps the system ran out of memory)" if exit_code == -signal.SIGKILL else ""
            super().__init__(f"its process was killed by signal {-exit_code}{cause}")
        else:
            super().__init__(f"its process ended with exit code {exit_code} and without an answer")


class IsolatedProcess:
    """A fresh process that waits for one piece of work. Whoever makes it must `run` or `close` it.

    A session (see `nas.workers.session`) is the same process with another `target`, which is sent more than
    one piece: it uses `send` and `take` instead of `run`.

    Args:
        preload: modules that the forkserver imports; see `nas.workers.process.fresh_processes`.
        target: what the process does: `process.serve`, or `process.serve_session`.

    Raises:
        SearchError: the forkserver can't be started, or ended while it was asked.
    """

    def __init__(self, preload: Sequence[str], target: Callable[..., None] = process.serve) -> None:
        context = process.fresh_processes(preload)
        self._answers, theirs = context.Pipe()
        self._output, written = context.Pipe(duplex=False)
        self._process = context.Process(target=target, args=(theirs, written), name="nas-child")
        self._lock = threading.Lock()
        self._killed = self._closed = False
        try:
            self._process.start()
        except (OSError, EOFError) as error:
            self._answers.close()
            self._output.close()
            raise SearchError(
                f"the process that starts children ended as it was asked for one ({type(error).__name__}): "
                f"it was killed, or fails to import {', '.join(preload)}. Start the search again: it goes on"
            ) from error
        finally:
            theirs.close()
            written.close()
        self._pid = cast(int, self._process.pid)
        self._ends: list[Any] = [self._answers, self._output, self._process.sentinel]
        # The exit of the interpreter would wait for a process that nobody has ended.
        self._at_exit = util.Finalize(self, _kill, args=(self._pid,), exitpriority=100)

    def alive(self) -> bool:
        """Whether it can still be given work."""
        return self._process.exitcode is None

    def run(
        self,
        function: str,
        job: Mapping[str, Any],
        slot: str = "",
        memory_limit_bytes: int | None = None,
        seconds: float | None = None,
    ) -> Any:
        """What `function` answers. Returns, whatever happens, when the process is gone.

        Args:
            function: `package.module:name`; takes a mapping and returns JSON-like values.
            job: what it is given. The output of a job with a `log` goes to that file, whose end is kept.
            slot: name of the slot that the process occupies until it ends; empty: it occupies none.
            memory_limit_bytes: resident size at which the process ends itself.
            seconds: time limit for the answer.

        Raises:
            TimeoutError: it took longer than `seconds`.
            CancelledError: `kill` was called.
            WorkError: the function raised an error.
            ProcessEndError: the process ended without an answer.
            SearchError: the forkserver is gone.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            self.send((function, dict(job), slot, memory_limit_bytes))
            with Log(job.get("log")) as log:
                answer = self._wait(log, deadline)
        finally:
            exit_code = self.close()
        if self._killed:
            raise CancelledError
        if answer is not None:
            return value_of(answer)
        if exit_code == process.FORKSERVER_GONE:
            raise SearchError(
                "the process that starts children was killed, so they are out of reach; "
                "start the search again: it goes on"
            )
        raise ProcessEndError(exit_code)

    def send(self, what: Any) -> None:
        """Sends the work, or bytes as they are. Whether it has ended, `run` or `take` notices."""
        with suppress(OSError):  # broken, or closed already
            if isinstance(what, bytes):
                self._answers.send_bytes(what)
            else:
                self._answers.send(what)

    def take(self, received: bytearray, log: Log, seconds: float | None) -> bool:
        """Takes what it writes, waiting for that up to `seconds`; whether it lives on.

        If it doesn't, all was taken.

        Args:
            received: grows by what stands in the pipe of answers.
            log: of what it prints.
            seconds: None: until there is something.
        """
        sentinel = self._process.sentinel
        ready = connection.wait(self._ends, seconds)
        self._read(ready, received, log)
        if sentinel not in ready:
            return True
        _kill_group(self._pid)  # what it has started may print for ever
        self._ends.remove(sentinel)
        left = LOG_BYTES // _CHUNK + process.LARGEST_ANSWER // _CHUNK
        while left and self._ends and (ready := connection.wait(self._ends, 0)):
            self._read(ready, received, log)
            left -= 1
        return False

    @property
    def answers(self) -> bool:
        """Whether its pipe of answers is open, as far as `take` has seen."""
        return self._answers in self._ends

    def kill(self) -> None:
        """Cancels the work. Safe in any thread; `run` then ends at once."""
        with self._lock:
            if not self._closed:
                self._killed = True
                _kill(self._pid)

    def close(self) -> int:
        """Ends the process and what it has started; the exit code. Not while another thread runs it."""
        with self._lock:
            if self._closed:
                return -signal.SIGKILL
            self._closed = True
        if self.alive():
            _kill(self._pid)
            connection.wait([self._process.sentinel], EXIT_SECONDS)
        _kill_group(self._pid)
        self._at_exit.cancel()
        exit_code = self._process.exitcode
        if exit_code is None:
            logger.warning("process %d can't be killed: the system doesn't end it", self._pid)
        else:
            self._process.close()
        self._answers.close()
        self._output.close()
        return -signal.SIGKILL if exit_code is None else exit_code

    def _wait(self, log: Log, deadline: float | None) -> bytes | None:
        """The answer, when the process has ended or had time to; None if it ended without a whole one.

        Raises:
            TimeoutError: there is no answer at the deadline.
            WorkError: what it wrote to the pipe of answers is none.
        """
        received = bytearray()
        answered = False
        while self.take(received, log, None if deadline is None else max(0.0, deadline - time.monotonic())):
            if not answered and whole_answer(received) is not None:
                answered, deadline = True, time.monotonic() + EXIT_SECONDS
            if deadline is not None and time.monotonic() >= deadline:
                if answered:  # something keeps it from ending: a thread of the work, say
                    break
                raise TimeoutError
        return whole_answer(received)

    def _read(self, ready: Sequence[Any], received: bytearray, log: Log) -> None:
        """Takes what stands in the pipes that are `ready`; one that ended leaves `_ends`."""
        for pipe, take in ((self._answers, received.extend), (self._output, log.write)):
            if pipe in ready:
                try:
                    some = os.read(pipe.fileno(), _CHUNK)
                except OSError:  # the process was killed in the midst of it
                    some = b""
                if some:
                    take(some)
                else:
                    self._ends.remove(pipe)


def run_isolated(
    function: str,
    arguments: Mapping[str, Any],
    log: Path,
    *,
    candidates: Sequence[Slot],
    memory_limit_gb: float | None = None,
    start: Callable[[], AbstractContextManager[IsolatedProcess]] | None = None,
    given_up: Callable[[], bool] = lambda: False,
) -> Any:
    """What `function` makes of `arguments` in a fresh process; waits for a free slot.

    Keras and TensorFlow thereby never begin in the calling process.

    Args:
        function: `package.module:name`; takes and returns JSON-like values.
        arguments: its keyword arguments.
        log: file for the output of the process, removed if it ends well.
        candidates: the slots that it may run on.
        memory_limit_gb: resident size (GiB) at which the process ends itself.
        start: begins the process; None: one that whoever calls this needn't know.
        given_up: whether a slot is waited for no longer.

    Raises:
        NasError: one that `function` raised.
        SearchError: it failed otherwise or its process died.
        CancelledError: it was given up, or its process killed by `IsolatedProcess.kill`.
    """
    job = {"function": function, "arguments": dict(arguments), "log": str(log)}
    with free_slot(candidates, given_up) as slot, (start or _started)() as begun:
        try:
            result = begun.run(
                CARRY_OUT,
                {**job, "device": slot.device()},
                slot.name,
                memory_limit_bytes=int(memory_limit_gb * 2**30) if memory_limit_gb else None,
            )
        except WorkError as error:
            if (original := error.original()) is not None:
                raise original from error
            raise SearchError(f"{function} failed ({error}); its output is in {log}") from error
        except ProcessEndError as error:
            raise SearchError(f"{function} failed: {error}; its output is in {log}") from error
    log.unlink(missing_ok=True)
    return result


def _started() -> AbstractContextManager[IsolatedProcess]:
    return closing(IsolatedProcess(PRELOAD))


@contextmanager
def free_slot(candidates: Sequence[Slot], given_up: Callable[[], bool] = lambda: False) -> Iterator[Slot]:
    """Leases the first slot that is free, waiting for one, until the end of the block.

    Raises:
        CancelledError: it was given up.
    """
    lease = free_lease(candidates, given_up)
    try:
        yield lease.slot
    finally:
        lease.release()


def free_lease(candidates: Sequence[Slot], given_up: Callable[[], bool] = lambda: False) -> Lease:
    """The lease of the first slot that is free; waits for one.

    Raises:
        CancelledError: it was given up.
    """
    waiting = False
    while not given_up():
        for slot in candidates:
            if (lease := Lease.take(slot)) is not None:
                return lease
        if not waiting:
            waiting = True
            logger.warning("waiting for a free slot: %s", _holders([slot.name for slot in candidates]))
        time.sleep(POLL_SECONDS)
    raise CancelledError


def _holders(names: Sequence[str]) -> str:
    """Who has which slot, as `cpu-0 is held by process 4711`."""
    found = {name: holder(name) for name in names}
    return "; ".join(f"{name} is held by {by}" for name, by in found.items() if by) or "just released"


def whole_answer(received: bytearray) -> bytes | None:
    """The answer in what was received; None: it isn't whole.

    Raises:
        WorkError: it can't be one.
    """
    size = process.LENGTH.size
    if len(received) < size:
        return None
    (length,) = process.LENGTH.unpack_from(received)
    if length > process.LARGEST_ANSWER:  # the work wrote into pipes that aren't its own
        raise WorkError("its answer can't be read")
    return bytes(received[size : size + length]) if len(received) >= size + length else None


def value_of(answer: bytes) -> Any:
    """What an answer says.

    Raises:
        WorkError: the work raised an error, or the answer can't be read.
    """
    try:
        told = json.loads(answer)
        if "error" not in told:
            return told["value"]
        sentence, kind = str(told["error"]), str(told["kind"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WorkError(f"its answer can't be read ({type(error).__name__})") from error
    raise WorkError(sentence, kind if hasattr(errors, kind) else "")


def _kill(pid: int) -> None:
    """Kills a process that wasn't waited for yet, with what it has started."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _kill_group(pid)


def _kill_group(pid: int) -> None:
    """Kills what a process has started, which may outlive it, except what left its group on purpose."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class Log:
    """The file of what a process prints; of more than `LOG_BYTES` the end is kept.

    A disk that takes no more ends the log, not the work.

    Args:
        path: None or empty: nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._file: IO[bytes] | None = None
        self._size = self._left_out = 0

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w+b", buffering=0)
            except OSError as error:
                self._give_up(error)
        return self

    def write(self, some: bytes) -> None:
        if self._file is None:
            return
        try:
            if self._size + len(some) > LOG_BYTES:
                some = self._shortened(self._file) + some
            self._file.write(some)
            self._size += len(some)
        except OSError as error:
            self._give_up(error)

    def _shortened(self, file: IO[bytes]) -> bytes:
        """Empties the file and returns what is kept of it."""
        file.seek(-LOG_BYTES // 2, os.SEEK_END)
        kept = file.read(LOG_BYTES)
        self._left_out += self._size - len(kept)
        file.seek(0)
        file.truncate()
        self._size = 0
        return b"[the first %d bytes are left out]\n" % self._left_out + kept

    def _give_up(self, error: OSError) -> None:
        logger.warning("what a child prints is not kept in %s: %s", self._path, error)
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
