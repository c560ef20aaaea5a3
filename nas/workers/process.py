"""The child's side: a fresh process that ends when its search does or when it eats too much memory.

Processes come from a *forkserver* that has imported the heavy libraries but run nothing in them,
so a fresh child costs a fraction of a second instead of the seconds of an import. Who starts them and
waits for their answers is `nas.workers.isolated`.

What ends when: the forkserver when its alive pipe closes, whose writing end only the search holds
(each child closes the copy that it inherits); every child when the forkserver ends, by a signal of the
kernel (Linux), so that not even C code that holds the interpreter's lock outlives a search that was
killed; and what children have started when the forkserver ends.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import io
import json
import multiprocessing
import os
import signal
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import connection, context, forkserver, popen_forkserver, reduction, spawn, util
from typing import Any

import psutil

from nas.errors import InputError, NasError, nearest
from nas.workers import OUT_OF_MEMORY_EXIT
from nas.workers.slots import hold_as_child

WATCH_SECONDS = 0.2
"""How often a child looks at its memory; the end of the search is noticed at once."""

FORKSERVER_GONE = 256
"""Stands for the exit code of a process whose forkserver, which would know it, is gone; no real one is it."""

LARGEST_ANSWER = 64 * 2**20
"""Bytes of the largest answer that is taken; those of real trainings have some kilobytes."""

LENGTH = struct.Struct("!Q")
"""How an answer begins on its pipe: with the number of its bytes."""

LONGEST_TEXT = 4000
"""Characters of an error's message that are handed on; the log has it whole."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


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
        self._polling = threading.Lock()

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """As the library's, but safe in several threads: a second reader would find the forkserver lost."""
        with self._polling:
            if self.returncode is None and connection.wait(
                [self.sentinel], 0 if flag == os.WNOHANG else None
            ):
                try:
                    self.returncode = forkserver.read_signed(self.sentinel)
                except (OSError, EOFError):
                    self.returncode = FORKSERVER_GONE
            return self.returncode


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


def warm_up(job: Mapping[str, Any]) -> str:
    """Tries, as a fresh process, the device that children will use.

    Args:
        job: `check`: `package.module:function` that takes a device and returns why it can't be used, or
            nothing; empty: nothing is tried. `device`: see `nas.workers.slots.Slot.device`.

    Returns:
        Why children can't run, in a sentence; empty if they can.
    """
    try:
        return str(_function(job["check"])(job["device"]) or "") if job["check"] else ""
    except ImportError as error:
        return f"children can't import what they need ({error}): `nas doctor` says what is missing"


def end_with_children() -> None:
    """Lets the calling forkserver take what its children have started with it when it ends.

    On Linux it adopts processes whose parents ended, so that it finds them all. Elsewhere those that lost
    their parent are left.
    """
    warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")  # adopted ones
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    here = os.getpid()

    def end() -> None:
        if os.getpid() != here:  # a child that runs what is registered for its parent's exit
            return
        for _ in range(3):  # one that was starting another when it was killed
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    process.kill()
        os._exit(0)  # nothing ran here that would have to be tidied up, and children wait for the end

    atexit.register(end)


def serve(ours: connection.Connection, output: connection.Connection) -> None:
    """Waits in this fresh process for a piece of work, does it and answers; see `nas.workers.isolated`.

    An answer is JSON: `{"value": …}`, or `{"error": …, "kind": name of the error's class in nas.errors}`.

    Args:
        ours: gives `(function, job, slot, memory_limit_bytes)` and takes the answer.
        output: where stdout and stderr of work with a `log` go.
    """
    if (work := _receive(ours, output)) is not None:
        function, job = work
        _write(ours, _answer(lambda: _function(function)(dict(job))))


def serve_session(ours: connection.Connection, output: connection.Connection) -> None:
    """Builds a session's object in this fresh process and answers requests; see `nas.workers.session`.

    Args:
        ours: gives what `serve` gets (its function is a class, its job holds `options`) and takes whether
            that was built, then gives requests (JSON: a method's name, its keyword arguments) and takes an
            answer to each, as `serve` writes it.
        output: as in `serve`.
    """
    if (work := _receive(ours, output)) is None:
        return
    path, job = work
    built: list[Any] = []
    _write(ours, _answer(lambda: built.append(_function(path)(**job["options"]))))
    while built:
        try:
            name, arguments = json.loads(ours.recv_bytes())
        except (EOFError, OSError):  # the session is closed
            return
        _write(ours, _answer(partial(_request, built[0], name, arguments)))


