"""`winner:EXPERIMENT` in place of an architecture's text: the winner that an experiment's finals chose.

This is a notation, not an architecture: when an experiment's file is read, the winner's text takes its place
(see `nas.experiment.load`) before anything is built. So no definition, record or model ever contains it, and
when another winner is chosen later, that is another search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas.errors import InputError, cut, nearest, printable
from nas.plugins import BUILT_IN
from nas.spaces import parse_architecture
from nas.workspace import Workspace

PREFIX = "winner:"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

_LARGEST = 64 * 2**20
"""Bytes of a `final.json` that are read."""


class NoWinnerError(InputError):
    """Make the winner first: an experiment names that of another one, which isn't there."""


def experiment_of(text: str) -> str | None:
    """The experiment whose winner a text names, or None if the text is not of this form.

    Raises:
        InputError: it is, but no experiment can have such a name.

    Example:
        >>> experiment_of("winner:digits-conv"), experiment_of("conv:3x3x24@0")
        ('digits-conv', None)
    """
    if not text.strip().startswith(PREFIX):
        return None
    name = text.strip().removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the winner of an experiment is written {PREFIX}EXPERIMENT, as in {PREFIX}digits-conv. "
            f"Received: {text!r}"
        )
    return name


def winner_of(experiment: str, workspace: Workspace, load_kind: Callable[[str], object]) -> str:
    """The text form of an experiment's winner.

    Args:
        experiment: its name.
        workspace: where its finals lie.
        load_kind: given the experiment's name, loads the module of its architectures, as far as the user's
            own YAML names it: a kind that only `final.json` names is never imported (see `nas.plugins.find`).

    Raises:
        NoWinnerError: there is none; the message names the command that makes it.
        InputError: what is there can't be read, or is of an unknown kind.
    """
    path = workspace.models(experiment) / "final.json"
    if not path.is_file():
        raise NoWinnerError(
            f"'{experiment}' has no winner yet: {_how_to_make(experiment, workspace)} (`dvc pull` brings one "
            "that was made elsewhere)"
        )
    text = _text(path)
    with suppress(Exception):  # what hinders it is told below, if it is needed
        if text.rpartition(":")[0] not in BUILT_IN["architecture"]:
            load_kind(experiment)
    try:
        return parse_architecture(text, trusted=False).text()
    except Exception as error:  # a class that reads what it didn't write may fail in any way
        raise InputError(
            f"the winner of '{experiment}', {cut(printable(text), 200)}, can't be used: "
            f"{printable(str(error))}"
        ) from error


def winning_point(experiment: str, workspace: Workspace) -> dict[str, Any]:
    """The recipe fields of the point of `final.grid` at which an experiment's winner was trained.

    Args:
        experiment: its name; it has a winner.
        workspace: where its finals lie.

    Raises:
        InputError: what is there can't be read.
    """
    path = workspace.models(experiment) / "final.json"
    point = _winner(path).get("grid_point", {})
    if not isinstance(point, Mapping):
        raise _unreadable(path, f"the winner's grid_point is {point!r:.60}")
    return dict(point)


def _how_to_make(experiment: str, workspace: Workspace) -> str:
    path = workspace.experiments / f"{experiment}.yaml"
    if path.is_file():
        return f"`nas finalize {experiment}` chooses one, after `nas search {experiment}`"
    there = {path.parent.name for path in workspace.models("*").parent.glob("*/final.json")}
    there |= {path.stem for path in workspace.experiments.glob("*.yaml")}
    return f"there is no {path} that could be searched ({nearest(experiment, there)})"


def _text(path: Path) -> str:
    """The winner's text as `final.json` has it."""
    text = _winner(path).get("architecture")
    if not isinstance(text, str):
        raise _unreadable(path, f"the winner is {text!r:.60}")
    return text


def _winner(path: Path) -> Mapping[str, Any]:
    """The winner as `final.json` has it."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        won = json.loads(content)["winner"]
        if not isinstance(won, Mapping):
            raise TypeError(f"the winner is {won!r:.60}")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    return won


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is not what `nas finalize` writes ({printable(reason)}): "
        "`nas finalize` or `dvc checkout` makes it again"
    )


def architecture_texts(tree: Mapping[str, Any]) -> Iterator[Any]:
    """The values in an experiment's YAML where the text of an architecture may stand, unchecked."""
    final, controller = tree.get("final"), tree.get("controller")
    if isinstance(final, Mapping):
        yield final.get("baseline")
    listed = controller.get("entries") if isinstance(controller, Mapping) else None
    for entry in listed if isinstance(listed, list | tuple) else ():
        if isinstance(entry, Mapping):
            yield entry.get("architecture")


def named_in(tree: Mapping[str, Any]) -> list[str]:
    """The experiments whose winners an experiment's YAML names, each once.

    Raises:
        InputError: one is written wrongly.
    """
    found = (experiment_of(text) for text in architecture_texts(tree) if isinstance(text, str))
    return list(dict.fromkeys(name for name in found if name is not None))


def check_order(name: str, tree: Mapping[str, Any], read: Callable[[str], Mapping[str, Any]]) -> None:
    """Raises InputError if an experiment needs, directly or through others, its own winner.

    Args:
        name: of the experiment.
        tree: what its YAML holds.
        read: name of another experiment → what its YAML holds; empty if there is none.
    """
    ways, known = [[name, other] for other in named_in(tree)], set[str]()
    while ways:
        way = ways.pop()
        if way[-1] == name:
            raise InputError(
                f"'{name}' needs its own winner ({' → '.join(way)}), so that none of these experiments could "
                "be made first: write the text of an architecture in one of them (`nas show` prints it)"
            )
        if way[-1] not in known:
            known.add(way[-1])
            ways += [[*way, other] for other in named_in(read(way[-1]))]
