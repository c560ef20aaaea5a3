"""The searches of a workspace, found by their records alone: quick, and without disturbing anybody."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nas.cli.common import experiment_path, load_experiment
from nas.errors import InputError, NasError
from nas.experiment import Experiment
from nas.search.opening import snapshot_path
from nas.search.record import Record
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
        """Raises SearchError if the file is no record, or one of another version."""
        with Record.read(path) as record:
            experiment = record.meta("experiment", {})
            names = record.meta("names", []) or [experiment.get("name", "?")]
            return cls(path, experiment, tuple(names), record.definition, record.meta("created_at", 0.0))

    @property
    def name(self) -> str:
        """The name of the experiment that was last run on it."""
        return str(self.experiment.get("name", "?"))

    @property
    def seed(self) -> int:
        return int(self.definition["seed"])

    def as_experiment(self, name: str) -> Experiment:
        """The experiment that was last run on it, under `name`, one of its names."""
        return Experiment.model_validate({**self.experiment, "name": name})

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
    except (OSError, ValueError):
        return None
    return None


def live_records(workspace: Workspace) -> tuple[list[RecordFile], list[tuple[Path, str]]]:
    """All live records by name, seed and age, and those that can't be read with the reason."""
    found, unreadable = [], []
    for path in sorted(workspace.state.glob("*/record.sqlite")):
        try:
            found.append(RecordFile.of(path))
        except NasError as error:
            unreadable.append((path, str(error)))
    return sorted(found, key=lambda file: (file.name, file.seed, file.begun_at)), unreadable


def record_of(experiment: Experiment, workspace: Workspace) -> tuple[RecordFile, bool]:
    """The record to read of one search, and whether it has the definition that the file gives now.

    Looks only at files: the threads of a child, part of a definition, depend on this machine's
    devices, so a record counts as the present one whatever its threads.

    Args:
        experiment: with one seed.
        workspace: where to look.

    Raises:
        InputError: no such search was begun here.
    """
    files = [
        file
        for file in live_records(workspace)[0]
        if experiment.name in file.names and file.seed == experiment.seed
    ]
    snapshot = snapshot_path(experiment, workspace)
    if snapshot.is_file():
        files.insert(0, RecordFile.of(snapshot))
    if not files:
        raise InputError(
            f"the search '{experiment.name}' (seed {experiment.seed}) was not begun yet: "
            f"`nas search {experiment.name}` begins it"
        )
    present = [file for file in files if not changed_definition(file, experiment, workspace)]
    return (present or files)[-1], bool(present)


def readable_experiment(name: str, workspace: Workspace) -> Experiment:
    """The experiment `name` from its file or, where it has none, from the latest record of this name.

    The finals of an experiment, `NAME.final`, have no file of their own.

    Raises:
        InputError: there is neither.
    """
    if not experiment_path(name, workspace).is_file():
        files = [file for file in live_records(workspace)[0] if name in file.names]
        if files:
            return files[-1].as_experiment(name)
    return load_experiment(name, workspace)


def changed_definition(
    file: RecordFile, experiment: Experiment, workspace: Workspace, threads: int | None = None
) -> dict[str, tuple[Any, Any]]:
    """The settings that define a search and differ: dotted key → (in the record, now).

    Args:
        file: the record.
        experiment: what the settings are now.
        workspace: where the data set lies; one that is not prepared counts as unchanged.
        threads: of a child now; None: as in the record.
    """
    from nas import datasets

    before = file.definition
    digest = before["data"]["digest"]
    folder = workspace.prepared(experiment.data.name)
    if folder.is_dir():
        digest = datasets.load(folder).digest
    threads = before["threads"] if threads is None else threads
    now = experiment.definition(
        digest, threads, before["device"], before["backend"], before.get("environment")
    )
    return differences(before, now)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two nested mappings differ: dotted key → (before, now); None where a key is missing."""
    old, new = dict(_flat(before)), dict(_flat(json.loads(json.dumps(now))))
    keys = [*new, *(key for key in old if key not in new)]
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
