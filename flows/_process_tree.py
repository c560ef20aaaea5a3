"""Process tree of a command: run in a session of its own, its output read, ended as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

GRACE_SECONDS = 8.0
"""From TERM to KILL: a search needs two or three to end its children and to say so."""

POLL_SECONDS = 0.05


def run_tree(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    keep_open: Sequence[int] = (),
) -> int:
    """Runs a command to its end; if this is interrupted, it ends the command and all its descendants.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: all its variables.
        say: is given each line of the output as it comes.
        keep_open: file descriptors that the command holds open too, as locks for as long as it lives.

    Returns:
        The exit code.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        pass_fds=keep_open,
    )
    try:
        for line in process.stdout or ():
            if line.strip():
                say(line.rstrip())
        return process.wait()
    finally:
        if process.poll() is None:
            end(process.pid)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def end(leader: int) -> None:
    """Ends a session's leader and all that descends from it: TERM, and KILL after some seconds."""
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(leader)
        tree = [head, *head.children(recursive=True)]
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGTERM)
        for process in _still_running(tree, GRACE_SECONDS):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _still_running(tree, GRACE_SECONDS)


def _still_running(tree: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits until all of `tree` have ended, for at most so long, and returns those that haven't.

    One that has ended but that nobody collects (a zombie, as in a container without an init) has ended.
    """
    deadline = time.monotonic() + seconds
    while (alive := [process for process in tree if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
