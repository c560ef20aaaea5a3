"""The lock of a record: one process at a time may go on with a search."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from nas.errors import RecordLockedError
from nas.locking import lock_file


def take_lock(path: Path) -> IO[str]:
    """Locks the file `path` for this process until the returned file is closed or the process ends.

    Raises:
        RecordLockedError: another process has it; the message names its id.
    """
    file = lock_file(path)
    if file is None:
        holder = path.read_text(errors="replace").strip() or "?"
        raise RecordLockedError(
            f"process {holder} is working on this search (record {path.parent}); "
            "wait until it ends, or stop it"
        )
    return file
