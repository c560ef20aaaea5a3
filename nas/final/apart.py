"""Runs one piece of work with a model in a fresh process on a free slot, as children run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from nas.errors import NasError, SearchError
from nas.experiment import Workers
from nas.workers import process
from nas.workers.backend import check_backend
from nas.workers.pool import POLL_SECONDS, PRELOAD
from nas.workers.slots import Lease, holder, slots

logger = logging.getLogger("nas")

CARRY_OUT = "nas.training.child:carry_out"

STOP_SECONDS = 4.0
"""Longest wait for a process to be gone; it keeps its slot locked until it is."""


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
    with _free_slot(workers) as slot:
        pool = ProcessPool(max_workers=1, max_tasks=1, context=process.fresh_processes(PRELOAD))
        future = pool.schedule(
            process.run,
            args=[
                CARRY_OUT,
                {
                    "function": function,
                    "arguments": dict(arguments),
                    "device": slot.device(),
                    "log": str(log),
                },
                slot.name,
                int(limit * 2**30) if limit else None,
            ],
        )
        try:
            result = future.result()
        except NasError:
            raise
        except ProcessExpired as error:
            raise SearchError(
                f"the process of {function} died with exit code {error.exitcode}; its output is in {log}"
            ) from error
        except Exception as error:
            raise SearchError(
                f"{function} failed ({type(error).__name__}: {error}); its output is in {log}"
            ) from error
        finally:
            future.cancel()  # type: ignore[no-untyped-call]
            _stop(pool)
    log.unlink(missing_ok=True)
    return result


def _stop(pool: ProcessPool) -> None:
    """Stops `pool` and waits for its process, but not for ever.

    `ProcessPool.join` ignores its `timeout` once the pool is stopped, so another thread joins it.
    """
    pool.stop()  # type: ignore[no-untyped-call]
    joining = threading.Thread(target=pool.join, daemon=True, name="nas-join")
    joining.start()
    joining.join(STOP_SECONDS)


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
