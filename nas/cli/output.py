"""Standard output that outlives its reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


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
