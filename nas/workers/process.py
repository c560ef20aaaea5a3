"""The child's side: a fresh process that ends when its search does or when it eats too much memory.

Processes come from a *forkserver* that has imported the heavy libraries but run nothing in them,
so a fresh child costs a fraction of a second instead of the seconds of an import.
"""

from __future__ import annotations

import importlib
import io
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import context, forkserver, popen_forkserver, reduction, spawn, util
from pathlib import Path
from typing import IO, Any

import psutil

from nas.utf8 import speak_utf8
from nas.workers import OUT_OF_MEMORY_EXIT
from nas.workers.slots import hold_as_child

WATCH_SECONDS = 0.2
"""How often a child looks at its memory; the end of the search is noticed at once."""


class _Popen(popen_forkserver.Popen):
    """Starts a process as the standard library does, but without importing the parent's main module.

    The main module may be a flow or the command line, whose imports would cost every child seconds.
    """

    def _launch(self, process_obj: Any) -> None:
        preparation = spawn.get_preparation_data(process_obj._name)
        preparation.pop("init_main_from_name", None)
        preparation.pop("init_main_from_path", None)
        buffer = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            context.set_spawning_popen(None)
        self.sentinel, write_end = forkserver.connect_to_new_process(self._fds)  # type: ignore[attr-defined]
        parent_end = os.dup(write_end)
        self.finalizer = util.Finalize(
            self,
            util.close_fds,  # type: ignore[attr-defined]
            (parent_end, self.sentinel),
        )
        with open(write_end, "wb", closefd=True) as file:
            file.write(buffer.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


class _Process(context.ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802 - the standard library's name
        return _Popen(process_obj)


class _Context(context.ForkServerContext):
    Process = _Process


def fresh_processes(preload: Sequence[str]) -> context.ForkServerContext:
    """A multiprocessing context whose processes start with `preload` imported.

    The first call in a process decides what its forkserver preloads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    made = _Context()
    made.set_forkserver_preload(["nas.workers.quiet", "nas.workers.process", *preload])
    return made


def warm_up(check: str, device: Mapping[str, Any]) -> str:
    """Waits, as a fresh process, until the forkserver has imported everything, and tries the device.

    Args:
        check: `package.module:function` that takes a device and returns why it can't be used, or
            nothing; empty: nothing is tried.
        device: see `nas.workers.slots.Slot.device`.

    Returns:
        Why children can't run, in a sentence; empty if they can.
    """
    try:
        return str(_function(check)(device) or "") if check else ""
    except ImportError as error:
        return f"children can't import what they need ({error}): `nas doctor` says what is missing"


def run(function: str, job: Mapping[str, Any], slot: str, memory_limit_bytes: int | None) -> Any:
    """Runs `function` (`package.module:name`) on `job` in this fresh process.

    Args:
        function: import path; it takes and returns JSON-like values.
        job: what it is given.
        slot: name of the slot that this process occupies until it ends.
        memory_limit_bytes: resident size at which the process ends itself.
    """
    _log_to(job.get("log"))
    held = hold_as_child(slot)
    threading.Thread(target=_watch, args=(memory_limit_bytes, held), daemon=True, name="watch").start()
    try:
        return _function(function)(dict(job))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _watch(memory_limit_bytes: int | None, held: IO[str]) -> None:
    """Ends this process with its search or at its memory limit; `held` stays locked until then."""
    parent = multiprocessing.parent_process()
    process = psutil.Process()
    while True:
        wait = WATCH_SECONDS if memory_limit_bytes else None
        if parent is not None and multiprocessing.connection.wait([parent.sentinel], timeout=wait):
            os._exit(1)
        if memory_limit_bytes and process.memory_info().rss > memory_limit_bytes:
            os._exit(OUT_OF_MEMORY_EXIT)


def _log_to(path: str | None) -> None:
    """Sends all output of this process, that of C libraries too, to the file `path`."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(target, stream)
        os.close(target)
        speak_utf8()  # whatever the locale: a trainer may print any name
