"""The command `nas`. Signals are cared for before its imports, and nothing heavy is imported in vain."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nas.cli.process import Stopped, ends_on_signals
from nas.utf8 import speak_utf8

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code.

    Args:
        arguments: the command line after `nas`; None: this process's.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    speak_utf8()
    try:
        with ends_on_signals():
            from nas.cli.app import run

            code = run(given)
    except Stopped as stop:
        import shlex

        sys.stderr.write(f"Stopped. `{shlex.join(['nas', *given])}` goes on from here.\n")
        code = stop.exit_code
    sys.exit(code)
