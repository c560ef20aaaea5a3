"""What the commands share: experiments by name, settings, the screen."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nas.errors import InputError, TemporaryError
from nas.experiment import FINAL_SUFFIX, Experiment, load, parse_setting
from nas.workspace import Workspace

PROXY = "proxy"

WIDE = 100_000
"""Columns of a screen that is not a terminal: what another program reads is never cut or folded."""

LONGEST_NAME = 200
"""Bytes; file systems take 255, endings included."""

FREE_BYTES = 10**9
"""No search begins with less free space on the workspace's disk: a full disk ends it half-way."""

Name = Annotated[
    str,
    typer.Argument(metavar="EXPERIMENT", help="Name of a file experiments/NAME.yaml, or a path to one."),
]
MaybeName = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name of an experiment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead; its shape is stable.")]
Track = Annotated[bool, typer.Option(help="Show it in MLflow.")]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the file by its dotted key, as in recipe.epochs=5. May be repeated.",
    ),
]


def examples(*commands: str) -> str:
    """The end of a command's help: how it is typed."""
    return "\n\n".join(["Examples:", *commands])


def screen() -> Console:
    """The console of standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Writes `value` as indented JSON; text in any language stays readable."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def experiment_path(name: str, workspace: Workspace) -> Path:
    """The file of the experiment `name`, which may also be a path to it."""
    if any(len(part.encode(errors="replace")) > LONGEST_NAME for part in Path(name).parts):
        raise InputError(f"a name has at most {LONGEST_NAME} bytes. Received: {name}")
    looks_like_path = name.endswith((".yaml", ".yml")) or "/" in name
    return Path(name) if looks_like_path else workspace.experiments / f"{name}.yaml"


def load_experiment(
    name: str, workspace: Workspace, settings: Sequence[str] = (), *, winners: bool = True
) -> Experiment:
    """The experiment `name`, with `settings` in place of the file's values.

    Args:
        name: of the experiment, or a path to its file.
        workspace: where to look.
        settings: as `key=value`.
        winners: put the winners that it names in place of `winner:EXPERIMENT`.

    Raises:
        NoWinnerError: it names the winner of an experiment that has none yet.
        InputError: there is no such experiment, or something in it is wrong.
    """
    values = dict(parse_setting(text) for text in settings)
    return load(experiment_path(name, workspace), values, workspace=workspace, winners=winners)


def chosen_seeds(experiment: Experiment, seed: int | None) -> tuple[int, ...]:
    """The seeds that a command is about: the one that was named, else those of the experiment."""
    return experiment.seeds if seed is None else (seed,)


def check_disk(workspace: Workspace) -> None:
    """Raises TemporaryError if the workspace's disk is nearly full."""
    free = shutil.disk_usage(workspace.root).free
    if free < FREE_BYTES:
        raise TemporaryError(
            f"only {free / 1e9:.2f} GB are free on the disk of {workspace.root}, and a search needs at least "
            f"{FREE_BYTES / 1e9:g} GB to begin; make room and run the command again"
        )


def kind_of(name: str) -> str:
    """What the rewards and scores of the experiment `name` are, a label that always stands beside them.

    Example:
        >>> kind_of("digits-conv"), kind_of("digits-conv.final")
        ('proxy', 'validation')
    """
    return "validation" if name.endswith(FINAL_SUFFIX) else PROXY


def clock(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> clock(7.26), clock(75), clock(7260)
        ('7.3 s', '1:15', '2:01:00')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int) -> str:
    """A large number for people.

    Example:
        >>> count(950), count(12_345), count(4_200_000)
        ('950', '12.3 k', '4.20 M')
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.{2 if value < 10 else 1}f} {unit}"
    return str(number)
