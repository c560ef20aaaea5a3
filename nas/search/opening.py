"""Puts a search together from its experiment, and finds its record for those who only read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nas import datasets
from nas.controllers.controller import Controller
from nas.definitions import SAID_OF_ITS_OWN
from nas.errors import InputError, NasError
from nas.evaluation import Evaluator, Isolated, evaluator_class
from nas.experiment import Experiment, Workers, fingerprint, ring_of
from nas.search.fitting import check_parts
from nas.search.record import Record, is_ahead, is_of
from nas.search.rewards import rule_of
from nas.search.search import Listener, Search
from nas.workers.backend import check_backend
from nas.workers.isolated import run_isolated
from nas.workers.slots import platform, slots
from nas.workspace import Workspace


def open_search(
    experiment: Experiment,
    workspace: Workspace,
    *,
    listeners: Sequence[Listener] = (),
    keep_files: bool = False,
) -> Search:
    """Opens one search for going on; a new one begins its record. Use it in a `with` block.

    The data set is prepared if it is not yet.

    Args:
        experiment: with one seed (see `Experiment.with_seed`).
        workspace: where data and records lie.
        listeners: told of every commit.
        keep_files: children may keep weights beside the record (finals do, a search's don't).

    Raises:
        RecordLockedError: another process is working on this search.
        InputError: an option of a part is not allowed, or the parts don't fit together.
    """
    check_evaluator(experiment)
    data = datasets.prepare(experiment.data, workspace)
    definition = _definition(experiment, data.digest)
    path = _found(experiment, workspace, definition)
    controller = experiment.controller.make("controller", space=experiment.built_space, seed=experiment.seed)
    if not isinstance(controller, Controller):
        raise InputError(f"controller '{experiment.controller.name}' is not a nas.controllers.Controller")
    check_parts(experiment, data, controller)
    record = Record.hold(path, definition, snapshot_path(experiment, workspace))
    try:
        record.set_meta("experiment", experiment.model_dump(mode="json"))
        record.set_meta("names", sorted({*record.meta("names", []), experiment.name}))
        evaluator = make_evaluator(experiment, data.folder, workspace, path.parent / "logs")
    except BaseException:
        record.close()
        raise
    reward = rule_of(experiment)
    commit = git_commit(workspace.root)
    folder = str((path.parent / "children").relative_to(workspace.root)) if keep_files else ""
    return Search(experiment, record, controller, evaluator, reward, listeners, folder, commit)


def check_evaluator(experiment: Experiment) -> None:
    """Asks the evaluator whether it can work here at all (see `Evaluator.check`); nothing is begun by that.

    Raises:
        InputError: it can't; the message says what to do.
    """
    evaluator_class(experiment.evaluator.name).check(**experiment.evaluator.options)


def make_evaluator(experiment: Experiment, data_folder: Path, workspace: Workspace, logs: Path) -> Evaluator:
    """The experiment's evaluator, ready for jobs. Use it in a `with` block.

    Raises:
        InputError: an option of it is not allowed.
    """
    made = experiment.evaluator.make(
        "evaluator", experiment=experiment, data_folder=data_folder, workspace=workspace, logs=logs
    )
    if not isinstance(made, Evaluator):
        raise InputError(f"evaluator '{experiment.evaluator.name}' is not a nas.evaluation.Evaluator")
    return made


def isolated_by(evaluator: Evaluator | None, workers: Workers) -> Isolated:
    """What tests and exports networks: the evaluator, else a slot of this machine.

    Args:
        evaluator: None, or one that doesn't isolate: this machine does it.
        workers: the experiment's limits.

    Raises:
        InputError: it can't be done here.
    """
    if evaluator is not None and evaluator.isolates():
        return evaluator.isolated
    check_backend()
    return partial(run_isolated, candidates=slots(workers), memory_limit_gb=workers.memory_limit_gb)


def record_path(experiment: Experiment, workspace: Workspace) -> Path:
    """Where the live record of this search lies, whether or not it was begun.

    Raises:
        InputError: its data set was not prepared yet.
    """
    return _found(experiment, workspace, _prepared_definition(experiment, workspace))


def _prepared_definition(experiment: Experiment, workspace: Workspace) -> dict[str, Any]:
    return _definition(experiment, datasets.load(workspace.prepared(experiment.data.name)).digest)


def _definition(experiment: Experiment, digest: str) -> dict[str, Any]:
    """What defines the search on the data with this digest, where its evaluator computes."""
    found = evaluator_class(experiment.evaluator.name).platform(experiment.workers)
    try:
        return experiment.definition(digest, **(platform(experiment.workers) if found is None else found))
    except TypeError as error:
        raise InputError(
            f"the platform of the evaluator '{experiment.evaluator.name}' must tell threads, and may tell "
            f"device, backend and environment. Received: {found!r}"
        ) from error


def _found(experiment: Experiment, workspace: Workspace, definition: Mapping[str, Any]) -> Path:
    """Where the record of the search that `definition` defines lies, or will lie.

    A record is named by the definition that it was begun with. So one of an earlier version is looked for
    under the fingerprint that this gave it; then, since other spellings of the same had other fingerprints,
    among all records; then in the snapshot that DVC brought.
    """
    own = workspace.record(fingerprint(definition))
    platform = {key: definition[key] for key in SAID_OF_ITS_OWN if key in definition and key != "seed"}
    before = experiment.definition_1(definition["data"]["digest"], **platform)
    if os.path.lexists(own):
        return own
    earlier = workspace.record(fingerprint(before))
    if os.path.lexists(earlier) and is_of(earlier, definition):  # parts may have got another meaning since
        return earlier
    for path in sorted(workspace.state.glob("*/record.sqlite")):
        with suppress(NasError, OSError):  # whoever can't read it can't tell whose it is
            if is_of(path, definition):
                return path
    snapshot = snapshot_path(experiment, workspace)
    if is_of(snapshot, definition):
        with Record.read(snapshot) as record:
            return workspace.record(fingerprint(record.definition))
    return own


def snapshot_path(experiment: Experiment, workspace: Workspace) -> Path:
    """Where DVC keeps the snapshot of this search's record; that of a ring lies beside the winner."""
    if (ring := ring_of(experiment.name)) is not None:
        return workspace.models(ring[0]) / f"ring-{ring[1]}.sqlite"
    return workspace.search(experiment.name) / "records" / f"seed-{experiment.seed}.sqlite"


def read_record(experiment: Experiment, workspace: Workspace) -> Record:
    """The search's record for reading: the live one, else the snapshot that DVC brought.

    Raises:
        InputError: the search was never begun here.
    """
    definition = _prepared_definition(experiment, workspace)
    live, snapshot = _found(experiment, workspace, definition), snapshot_path(experiment, workspace)
    if is_ahead(snapshot, live, definition):
        return Record.read(snapshot)
    if not live.is_file():
        raise InputError(
            f"the search '{experiment.name}' (seed {experiment.seed}) was not begun yet: "
            f"`nas search {experiment.name}` begins it"
        )
    return Record.read(live)


def git_commit(root: Path) -> str:
    """The commit of the code at `root`, with `+` if files differ from it; empty outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
