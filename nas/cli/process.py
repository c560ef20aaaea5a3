"""The command's process: signals end it once, and standard output outlives its reader."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody asked this process to end; what is open closes as the exception passes."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """As shells report a process that a signal ended: 130 or 143."""


@contextmanager
def ends_on_signals() -> Iterator[None]:
    """Within the block, the first SIGINT or SIGTERM raises `Stopped`; later ones are ignored.

    A second signal must not interrupt the clean end that the first began. Outside the main thread,
    where Python allows no handlers, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_reader() -> None:
    """From now on, what is written to standard output after its reader left goes nowhere.

    A command whose output went to `head` thus runs to its end. It holds below every buffer, so for
    each thread and each library, and for what is written while Python ends. Where something else
    stands for standard output (a test's capture), nothing changes.
    """
    stream = sys.stdout
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if type(raw) is not io.FileIO or not isinstance(stream, io.TextIOWrapper):
        return
    stream.flush()
    forgiving = _Forgiving(raw.fileno(), "w", closefd=False)
    target: Any = forgiving if buffer is raw else io.BufferedWriter(forgiving)
    sys.stdout = io.TextIOWrapper(
        target,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Forgiving(io.FileIO):
    """A file descriptor that leads nowhere from the moment its reader is gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes
