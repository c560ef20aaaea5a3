"""The command `nas` itself: its list of commands, and how each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

import nas
from nas.cli import (
    compare,
    data,
    doctor,
    evaluate,
    finalize,
    report,
    scale,
    search,
    serve,
    show,
    status,
    summary,
    top,
    track,
    transfer,
)
from nas.cli.process import outlive_reader
from nas.cli.records import say_unreadable
from nas.errors import InputError, NasError, TemporaryError
from nas.workspace import Workspace

WRONG_INPUT = 2
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: schedulers know it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Searches neural-network architectures by reinforcement learning.\n\n"
    "An experiment is a file experiments/NAME.yaml. Everything lies in the current folder, or in the one "
    "that the variable NAS_HOME names.",
    epilog="A first search, from nothing to a tested network:\n\n"
    "nas search digits-conv\n\nnas finalize digits-conv\n\nnas evaluate digits-conv\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input, 75 busy (try again later), 130 or 143 stopped by a signal.",
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nasflow {nas.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """The options that stand before a command's name."""


for part in (
    data,
    search,
    status,
    top,
    show,
    finalize,
    evaluate,
    scale,
    transfer,
    track,
    serve,
    report,
    compare,
    summary,
    doctor,
):
    part.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command.

    The user's own modules are found beside the folder experiments, behind all that is installed.

    Args:
        arguments: the command line after `nas`.

    Returns:
        The exit code.
    """
    outlive_reader()
    say_unreadable.cache_clear()
    sys.path.append(str(Workspace.here().root))
    try:
        code = app(arguments, prog_name="nas", standalone_mode=False)
    except TyperException as error:
        _say(_sentence(error, arguments))
        return WRONG_INPUT
    except NasError as error:
        _say(f"nas: {error}")
        if isinstance(error, InputError):
            return WRONG_INPUT
        return TRY_AGAIN if isinstance(error, TemporaryError) else 1
    return code if isinstance(code, int) else 0


def _sentence(error: TyperException, arguments: Sequence[str]) -> str:
    """What is wrong with a command line; no message means that only help was asked for."""
    message = " ".join(error.format_message().split()).rstrip(".?")
    command = next((word for word in arguments if not word.startswith("-")), "")
    known = {info.name for info in app.registered_commands}
    help_line = f"nas {command} --help" if command in known else "nas --help"
    return f"nas: {message}; see `{help_line}`" if message else ""


def _say(text: str) -> None:
    if text:
        sys.stderr.write(text + "\n")
