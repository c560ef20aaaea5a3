"""Ctrl-C and SIGTERM as an exception that unwinds everything, once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
