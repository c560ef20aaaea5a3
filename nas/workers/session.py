"""Sessions: a long process on a slot that is sent requests and answers them, for what must stay in memory."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from nas.errors import ChildError, InputError
from nas.evaluation import Status
from nas.workers import OUT_OF_MEMORY_EXIT, process
from nas.workers.isolated import (
    PRELOAD,
    IsolatedProcess,
    Log,
    ProcessEndError,
    WorkError,
    value_of,
    whole_answer,
)
from nas.workers.slots import Lease

POLL_SECONDS = 0.1
"""How often time limits are looked at; answers and the end of the process are noticed at once."""

CLOSE_SECONDS = 4.0
"""How long `close` waits at most for the process to be gone; it was killed by then."""

SILENT_SECONDS = 1.0
"""How long a process may live whose pipe of answers is closed: one that ends closes it a little earlier."""


class SessionEndedError(ChildError):
    """A session has ended, so that a request has no answer.

    Attributes:
        status: `TIMEOUT`, `OUT_OF_MEMORY`, `CRASHED`, or `LOST` if it was closed.
        reason: why, in a sentence.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Session:
    """An object in a process of its own, on a slot, whose methods answer requests.

    What it holds stays between requests: shared weights, say. It lives under the limits of a child and ends
    as one does: with the search, however that ends, at its limits, or when it is closed. A request that
    waits then is told by a `SessionEndedError`, and so are all that come later; a session isn't begun again.
    An error of a method answers that request alone.

    Whoever makes one must `close` it. While it lives it has its slot, which is free afterwards. Its process
    is not a child of the search, so nothing of it is in the record: what must last, a method writes to files,
    and answers with their names (an answer has at most `nas.workers.process.LARGEST_ANSWER` bytes).

    Args:
        served: `package.module:Class`, built once in the process. Its public methods answer requests.
        options: its keyword arguments, JSON-like. It prepares its device by itself, so that `Slot.device`
            of the leased slot belongs among them where it computes on one.
        lease: the slot (see `nas.workers.isolated.free_lease`), given back at the end.
        memory_limit_gb: resident size (GiB) at which the process ends itself.
        seconds: time limit of building it, and of each request that names no other.
        log: file for what it prints, of which the end is kept.
        preload: modules that the forkserver imports if it is only begun now.

    Raises:
        InputError: the options can't be written as JSON.
        NasError: one that building it raised.
        WorkError: building it failed otherwise.
        SessionEndedError: it ended before it was built.
        SearchError: no process can be started.

    Example:
        >>> from nas.workers.isolated import free_lease
        >>> from nas.workers.slots import Slot
        >>> lease = free_lease([Slot("cpu-example", threads=1)])
        >>> with Session("collections:Counter", {"a": 1}, lease, preload=("collections",)) as counter:
        ...     counter.request("update", {"a": 2})
        ...     counter.request("total")
        3
    """

    def __init__(
        self,
        served: str,
        options: Mapping[str, Any],
        lease: Lease,
        *,
        memory_limit_gb: float | None = None,
        seconds: float | None = None,
        log: Path | None = None,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        self.slot = lease.slot
        try:
            written = json.loads(json.dumps(dict(options), default=process.plain))
        except (TypeError, ValueError, RecursionError) as error:
            lease.release()
            raise InputError(f"the options of {served} can't be written as JSON: {error}") from error
        self._lease, self._memory_limit_gb, self._seconds, self._log = lease, memory_limit_gb, seconds, log
        self._waiting: deque[tuple[Future[bytes], float | None]] = deque()
        self._ended: SessionEndedError | None = None
        self._lock, self._turn = threading.Lock(), threading.Lock()
        try:
            self._process = IsolatedProcess(preload, process.serve_session)
        except BaseException:
            lease.release()
            raise
        self._server = threading.Thread(target=self._attend, daemon=True, name=f"session {self.slot.name}")
        self._server.start()
        memory = int(memory_limit_gb * 2**30) if memory_limit_gb else None
        job = {"options": written, "log": str(log or "")}
        try:
            self._ask((served, job, self.slot.name, memory), seconds)
        except BaseException:
            self.close()
            raise

    def request(
        self, method: str, arguments: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> Any:
        """What a method of the session's object answers. Thread-safe: one request is answered at a time.

        Args:
            method: its name, without an underscore at its beginning.
            arguments: its keyword arguments, JSON-like.
            seconds: time limit of this request, from when it has its turn; None: the session's.

        Raises:
            InputError: there is no such method, or the arguments can't be written as JSON.
            NasError: one that the method raised; the session lives on.
            WorkError: the method raised another error or answered what isn't JSON-like; the session lives on.
            SessionEndedError: the session has ended, or ends before it has answered.
        """
        try:
            text = json.dumps([method, dict(arguments or {})], default=process.plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"the arguments of the request '{method}' can't be written as JSON: {error}"
            ) from error
        return self._ask(text.encode(), self._seconds if seconds is None else seconds)

    @property
    def ended(self) -> SessionEndedError | None:
        """Why it has ended; None while it lives."""
        return self._ended

    def close(self) -> None:
        """Ends the process within 5 seconds, with what it has started. Safe to repeat, in any thread."""
        self._end(Status.LOST, "the session was closed")
        if threading.current_thread() is not self._server:
            self._server.join(CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: Any, seconds: float | None) -> Any:
        """Sends something and waits for the answer to it."""
        with self._turn:
            answer: Future[bytes] = Future()
            with self._lock:
                if self._ended is not None:
                    raise SessionEndedError(self._ended.status, self._ended.reason)
                self._waiting.append((answer, None if seconds is None else time.monotonic() + seconds))
            self._process.send(what)
            # Whoever is interrupted here leaves the answer to be waited for: it is then no later request's.
            received = answer.result()
        try:
            return value_of(received)
        except WorkError as error:
            if (original := error.original()) is not None:
                raise original from error
            raise

    # --- the thread that attends to the process ------------------------------------------------------

    def _attend(self) -> None:
        """Hands answers on until the process has ended, then ends what waits and gives the slot back."""
        try:
            self._exchange()
            self._end(*self._cause(self._process.close()))
        except BaseException as error:  # a bug must reach who waits, not only end this thread
            self._end(Status.CRASHED, f"{type(error).__name__}: {error}")
            self._process.close()
        finally:
            end = time.monotonic() + CLOSE_SECONDS
            while not self._lease.child_gone() and time.monotonic() < end:
                time.sleep(POLL_SECONDS / 5)
            self._lease.release()
            with self._lock:
                waiting, ended = list(self._waiting), self._ended
                self._waiting.clear()
            for answer, _ in waiting:
                answer.set_exception(ended or SessionEndedError(Status.LOST, "the session was closed"))

    def _exchange(self) -> None:
        received = bytearray()
        silent_since: float | None = None
        alive = True
        with Log(str(self._log or "")) as log:
            while alive:
                alive = self._process.take(received, log, POLL_SECONDS)
                try:
                    while (answer := whole_answer(received)) is not None:
                        del received[: process.LENGTH.size + len(answer)]
                        self._hand_on(answer)
                except WorkError as error:
                    self._end(Status.CRASHED, str(error))
                now = time.monotonic()
                with self._lock:
                    deadline = self._waiting[0][1] if self._waiting else None
                if deadline is not None and now >= deadline:
                    self._end(Status.TIMEOUT, "stopped at the time limit of a request")
                if not self._process.answers:
                    silent_since = silent_since or now
                    if now - silent_since >= SILENT_SECONDS:
                        self._end(Status.CRASHED, "its process closed its pipe of answers")
                        time.sleep(POLL_SECONDS)

    def _hand_on(self, answer: bytes) -> None:
        with self._lock:
            if not self._waiting:
                raise WorkError("its process answered without being asked")
            waiting, _ = self._waiting.popleft()
        waiting.set_result(answer)

    def _end(self, status: Status, reason: str) -> None:
        """Notes why the session ends, unless that is known, and kills its process."""
        with self._lock:
            self._ended = self._ended or SessionEndedError(status, reason)
        self._process.kill()

    def _cause(self, exit_code: int) -> tuple[Status, str]:
        """Why a process has ended that nobody here killed."""
        if self._memory_limit_gb and exit_code == OUT_OF_MEMORY_EXIT:
            return Status.OUT_OF_MEMORY, f"stopped at the memory limit of {self._memory_limit_gb:g} GiB"
        if exit_code == process.FORKSERVER_GONE:
            return Status.CRASHED, "the process that starts children was killed, so its own is out of reach"
        return Status.CRASHED, str(ProcessEndError(exit_code))
