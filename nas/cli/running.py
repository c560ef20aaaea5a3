"""`nas finalize`, `nas evaluate`, `nas track` and `nas serve`: what follows a search."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer

from nas.cli.common import Name, Track, examples, load_experiment, screen
from nas.cli.live import Monitor
from nas.cli.records import RecordFile, readable_records, record_of
from nas.cli.searching import check_disk, followed
from nas.errors import InputError
from nas.experiment import FINAL_SUFFIX, Experiment
from nas.search.folders import read_json
from nas.search.record import Record
from nas.search.rewards import shown
from nas.search.search import Search
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("finalize", epilog=examples("nas finalize digits-conv"))(finalize)
    app.command("evaluate", epilog=examples("nas evaluate digits-conv"))(evaluate)
    app.command("track", epilog=examples("nas track digits-conv"))(track)
    app.command("serve", epilog=examples("nas serve"))(serve)


def finalize(experiment: Name, track: Track = True) -> None:
    """Retrains the best architectures from scratch, chooses the winner on validation data, exports it.

    Goes on where it stopped. The result lies in data/models/EXPERIMENT.
    """
    from nas.final.finalize import finalize as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    check_disk(workspace)
    monitor = Monitor(screen())

    def follow(search: Search) -> AbstractContextManager[None]:
        return followed(search, workspace, monitor, track)

    folder = run(loaded, workspace, listeners=[monitor], follow=follow)
    final = read_json(folder / "final.json")
    winner = final["winner"]
    typer.echo(f"winner  {winner['architecture']}")
    typer.echo(f"score   {shown(winner['score'])} (validation)")
    if final.get("judged_by"):
        typer.echo(f"judged  by {final['judged_by']}")
    if winner.get("trained_again"):
        typer.echo(f"again   final {winner['number']} was trained again: its weights had been removed")
    if before := final.get("earlier_choice"):
        typer.echo(f"before  final {before['number']}, {before['architecture']}: {before['reason']}")
    typer.echo(f"folder  {folder}")
    typer.echo(f"Next: nas evaluate {loaded.name}")


Again = Annotated[
    bool, typer.Option("--again", help="Touch the test data once more, which is counted and shown.")
]


def evaluate(experiment: Name, track: Track = True, again: Again = False) -> None:
    """Tests the winner and the baseline once on the test data; touches of the test data are counted.

    The result lies in data/reports/EXPERIMENT/evaluation; the winner is registered in MLflow.
    """
    from nas.final.evaluate import evaluate as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    result = run(loaded, workspace, again=again)
    for line in tested_lines(result):
        typer.echo(line)
    typer.echo(f"folder    {workspace.reports(loaded.name) / 'evaluation'}")
    if track:
        typer.echo(f"MLflow    {_register(loaded, workspace, result)}")


def tested_lines(evaluation: dict[str, Any]) -> list[str]:
    """What a test found, for people."""
    test, rank = evaluation["test"], evaluation["rank_correlation"]
    lines = [
        f"winner    {evaluation['architecture']}",
        f"test      {_interval(test['winner'])} {test['metric'].replace('_', ' ')}, {test['examples']:,} "
        f"{test['unit']}, touched {_times(test['touches'])}",
    ]
    if "test_set" in evaluation:
        lines[-1] += " for this winner"
        by_all = evaluation["test_set"]["touches"]
        lines.append(f"test set  touched {_times(by_all)} by all experiments on these data")
    if test["baseline"] is not None:
        lines.append(f"baseline  {_interval(test['baseline'])}")
    tau = rank["reason"]
    if rank["kendall_tau"] is not None:
        tau = f"{rank['kendall_tau']:.2f} (over {rank['n']} architectures)"
    lines.append(f"Kendall's tau of search reward and final score: {tau}")
    if not evaluation.get("judged_by"):
        lines.append(JUDGED_OTHERWISE)
    return lines


JUDGED_OTHERWISE = (
    "An earlier version judged the finals by the best of their last epochs, whose weights were not kept: "
    "nas finalize judges by those that are saved."
)


def _times(count: int) -> str:
    return "1 time" if count == 1 else f"{count} times"


def _interval(measured: dict[str, float]) -> str:
    value, low, high = (shown(measured[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} – {high} at 95 %)"


def _register(experiment: Experiment, workspace: Workspace, evaluation: dict[str, Any]) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the model is loaded here, by a chatty library
    from nas import datasets
    from nas.tracking import Tracker

    data = datasets.load(workspace.prepared(experiment.data.name))
    folder = workspace.models(experiment.name)
    return Tracker(workspace).register_winner(folder, experiment, data, evaluation)


def track(experiment: Name) -> None:
    """Sends to MLflow what it lacks of an experiment's searches, finals and winner, e.g. after it was away.

    Repeating it changes nothing. A search that is running is followed already, and refused here.
    """
    from nas.final.touches import checked_final, is_of_winner, read_evaluation
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
        if path.is_file() and not is_of_winner(result, checked_final(path)):
            typer.echo(f"winner: another one was chosen since the test; nas evaluate {loaded.name} tests it")
            return
        typer.echo(f"winner: {_register(loaded, workspace, result)}")
    if page := tracker.page(loaded):
        typer.echo(f"page: {page}")


def _tracked_files(experiment: Experiment, workspace: Workspace) -> list[tuple[str, RecordFile]]:
    """The live records of an experiment's searches and of its finals, each with its name here.

    Raises:
        InputError: none of its searches was begun here.
    """
    names = (experiment.name, experiment.name + FINAL_SUFFIX)
    live = readable_records(workspace)
    files = [(name, file) for name in names for file in live if name in file.names]
    if not any(name == experiment.name for name, _ in files):
        file, _ = record_of(experiment.with_seed(experiment.seeds[0]), workspace)
        raise InputError(
            f"only the snapshot {file.path} of '{experiment.name}' is here; `nas search {experiment.name}` "
            "goes on from it and tracks it"
        )
    return files


def serve() -> None:
    """Runs the schedules in this one process, without a Prefect worker.

    They are those of prefect.yaml: the nightly search and the weekly pipeline, one at a time. Ends with
    Ctrl-C. PREFECT_API_URL names the server; without it, one on this machine is used or started.
    """
    from flows import serve as schedules

    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio knows no other exception
    raise typer.Exit(schedules.main())
