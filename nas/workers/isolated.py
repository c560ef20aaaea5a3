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
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from multiprocessing import connection, util
from pathlib import Path
from typing import IO, Any, Self, cast

from nas import errors
from nas.errors import ChildError, NasError, SearchError
from nas.workers import process

logger = logging.getLogger("nas")

EXIT_SECONDS = 5.0
"""How long a process may take to end by itself after its answer, before it is killed."""

LOG_BYTES = 4 * 2**20
"""Size that the log of a process doesn't pass. Its end is kept, in which the failure stands."""

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

    Args:
        preload: modules that the forkserver imports; see `nas.workers.process.fresh_processes`.

    Raises:
        SearchError: the forkserver can't be started, or ended while it was asked.
    """

    def __init__(self, preload: Sequence[str]) -> None:
        context = process.fresh_processes(preload)
        self._answers, theirs = context.Pipe()
        self._output, written = context.Pipe(duplex=False)
        self._process = context.Process(target=process.serve, args=(theirs, written), name="nas-child")
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
            with suppress(BrokenPipeError, ConnectionResetError):  # its end is noticed below
                self._answers.send((function, dict(job), slot, memory_limit_bytes))
            with _Log(job.get("log")) as log:
                answer = self._wait(log, deadline)
        finally:
            exit_code = self.close()
        if self._killed:
            raise CancelledError
        if answer is not None:
            return _value(answer)
        if exit_code == process.FORKSERVER_GONE:
            raise SearchError(
                "the process that starts children was killed, so they are out of reach; "
                "start the search again: it goes on"
            )
        raise ProcessEndError(exit_code)

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

    def _wait(self, log: _Log, deadline: float | None) -> bytes | None:
        """The answer, when the process has ended or had time to; None if it ended without a whole one.

        Raises:
            TimeoutError: there is no answer at the deadline.
            WorkError: what it wrote to the pipe of answers is none.
        """
        received = bytearray()
        sentinel = self._process.sentinel
        ends: list[Any] = [self._answers, self._output, sentinel]
        answered = False
        while True:
            ready = connection.wait(ends, None if deadline is None else max(0.0, deadline - time.monotonic()))
            self._read(ready, ends, received, log)
            if not answered and _answer(received) is not None:
                answered, deadline = True, time.monotonic() + EXIT_SECONDS
            if sentinel in ready:
                break
            if deadline is not None and time.monotonic() >= deadline:
                if answered:  # something keeps it from ending: a thread of the work, say
                    return _answer(received)
                raise TimeoutError
        _kill_group(self._pid)  # what it has started may print for ever
        ends.remove(sentinel)
        left = LOG_BYTES // _CHUNK + process.LARGEST_ANSWER // _CHUNK
        while left and ends and (ready := connection.wait(ends, 0)):
            self._read(ready, ends, received, log)
            left -= 1
        return _answer(received)

    def _read(self, ready: Sequence[Any], ends: list[Any], received: bytearray, log: _Log) -> None:
        """Takes what stands in the pipes that are `ready`; one that ended leaves `ends`."""
        for pipe, take in ((self._answers, received.extend), (self._output, log.write)):
            if pipe in ready:
                try:
                    some = os.read(pipe.fileno(), _CHUNK)
                except OSError:  # the process was killed in the midst of it
                    some = b""
                if some:
                    take(some)
                else:
                    ends.remove(pipe)


def _answer(received: bytearray) -> bytes | None:
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


def _value(answer: bytes) -> Any:
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


class _Log:
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
