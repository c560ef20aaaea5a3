"""Process tree of a command: run in a session of its own, its output read, ended as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

GRACE_SECONDS = 8.0
"""From TERM to KILL: a search needs two or three to end its children and to say so."""


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
        _, alive = psutil.wait_procs(tree, timeout=GRACE_SECONDS)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=GRACE_SECONDS)
