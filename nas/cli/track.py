"""`nas track`: sends to MLflow what it lacks."""

from __future__ import annotations

import typer

from nas.cli.common import Name, examples, load_experiment
from nas.cli.evaluate import register
from nas.cli.records import RecordFile, readable_records, record_of
from nas.errors import InputError
from nas.experiment import FINAL_SUFFIX, Experiment, ring_name
from nas.search.record import Record
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("track", epilog=examples("nas track digits-conv"))(track)


def track(experiment: Name) -> None:
    """Sends to MLflow what it lacks of an experiment's searches, rings, finals and winner.

    For example after a search that ran while MLflow was away.

    Repeating it changes nothing. A search that is running is followed already, and refused here.
    """
    from nas.final.evaluations import checked_final, is_of_winner, read_evaluation
    from nas.tracking import Tracker

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    tracker = Tracker(workspace)
    for name, file in _tracked_files(loaded, workspace):
        with Record.hold(file.path, file.definition) as record:
            added = tracker.sync(record, file.as_experiment(name, workspace))
            there = record.count("finished")
        typer.echo(f"{name}, seed {file.seed}: {added} children added, all {there} are in MLflow")
    evaluation = workspace.reports(loaded.name) / "evaluation" / "evaluation.json"
    if (result := read_evaluation(evaluation, workspace)) is not None:
        path = workspace.models(loaded.name) / "final.json"
        told = path.is_file() and "tested" in result  # earlier versions didn't say which winner they tested
        if told and not is_of_winner(result, checked_final(path)):
            typer.echo(f"winner: another one was chosen since the test; nas evaluate {loaded.name} tests it")
            return
        typer.echo(f"winner: {register(loaded, workspace, result)}")
    if page := tracker.page(loaded):
        typer.echo(f"page: {page}")


def _tracked_files(experiment: Experiment, workspace: Workspace) -> list[tuple[str, RecordFile]]:
    """The live records of an experiment's searches, rings and finals, each with its name here.

    Raises:
        InputError: none of its searches was begun here.
    """
    rings = (ring_name(experiment.name, number + 1) for number in range(len(experiment.final.rings)))
    names = (experiment.name, *rings, experiment.name + FINAL_SUFFIX)
    live = readable_records(workspace)
    files = [(name, file) for name in names for file in live if name in file.names]
    if not any(name == experiment.name for name, _ in files):
        file, _ = record_of(experiment.with_seed(experiment.seeds[0]), workspace)
        raise InputError(
            f"only the snapshot {file.path} of '{experiment.name}' is here; `nas search {experiment.name}` "
            "goes on from it and tracks it"
        )
    return files
