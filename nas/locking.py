"""Locks on files, which the system frees when their process ends; the file tells who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def lock_file(path: Path, say: bool = True) -> IO[str] | None:
    """The file at `path`, locked by this process (its id written into it unless `say` is false)."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    if say:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file
