"""Experiments as flows name them: JSON-able in the UI, words on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows._settings import logger
from nas.dialects import read_otherwise
from nas.experiment import Experiment, load, parse_setting
from nas.workspace import Workspace


def experiment(name: str, settings: Mapping[str, Any] | None = None, *, winners: bool = True) -> Experiment:
    """The experiment of the workspace's file `experiments/NAME.yaml`, or of the file at a path.

    Args:
        name: of the experiment, or a path that ends in `.yaml`.
        settings: values that replace the file's, by dotted key.
        winners: put the winners that it names in place of `winner:EXPERIMENT`.
    """
    return load(_path(name), settings, winners=winners)


def _path(name: str) -> Path:
    return Path(name) if name.endswith(".yaml") else Workspace.here().experiments / f"{name}.yaml"


def parser(about: str | None) -> argparse.ArgumentParser:
    """A command line that names an experiment, with settings."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("experiment", metavar="EXPERIMENT", help="name of a file experiments/NAME.yaml")
    made.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a value of the file by its dotted key, as in recipe.epochs=5",
    )
    return made


def check(arguments: argparse.Namespace, *, winners: bool = True) -> None:
    """Raises InputError if the experiment of a parsed command line can't be what it says.

    What DVC would read otherwise is only told: not every experiment goes there.
    """
    experiment(arguments.experiment, settings(arguments), winners=winners)
    for line in read_otherwise(_path(arguments.experiment)):
        logger.warning("%s", line)


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of a parsed command line."""
    return dict(parse_setting(text) for text in arguments.settings)
