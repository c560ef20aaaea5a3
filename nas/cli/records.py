"""The searches of a workspace, found by their records alone: quick, and without disturbing anybody."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from nas.cli.common import experiment_path, load_experiment
from nas.definitions import same_search, written_out
from nas.errors import InputError, NasError, SearchError, printable
from nas.experiment import Experiment, read_yaml
from nas.plugins import IMPORT_PATH
from nas.search.opening import record_path, snapshot_path
from nas.search.record import Record
from nas.winner import NoWinnerError
from nas.workspace import Workspace


@dataclass(frozen=True)
class RecordFile:
    """A record on disk and what it says of itself.

    Attributes:
        path: the SQLite file.
        experiment: the experiment that was last run on it, as JSON.
        names: of all experiments whose search it is: equal definitions share one record.
        definition: what defines its search.
        begun_at: Unix time.
    """

    path: Path
    experiment: Mapping[str, Any]
    names: tuple[str, ...]
    definition: Mapping[str, Any]
    begun_at: float

    @classmethod
    def of(cls, path: Path) -> RecordFile:
        """Raises NasError if the file is not a record, is one of another version, or can't be read."""
        with Record.read(path) as record:
            experiment, definition = record.meta("experiment", {}), record.definition
            names, begun_at = record.meta("names", []), record.meta("created_at", 0.0)
        try:
            names = [printable(name) for name in names or [experiment.get("name", "?")]]
            int(definition["seed"]), dict(experiment.get("budget", {})), float(begun_at)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise SearchError(
                f"{path} is not the record of a search: {type(error).__name__}: {error}"
            ) from error
        return cls(path, experiment, tuple(names), definition, begun_at)

    @property
    def name(self) -> str:
        """The name of the experiment that was last run on it."""
        return printable(str(self.experiment.get("name", "?")))

    @property
    def seed(self) -> int:
        return int(self.definition["seed"])

    def as_experiment(self, name: str, workspace: Workspace) -> Experiment:
        """The experiment that was last run on it, under `name`, one of its names.

        Raises:
            SearchError: it is not an experiment, or a part of it is named by an import path that no YAML file
                of the workspace names: whoever wrote the record would decide which code runs here.
        """
        try:
            experiment = Experiment.model_validate({**self.experiment, "name": name})
        except ValidationError as error:
            why = printable(str(error))[:200]
            raise SearchError(f"the experiment that {self.path} holds is not valid: {why}") from error
        parts = {
            kind: getattr(part, "source" if kind == "data" else "name")
            for kind in ("data", "space", "controller", "recipe", "reward", "evaluator")
            if (part := getattr(experiment, kind)) is not None
        }
        parts["loop"] = experiment.search.loop
        stack = experiment.recipe.options.get("stack") if experiment.recipe is not None else None
        if isinstance(stack, Mapping):
            parts["stack"] = str(stack.get("name", ""))
        own = {kind: named for kind, named in parts.items() if ":" in named}
        for kind, named in own.items():
            if named not in named_in_yaml(workspace):
                raise SearchError(
                    f"the {kind} '{printable(named)}' that the record {self.path} names is not imported, "
                    f"because no file in {workspace.experiments} or {workspace.tables} names it"
                )
        if "space" in own:
            experiment.built_space  # noqa: B018 - loads the module of its architectures
        return experiment

    def open(self) -> Record:
        """The record for reading."""
        return Record.read(self.path)

    def holder(self) -> int | None:
        """Process id of the search that works on it now; None: nobody does."""
        return holder(self.path.parent / "lock")


def holder(lock: Path) -> int | None:
    """Process id of who holds the file `lock` locked; None: it is free.

    The lock is tried only if the process that it names is alive, and shared, so that readers neither
    see each other nor get in the way of a search that begins.
    """
    try:
        with lock.open() as file:
            pid = int(file.read().strip() or 0)
            if not pid or not psutil.pid_exists(pid):
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return pid
    except (OSError, ValueError, OverflowError):
        return None
    return None


def named_in_yaml(workspace: Workspace) -> set[str]:
    """All import paths that the user's own files name: what they name may be imported."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, Mapping):
            value = value.values()
        elif isinstance(value, str):
            if IMPORT_PATH.fullmatch(value):
                found.add(value)
            return
        elif not isinstance(value, list):
            return
        for inner in value:
            collect(inner)

    for folder in (workspace.experiments, workspace.tables):
        for path in folder.glob("*.yaml"):
            with suppress(InputError):  # of another experiment
                collect(read_yaml(path, "no experiment"))
    return found


def live_records(workspace: Workspace) -> tuple[list[RecordFile], list[tuple[Path, str]]]:
    """All live records by name, seed and age, and those that can't be read with the reason."""
    found, unreadable = [], []
    for folder in sorted(workspace.state.glob("*")):
        path, closed = folder / "record.sqlite", folder.is_dir() and not os.access(folder, os.X_OK)
        if closed or os.path.lexists(path):
            try:
                found.append(RecordFile.of(path))
            except NasError as error:
                unreadable.append((path, str(error)))
    return sorted(found, key=lambda file: (file.name, file.seed, file.begun_at)), unreadable


