"""`nas report`: the page of one experiment, or of several side by side."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.common import Track, examples
from nas.cli.records import readable_experiment, record_of
from nas.errors import InputError, NasError
from nas.experiment import Experiment
from nas.search.record import Record
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "report",
        epilog=examples(
            "nas report digits-conv", "nas report digits-conv digits-random", "nas report digits-conv --watch"
        ),
    )(report)


def report(
    experiments: Annotated[
        list[str], typer.Argument(metavar="EXPERIMENT…", help="Names of experiments that were searched.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it to this file instead of data/reports/EXPERIMENT/page."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again and again while a search goes on.")
    ] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two times, with --watch.")] = 30,
    track: Track = True,
) -> None:
    """Writes a page with all that a search found: result, drawings, curves, every child, cost.

    It is one file that needs no network and no server. It is made of the records alone, so that it can be
    written while a search runs; an open page then loads the newer one by itself. Of several experiments
    the results stand side by side.

    The page and its pictures also go to the searches' runs in MLflow, unless it is watched.
    """
    workspace = Workspace.here()
    loaded = [readable_experiment(name, workspace) for name in experiments]
    repeated = {one.name for one in loaded if sum(other.name == one.name for other in loaded) > 1}
    if repeated:
        raise InputError(
            f"an experiment can stand on a page once. Received: {', '.join(sorted(repeated))} twice"
        )
    path = _write(loaded, workspace, to, round(every) if watch else 0)
    typer.echo(f"page  {path}")
    if track and not watch:
        _track(loaded, workspace, path)
    while watch and _goes_on(loaded, workspace):
        time.sleep(every)
        path = _write(loaded, workspace, to, round(every))
    if watch:
        _write(loaded, workspace, to, 0)  # the last one need not look for newer ones
        typer.echo("Nobody works on the search any more.")


def _write(experiments: Sequence[Experiment], workspace: Workspace, to: Path | None, refresh: int) -> Path:
    from nas.report.page import write, write_page
    from nas.report.results import gather

    def find(experiment: Experiment) -> Record:
        return record_of(experiment, workspace)[0].open()

    def named(name: str) -> Experiment:
        return readable_experiment(name, workspace)

    if to is None:
        return write(experiments, workspace, find, named, refresh)
    try:
        write_page([gather(one, workspace, find, named) for one in experiments], to, refresh)
    except OSError as error:
        raise InputError(f"the page can't be written to {to}: {error}") from error
    return to


def _goes_on(experiments: Sequence[Experiment], workspace: Workspace) -> bool:
    """Whether a process works on one of the searches now."""
    return any(
        record_of(experiment.with_seed(seed), workspace)[0].holder() is not None
        for experiment in experiments
        for seed in experiment.seeds
        if _was_begun(experiment.with_seed(seed), workspace)
    )


def _was_begun(experiment: Experiment, workspace: Workspace) -> bool:
    try:
        record_of(experiment, workspace)
    except InputError:
        return False
    return True


def _track(experiments: Sequence[Experiment], workspace: Workspace, page: Path) -> None:
    """Shows page and pictures in MLflow; what hinders that is only told."""
    from nas.report.tracked import attach

    def find(experiment: Experiment) -> Record:
        return record_of(experiment, workspace)[0].open()

    for experiment in experiments:
        try:
            attach(experiment, workspace, page, find)
        except NasError as error:
            sys.stderr.write(f"nas: the page is not in MLflow: {error}\n")