def _request(served: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    method = None if name.startswith("_") else getattr(served, name, None)
    if not callable(method):
        known = [one for one in dir(served) if not one.startswith("_") and callable(getattr(served, one))]
        raise InputError(f"{type(served).__name__} answers no request '{name}' ({nearest(name, known)})")
    return method(**arguments)


def _receive(
    ours: connection.Connection, output: connection.Connection
) -> tuple[str, Mapping[str, Any]] | None:
    """The work that this fresh process is given, whose limits and log hold from now on; None: none."""
    _end_with_the_forkserver()
    os.setpgid(0, 0)  # so that what the work starts can be ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function, job, slot, memory_limit_bytes = ours.recv()
    except (EOFError, OSError):  # never needed
        return None
    if job.get("log"):
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        sys.stdout, sys.stderr = _unbuffered(1), _unbuffered(2)
    output.close()
    if slot:
        hold_as_child(slot)
    threading.Thread(target=_watch, args=(memory_limit_bytes,), daemon=True, name="watch").start()
    return function, job


def _write(ours: connection.Connection, answer: bytes) -> None:
    with open(ours.fileno(), "wb", closefd=False) as pipe:
        pipe.write(LENGTH.pack(len(answer)))
        pipe.write(answer)


def _unbuffered(stream: int) -> io.TextIOWrapper:
    """A text stream whose text stands in the log however the process ends."""
    raw = io.FileIO(stream, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def _answer(work: Callable[[], Any]) -> bytes:
    """What `work` returns, or how it failed, as JSON."""
    try:
        value = work()
    except BaseException as error:  # sys.exit and Ctrl-C too are ways in which work can end
        return _failure(error)
    try:
        answer = json.dumps({"value": value}, default=plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return _failure(TypeError(f"its answer can't be written as JSON ({error}): {_brief(value)}"))
    if len(answer) > LARGEST_ANSWER:
        size = f"{len(answer) / 2**20:.0f} MiB, above the {LARGEST_ANSWER / 2**20:.0f} MiB that are taken"
        return _failure(ValueError(f"its answer has {size}: keep large results in files"))
    return answer


def _failure(error: BaseException) -> bytes:
    """An answer that tells of `error`, whose traceback goes to the log."""
    with suppress(BaseException):  # an error whose own text fails
        traceback.print_exception(error)
    try:
        text = str(error)
    except BaseException:  # whatever a plug-in's error does when it is asked for its text
        text = "its message can't be shown"
    if isinstance(error, SystemExit):
        sentence = f"it called sys.exit({text[:LONGEST_TEXT]})"
    elif isinstance(error, NasError):
        sentence = text[:LONGEST_TEXT]
    else:
        lines = text.strip().splitlines() or ["no message"]
        sentence = f"{type(error).__name__}: {lines[0][:LONGEST_TEXT]}"
    kinds = [one.__name__ for one in type(error).__mro__ if one.__module__ == NasError.__module__]
    return json.dumps({"error": sentence, "kind": kinds[0] if kinds else ""}).encode()


def plain(value: Any) -> Any:
    """JSON's form of what numerical code leaves in a value: scalars, arrays, paths, sets."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if callable(getattr(value, "tolist", None)):  # NumPy's arrays and scalars, and those that take after them
        return value.tolist()
    raise TypeError(f"of type {type(value).__name__}")


def _brief(value: Any) -> str:
    try:
        return f"{value!r:.200}"
    except BaseException:  # a value whose own text fails
        return f"a {type(value).__name__}"


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _end_with_the_forkserver() -> None:
    """Has the kernel end this process with the forkserver, and no longer keeps the forkserver alive.

    The forkserver ends when nobody holds the writing end of its alive pipe any more; each child inherits
    a copy, with which it would keep the forkserver alive, and so itself.
    """
    alive = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if alive is not None:
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
        os.close(alive)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    quiet = sys.modules.get("nas.workers.quiet")  # knows the forkserver, which has imported it
    if quiet is not None and os.getppid() != quiet.PID:  # it ended before the kernel was asked
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    """Linux' prctl(2); nothing on systems without it, where the thread `watch` alone ends children."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _watch(memory_limit_bytes: int | None) -> None:
    """Ends this process with its search or at its memory limit."""
    parent = multiprocessing.parent_process()
    process = psutil.Process()
    while True:
        wait = WATCH_SECONDS if memory_limit_bytes else None
        if parent is not None and connection.wait([parent.sentinel], timeout=wait):
            os._exit(1)
        if memory_limit_bytes and process.memory_info().rss > memory_limit_bytes:
            os._exit(OUT_OF_MEMORY_EXIT)