def readable_records(workspace: Workspace) -> list[RecordFile]:
    """All live records that can be read; of each other one a line is written, once for each command."""
    found, unreadable = live_records(workspace)
    for path, reason in unreadable:
        say_unreadable(path, reason)
    return found


@cache
def say_unreadable(path: Path, reason: str) -> None:
    """Writes that a record is left out."""
    sys.stderr.write(f"nas: {path} can't be read: {reason}\n")


def record_of(experiment: Experiment, workspace: Workspace) -> tuple[RecordFile, bool]:
    """The record to read of one search, and whether it has the definition that the file gives now.

    Looks only at files: the threads of a child, part of a definition, depend on this machine's
    devices, so a record counts as the present one whatever its threads.

    Args:
        experiment: with one seed.
        workspace: where to look.

    Raises:
        InputError: no such search was begun here.
        SearchError: its own record can't be read.
    """
    files = [
        file
        for file in readable_records(workspace)
        if experiment.name in file.names and file.seed == experiment.seed
    ]
    snapshot = snapshot_path(experiment, workspace)
    if snapshot.exists():
        try:
            files.insert(0, RecordFile.of(snapshot))
        except NasError as error:
            if not files:
                raise
            say_unreadable(snapshot, str(error))
    if not files:
        check_own_record(experiment, workspace)
        raise InputError(
            f"the search '{experiment.name}' (seed {experiment.seed}) was not begun yet: "
            f"`nas search {experiment.name}` begins it"
        )
    present = [file for file in files if not changed_definition(file, experiment, workspace)]
    return (present or files)[-1], bool(present)


def check_own_record(experiment: Experiment, workspace: Workspace) -> None:
    """Raises NasError if the search has a record that can't be read, and so can't tell its name."""
    with suppress(InputError):  # its data were not prepared here
        path = record_path(experiment, workspace)
        if os.path.lexists(path):
            RecordFile.of(path)


def readable_experiment(name: str, workspace: Workspace) -> Experiment:
    """The experiment `name` from its file or, where it has none, from the latest record of this name.

    The finals of an experiment, `NAME.final`, have no file of their own. Where the file names a winner
    (`winner:EXPERIMENT`) that isn't here any more, the record is what tells which architecture it was.

    Raises:
        InputError: there is neither.
    """
    if not experiment_path(name, workspace).is_file():
        files = [file for file in readable_records(workspace) if name in file.names]
        if files:
            return files[-1].as_experiment(name, workspace)
    try:
        return load_experiment(name, workspace)
    except NoWinnerError as error:
        files = [file for file in readable_records(workspace) if name in file.names] or _snapshots(
            name, workspace
        )
        if not files:
            raise
        sys.stderr.write(f"nas: {error}; shown is '{name}' as it was last run\n")
        return files[-1].as_experiment(name, workspace)


def _snapshots(name: str, workspace: Workspace) -> list[RecordFile]:
    """What DVC brought of an experiment's searches, as far as it can be read."""
    found = []
    for path in sorted(workspace.search(name).glob("records/*.sqlite")):
        with suppress(NasError):
            found.append(RecordFile.of(path))
    return found


def changed_definition(
    file: RecordFile, experiment: Experiment, workspace: Workspace, threads: int | None = None
) -> dict[str, tuple[Any, Any]]:
    """The settings that define a search and differ: dotted key → (in the record, now).

    Args:
        file: the record.
        experiment: what the settings are now.
        workspace: where the data set lies; one of the same name that is not prepared counts as unchanged.
        threads: of a child now; None: as in the record.
    """
    from nas import datasets

    before = file.definition
    try:
        digest, device, backend = before["data"]["digest"], before["device"], before["backend"]
        threads = before["threads"] if threads is None else threads
    except (LookupError, TypeError) as error:
        raise SearchError(
            f"{file.path} is not the record of a search: its definition lacks {error}"
        ) from error
    data = experiment.data.name
    if workspace.prepared(data).is_dir():
        digest = datasets.load(workspace.prepared(data)).digest
    elif data != _data_name(file.experiment):
        digest = f"of {data}, not prepared"
    now = experiment.definition(digest, threads, device, backend, before.get("environment"))
    return {} if same_search(before, now) else differences(written_out(before), written_out(now))


def _data_name(experiment: Mapping[str, Any]) -> Any:
    """What the data of an experiment's JSON form, which others may have written, are called."""
    data = experiment.get("data")
    return data.get("name") if isinstance(data, Mapping) else None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two nested mappings differ: dotted key → (before, now); None where a key is missing."""
    old, new = dict(_flat(before)), dict(_flat(json.loads(json.dumps(now))))
    keys = [*new, *(key for key in old if key not in new)]
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        elif inner != []:  # as an empty mapping: nothing was set
            yield f"{prefix}{key}", inner
