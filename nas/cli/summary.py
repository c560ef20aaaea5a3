"""`nas summary`: an experiment's outcome on one screen, beside random search and the baseline."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import typer
from rich.table import Table

from nas.cli.common import AsJson, Name, examples, print_json, screen
from nas.cli.evaluate import stage_lines, tested_lines
from nas.cli.records import readable_experiment, record_of
from nas.cli.tables import Row, leaderboard, number, rows_as_json, show_leaderboard
from nas.errors import InputError
from nas.experiment import Experiment
from nas.final.evaluations import checked_final, is_of_winner, read_evaluation
from nas.search.record import Record
from nas.workspace import Workspace

PLACES = 5


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("summary", epilog=examples("nas summary digits-conv"))(summary)


def summary(experiment: Name, as_json: AsJson = False) -> None:
    """Shows an experiment's outcome: leaderboard, the search beside it at equal budget, winner, baseline.

    JSON: {"searches": [{"experiment", "children", "failed", "best_reward", "mean_reward", "leaderboard"}],
    "evaluation": null or what evaluation.json holds}
    """
    workspace = Workspace.here()
    loaded = readable_experiment(experiment, workspace)
    searches = [_search(loaded, workspace)]
    if loaded.beside:
        try:
            searches.append(_search(readable_experiment(loaded.beside, workspace), workspace))
        except InputError as error:
            typer.echo(f"nas: nothing stands beside it: {error}", err=True)
    path = workspace.reports(loaded.name) / "evaluation" / "evaluation.json"
    evaluation = read_evaluation(path, workspace)
    if as_json:
        boards = [{**s, "leaderboard": rows_as_json(s["experiment"], s["leaderboard"])} for s in searches]
        print_json({"searches": boards, "evaluation": evaluation})
        return
    _show(loaded, workspace, searches, evaluation)


def _search(experiment: Experiment, workspace: Workspace) -> dict[str, Any]:
    """The searches of all seeds together."""
    files = [record_of(experiment.with_seed(seed), workspace)[0] for seed in experiment.seeds]
    with ExitStack() as stack:
        records = [(file.seed, stack.enter_context(file.open())) for file in files]
        rows: list[Row] = leaderboard(experiment, records, PLACES)
        finished = sum(record.count("finished") for _, record in records)
        return {
            "experiment": experiment.name,
            "children": finished,
            "failed": finished - sum(record.count("ok") for _, record in records),
            "best_reward": rows[0].reward if rows else None,
            "mean_reward": _mean_reward([record for _, record in records]),
            "leaderboard": rows,
        }


def _mean_reward(records: list[Record]) -> float | None:
    """The mean over all rounds that were learnt from."""
    means = [
        done.statistics["reward/mean"]
        for record in records
        for done in record.batches()
        if done.statistics is not None and "reward/mean" in done.statistics
    ]
    return sum(means) / len(means) if means else None


def _is_of_present_winner(
    experiment: Experiment, workspace: Workspace, evaluation: dict[str, Any] | None
) -> bool:
    path = workspace.models(experiment.name) / "final.json"
    return evaluation is None or not path.is_file() or is_of_winner(evaluation, checked_final(path))


def _show(
    experiment: Experiment,
    workspace: Workspace,
    searches: list[dict[str, Any]],
    evaluation: dict[str, Any] | None,
) -> None:
    console = screen()
    for search in searches:
        show_leaderboard(console, search["experiment"], search["leaderboard"])
        console.print()
    table = Table(box=None, padding=(0, 1))
    table.add_column("search")
    for column in ("children", "failed", "best reward\n(proxy)", "mean of all\nrounds (proxy)"):
        table.add_column(column, justify="right")
    for search in searches:
        best, mean = number(search["best_reward"]), number(search["mean_reward"])
        table.add_row(search["experiment"], str(search["children"]), str(search["failed"]), best, mean)
    console.print(table)
    console.print()
    if evaluation is None and experiment.recipe is None:
        typer.echo(
            f"Its children are looked up; what the table reports of the best: nas search {experiment.name}"
        )
    elif evaluation is None:
        typer.echo(f"Not tested yet: nas finalize {experiment.name}, then nas evaluate {experiment.name}")
        final = workspace.models(experiment.name) / "final.json"
        for line in stage_lines(checked_final(final)) if final.is_file() else ():
            typer.echo(line)
    else:
        try:
            lines = tested_lines(evaluation)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            path = workspace.reports(experiment.name) / "evaluation" / "evaluation.json"
            raise InputError(
                f"{path} is not what `nas evaluate` writes ({type(error).__name__}: {error})"
            ) from error
        if not _is_of_present_winner(experiment, workspace, evaluation):
            typer.echo(f"another winner was chosen since this test; nas evaluate {experiment.name} tests it:")
        for line in lines:
            typer.echo(line)
    page = workspace.reports(experiment.name) / "page" / "index.html"
    if page.is_file():
        typer.echo(f"page      {page}")
    best = searches[0]["leaderboard"]
    looks = [f"nas show {best[0].child} {experiment.name}"] if best else []
    typer.echo(f"\nLook next: {', '.join([*looks, f'nas top {experiment.name}', 'make ui'])}")
