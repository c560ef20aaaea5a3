"""What every flow run shares: its marks, a clean end on signals, and exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
from prefect import runtime, tags
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.states import Cancelled

from flows._processes import MARK, OURS, close_stale_runs, end_stale_servers, process_tag
from flows._server import reach_api
from flows._settings import logger
from nas.errors import InputError, NasError, TemporaryError

PIPELINE = "NAS_PIPELINE_RUN"
"""Variable that tells a stage the pipeline's flow run that it belongs to."""

WATCH_SECONDS = 1.5
"""How often a flow run asks whether somebody cancelled it in the UI."""

AWAY = (httpx.HTTPError, PrefectException)
"""What calls of Prefect's API raise when it is away or refuses."""

STOPPED_BY_TERM = 128 + signal.SIGTERM


@contextmanager
def this_run(*about: str) -> Iterator[None]:
    """Marks the current flow run and all runs within it, and closes those that killed processes left.

    Args:
        about: more tags, e.g. `experiment:digits-conv`.
    """
    mine = [OURS, process_tag(), *about]
    if pipeline := os.environ.get(PIPELINE):
        mine.append(f"pipeline:{pipeline}")
    run_id = UUID(runtime.flow_run.id)
    with harmless("marking this flow run"), get_client(sync_client=True) as client:
        client.update_flow_run(run_id, tags=sorted({*client.read_flow_run(run_id).tags, *mine}))
        if closed := close_stale_runs(client):
            logger.info("marked %d runs of killed processes as crashed", closed)
    for process in _processes:
        process.watch(run_id)
    with tags(*mine):
        yield


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Lets the flow go on when Prefect's API refuses something that only shows what happens."""
    try:
        yield
    except AWAY as error:
        logger.warning("%s failed, because Prefect's API is away or refuses (%s); going on", what, why(error))


def is_away(error: BaseException) -> bool:
    """Whether Prefect's API was not reached, or failed: the search itself is well."""
    return isinstance(error, httpx.HTTPError) or isinstance(error.__cause__, httpx.HTTPError)


def why(error: BaseException) -> str:
    """An error of Prefect's API in a line; those of timeouts have no text."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def was_stopped(error: BaseException | None) -> bool:
    """Whether a signal is behind `error`: the API may go away as it arrives, and its error hide it.

    A timeout of an asynchronous client is, far behind, a cancelled task; nobody stopped that.
    """
    while error is not None:
        if not isinstance(error, Exception | asyncio.CancelledError):
            return True
        error = error.__context__
    return False


class _FlowProcess:
    """This process, if running one flow is its only purpose: cancelling the run in the UI ends it."""

    def __init__(self) -> None:
        self._cancelled: UUID | None = None
        self._over = threading.Event()

    def watch(self, run_id: UUID) -> None:
        """Watches the flow run; if it is cancelled, this process gets the SIGTERM of a worker."""
        threading.Thread(target=self._watch, args=(run_id,), daemon=True, name="nas-cancel").start()

    def _watch(self, run_id: UUID) -> None:
        while not self._over.wait(WATCH_SECONDS):
            with suppress(*AWAY), get_client(sync_client=True) as client:
                state = client.read_flow_run(run_id).state
                if state is not None and (state.is_cancelling() or state.is_cancelled()):
                    self._cancelled = run_id
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    def end(self) -> None:
        self._over.set()
        if self._cancelled is not None:  # Prefect calls every run that a signal ended crashed
            with suppress(*AWAY), get_client(sync_client=True) as client:
                client.set_flow_run_state(self._cancelled, Cancelled(), force=True)


_processes: list[_FlowProcess] = []


def run(body: Callable[[], Any], check: Callable[[], Any] = lambda: None) -> int:
    """Runs `body`, which calls a flow, as the only purpose of this process; returns the exit code.

    `check` runs before Prefect is asked for anything, so that wrong input is told at once.

    Exit codes: 0 done, 1 failed, 2 wrong input, 75 try again later (busy, or Prefect's API away),
    130 and 143 stopped by a signal.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED_BY_TERM))
    os.environ[MARK] = process_tag()
    end_stale_servers()
    _processes.append(_FlowProcess())
    try:
        check()
        reach_api()
        with tags(OURS, process_tag()):
            body()
        return 0
    except (KeyboardInterrupt, SystemExit) as stop:
        sys.stderr.write("Stopped. Nothing is lost: the same command goes on.\n")
        return STOPPED_BY_TERM if isinstance(stop, SystemExit) else 128 + signal.SIGINT
    except NasError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, InputError) else 75 if isinstance(error, TemporaryError) else 1
    except Exception as error:
        if not is_away(error):
            raise
        logging.raiseExceptions = False  # Prefect's log worker, too, would say at exit that it is away
        sys.stderr.write(f"Prefect's API is away ({why(error)}); nothing is lost: the same command goes on\n")
        return 75
    finally:
        _processes.pop().end()
        gc.freeze()  # else the interpreter's last collection keeps a stopped flow for seconds
