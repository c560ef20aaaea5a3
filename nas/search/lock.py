"""The lock of a record: one process at a time may go on with a search."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from nas.errors import RecordLockedError


def take_lock(path: Path) -> IO[str]:
    """Locks the file `path` for this process until the returned file is closed or the process ends.

    Raises:
        RecordLockedError: another process has it; the message names its id.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = path.read_text().strip() or "?"
        file.close()
        raise RecordLockedError(
            f"process {holder} is working on this search (record {path.parent}); "
            "wait until it ends, or stop it"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
