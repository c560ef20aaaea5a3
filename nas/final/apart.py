"""Runs one piece of work with a model in a fresh process on a free slot, as children run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.errors import SearchError
from nas.experiment import Workers
from nas.workers.backend import check_backend
from nas.workers.isolated import IsolatedProcess, ProcessEndError, WorkError
from nas.workers.pool import POLL_SECONDS, PRELOAD
from nas.workers.slots import Lease, holder, slots

logger = logging.getLogger("nas")

CARRY_OUT = "nas.training.child:carry_out"


def run_apart(function: str, arguments: Mapping[str, Any], workers: Workers, log: Path) -> Any:
    """What `function` makes of `arguments` in a fresh process; waits for a free slot.

    Keras and TensorFlow thereby never begin in the calling process.

    Args:
        function: `package.module:name`; takes and returns JSON-like values.
        arguments: its keyword arguments.
        workers: names the slots and the memory limit.
        log: file for the output of the process, removed if it ends well.

    Raises:
        InputError: Keras' backend can't be used.
        NasError: one that `function` raised.
        SearchError: it failed otherwise or its process died.
    """
    check_backend()
    limit = workers.memory_limit_gb
    job = {"function": function, "arguments": dict(arguments), "log": str(log)}
    with _free_slot(workers) as slot:
        try:
            result = IsolatedProcess(PRELOAD).run(
                CARRY_OUT,
                {**job, "device": slot.device()},
                slot.name,
                memory_limit_bytes=int(limit * 2**30) if limit else None,
            )
        except WorkError as error:
            if (original := error.original()) is not None:
                raise original from error
            raise SearchError(f"{function} failed ({error}); its output is in {log}") from error
        except ProcessEndError as error:
            raise SearchError(f"{function} failed: {error}; its output is in {log}") from error
    log.unlink(missing_ok=True)
    return result


@contextmanager
def _free_slot(workers: Workers) -> Iterator[Any]:
    """Leases the first slot that is free, waiting for one."""
    candidates, waiting = slots(workers), False
    while True:
        for slot in candidates:
            if (lease := Lease.take(slot)) is not None:
                try:
                    yield lease.slot
                finally:
                    lease.release()
                return
        if not waiting:
            waiting = True
            logger.warning("waiting for a free slot: %s", _holders([slot.name for slot in candidates]))
        time.sleep(POLL_SECONDS)


def _holders(names: Sequence[str]) -> str:
    """Who has which slot, as `cpu-0 is held by process 4711`."""
    found = {name: holder(name) for name in names}
    return "; ".join(f"{name} is held by {by}" for name, by in found.items() if by) or "just released"
