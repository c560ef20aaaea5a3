"""Files: locks, synced writes, a full disk said in plain words, and what lies in a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass
class Below:
    """What lies in a folder and its folders, those behind links too.

    Attributes:
        files: all files, in no order.
        hidden: files and folders whose names begin with a dot; they are passed over.
        lost: what can't be read: broken links, links to a folder that holds them, pipes.
    """

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)


def below(folder: Path) -> Below:
    """Looks through `folder`; one that isn't there holds nothing."""
    found = Below()
    if not folder.is_dir():
        return found
    holders = (folder, *folder.absolute().parents, *folder.resolve().parents)
    stack = [(folder, frozenset(map(_identity, holders)))]
    while stack:
        current, above = stack.pop()
        for path in current.iterdir():
            if path.name.startswith("."):
                found.hidden.append(path)
            elif path.is_file():
                found.files.append(path)
            elif path.is_dir() and (own := _identity(path)) not in above:
                stack.append((path, above | {own}))
            else:
                found.lost.append(path)
    return found


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def sync(path: Path) -> None:
    """Waits until a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mb(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
