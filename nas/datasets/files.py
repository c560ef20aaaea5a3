"""Files that are whole or not there: locks, synced writes, and a full disk said in plain words."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import TemporaryError

_MARGIN_BYTES = 16 * 2**20
"""Left free on the disk beside what is written: file systems get slow and odd when they are full."""


@contextmanager
def locked(file: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock `file` among all processes of this machine; the kernel frees it when one dies.

    Args:
        file: the lock file, made if missing and left there.
        waiting: called once if another process holds the lock, before waiting for it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def check_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Raises TemporaryError if the disk of `folder` can't take `needed_bytes` more."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _MARGIN_BYTES:
        raise TemporaryError(
            f"too little disk space in {folder} to {purpose}: {_mb(needed_bytes + _MARGIN_BYTES)} are "
            f"needed, {_mb(free)} are free; free some space and start again"
        )


@contextmanager
def full_disk_explained(folder: Path, purpose: str) -> Iterator[None]:
    """Turns the system's 'no space left' into a TemporaryError that says where and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TemporaryError(
            f"the disk of {folder} is full (or its quota is): could not {purpose}; nothing half-written "
            "is used, so free some space and start again"
        ) from error


def sync(path: Path) -> None:
    """Waits until a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mb(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
