"""`nas finalize`, `nas evaluate`, `nas track` and `nas serve`: what follows a search."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli.common import Name, examples, load_experiment
from nas.cli.records import record_of
from nas.cli.searching import check_disk
from nas.errors import InputError
from nas.search.record import Record
from nas.search.search import Event
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("finalize", epilog=examples("nas finalize digits-conv"))(finalize)
    app.command("evaluate", epilog=examples("nas evaluate digits-conv"))(evaluate)
    app.command("track", epilog=examples("nas track digits-conv"))(track)
    app.command("serve", epilog=examples("nas serve"))(serve)


def finalize(experiment: Name) -> None:
    """Retrains the best architectures from scratch, chooses the winner on validation data, exports it.

    Goes on where it stopped. The result lies in data/models/EXPERIMENT.
    """
    from nas.final import finalize as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    check_disk(workspace)
    folder = run(loaded, workspace, listeners=[_announce])
    typer.echo(f"The winner of {loaded.name} is in {folder}. Next: nas evaluate {loaded.name}")


def _announce(event: Event) -> None:
    if event.what == "started":
        typer.echo(f"final {event.child} is trained on {event.slot}")
    elif event.what == "finished":
        typer.echo(f"final {event.child} is done")


def evaluate(experiment: Name) -> None:
    """Tests the winner and the baseline once on the test images; touches of the test set are counted.

    The result lies in data/reports/EXPERIMENT/evaluation.
    """
    from nas.final import evaluate as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    for name, value in run(loaded, workspace).items():
        if not isinstance(value, dict | list):
            typer.echo(f"{name:32} {value:.4f}" if isinstance(value, float) else f"{name:32} {value}")
    typer.echo(f"All of it: {workspace.reports(loaded.name) / 'evaluation'}")


def track(
    experiment: Name,
    uri: Annotated[
        str,
        typer.Option(help="The MLflow server; else MLFLOW_TRACKING_URI, else this workspace's own store."),
    ] = "",
) -> None:
    """Sends to MLflow what it lacks of an experiment's searches, e.g. after it was away.

    Repeating it changes nothing. A search that is running is followed already, and refused here.
    """
    from nas.tracking import Tracker

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    tracker = Tracker(workspace, uri or None)
    missing: InputError | None = None
    found = 0
    for seed in loaded.seeds:
        one = loaded.with_seed(seed)
        try:
            file, _ = record_of(one, workspace)
        except InputError as error:
            missing = error
            continue
        found += 1
        with Record.hold(file.path, file.definition) as record:
            added = tracker.sync(record, one)
            typer.echo(f"{loaded.name}, seed {seed}: {added} children added, {record.count()} are in MLflow")
    if missing is not None and not found:
        raise missing


def serve() -> None:
    """Runs the schedules in this one process, without a Prefect worker.

    They are the nightly search and the weekly pipeline. Ends with Ctrl-C.
    PREFECT_API_URL names the server; `make ui` starts one.
    """
    from flows import serve as schedules

    run: Any = schedules.main
    run()
