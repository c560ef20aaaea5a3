"""`nas data`: prepares a data set and says what it holds."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperCommand

from nas.cli.common import count, examples, experiment_path, load_experiment, screen
from nas.errors import InputError, nearest
from nas.experiment import Data
from nas.plugins import BUILT_IN, find
from nas.workspace import Workspace

_NEEDED = " (needed)"


def add_to(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command(
        "data",
        cls=_WithSources,
        epilog=examples("nas data digits", "nas data ptb", "nas data my-images --again"),
    )(data)


class _WithSources(TyperCommand):
    """A command whose help ends with all sources of data; it imports them only for that."""

    def format_help(self, *arguments: Any) -> None:
        own = self.epilog
        self.epilog = "\n\n".join(
            [own or "", "Sources and their options, as they stand under `data` in an experiment:", *sources()]
        )
        super().format_help(*arguments)
        self.epilog = own


def sources() -> list[str]:
    """A paragraph for each built-in source: its name, what it reads, and its options with their defaults."""
    told = []
    for name in BUILT_IN["source"]:
        source = find("source", name)
        about = (inspect.getdoc(source) or "").partition("\n")[0]
        options = map(_option, inspect.signature(source).parameters.values())
        needed_first = sorted(options, key=lambda option: not option.endswith(_NEEDED))
        told.append(f"**{name}**: {about} Options: {', '.join(needed_first)}")
    return told


def _option(option: inspect.Parameter) -> str:
    if not isinstance(option.default, bool | int | float | str | None):
        return option.name + _NEEDED  # the table's decisions too, whose empty default is refused
    shown = option.default if isinstance(option.default, str) else json.dumps(option.default)
    return f"{option.name}={shown}"


def data(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An experiment, or a built-in source that needs no options: images (digits, cifar10) "
            "or text (pydoc, ptb).",
        ),
    ],
    again: Annotated[bool, typer.Option("--again", help="Prepare anew, replacing what is there.")] = False,
) -> None:
    """Prepares a data set: downloads, checks, splits it and writes it under data/prepared.

    Does nothing if it is prepared already. An interrupted download goes on.
    """
    from nas import datasets

    workspace = Workspace.here()
    wanted = _wanted(name, workspace)
    terminal = sys.stdout.isatty()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen(),
        transient=True,
        disable=not terminal,
    ) as bar:
        task = bar.add_task("", total=None)
        last = ""

        def progress(done: int, total: int | None, what: str) -> None:
            nonlocal last
            if not terminal and what != last:
                typer.echo(what)
            last = what
            bar.update(task, completed=done, total=total, description=what)

        prepared = datasets.prepare(wanted, workspace, progress, again=again)

    size = count(sum(file.stat().st_size for file in prepared.folder.iterdir()))
    typer.echo(f"{prepared.name}: {prepared.summary} ({size}B)")
    facts = {**prepared.facts, "digest": prepared.digest, "folder": prepared.folder}
    width = max(map(len, facts)) + 2
    for fact, line in facts.items():
        typer.echo(f"  {fact:<{width}}{line}")


def _wanted(name: str, workspace: Workspace) -> Data:
    """The data of the experiment `name`, else of the built-in source of this name."""
    if experiment_path(name, workspace).is_file():
        return load_experiment(name, workspace, winners=False).data
    if name in BUILT_IN["source"]:
        return Data(source=name)
    known = [*(path.stem for path in workspace.experiments.glob("*.yaml")), *BUILT_IN["source"]]
    raise InputError(f"no experiment and no source of data is named '{name}': {nearest(name, known)}")
