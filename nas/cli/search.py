"""`nas search`: runs or goes on with the searches of an experiment, and shows them live."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nas.cli.common import (
    Name,
    Settings,
    Track,
    check_disk,
    chosen_seeds,
    examples,
    experiment_path,
    load_experiment,
    screen,
)
from nas.cli.live import Monitor, followed
from nas.cli.process import Stopped
from nas.cli.records import RecordFile, changed_definition, differences, readable_records
from nas.cli.tables import leaderboard, show_leaderboard
from nas.dialects import read_otherwise
from nas.errors import InputError
from nas.experiment import Budget, Experiment
from nas.search.opening import open_search
from nas.search.record import Record
from nas.search.rows import Child
from nas.search.search import Search
from nas.workspace import Workspace

SHOWN_CHANGES = 8
VALUE_LENGTH = 60
PLACES = 10
# What may change between two runs of one search without making it another search.
FREE_SETTINGS = ("budget", "workers", "final", "beside")


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "search",
        epilog=examples(
            "nas search digits-conv",
            "nas search digits-conv --children 48",
            "nas search cifar10-hour --hours 1 --seed 3",
            "nas search digits-conv --set recipe.epochs=10",
        ),
    )(search)


def search(
    experiment: Name,
    settings: Settings = [],  # noqa: B006 - typer copies it
    children: Annotated[
        int | None, typer.Option(min=1, help="Go on until the record has this many children.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Go on until it has this many rounds.")] = None,
    hours: Annotated[float | None, typer.Option(help="Go on for at most this long.")] = None,
    cost_seconds: Annotated[
        float | None, typer.Option(help="Go on until the children's training took this long, together.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="One search with this seed, instead of the file's seeds.")
    ] = None,
    track: Track = True,
) -> None:
    """Runs an experiment's search, or goes on with it where it stopped.

    Limits that are not named stay as the file has them; the first that is reached ends the search. A larger
    limit goes on with the same record; changing what defines the search (--set) begins a record of its own.
    Ctrl-C and SIGTERM end it cleanly; even after a kill, the same command goes on.
    """
    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace, settings)
    for line in read_otherwise(experiment_path(experiment, workspace)):
        sys.stderr.write(f"nas: {line}\n")
    named = {"children": children, "rounds": rounds, "hours": hours, "cost_seconds": cost_seconds}
    for option, limit in (("--hours", hours), ("--cost-seconds", cost_seconds)):
        if limit is not None and not limit > 0:  # NaN isn't either
            raise InputError(f"{option} must be more than 0. Received: {limit:g}")
    budget = Budget(**{**loaded.budget.model_dump(), **{k: v for k, v in named.items() if v is not None}})
    loaded = loaded.model_copy(update={"budget": budget})
    check_disk(workspace)
    console = screen()
    paths = [
        (one, _run(loaded.with_seed(one), workspace, console, track)) for one in chosen_seeds(loaded, seed)
    ]
    with ExitStack() as stack:
        records = [(one, stack.enter_context(Record.read(path))) for one, path in paths]
        rows = leaderboard(loaded, records, PLACES)
        show_leaderboard(console, loaded.name, rows)
        if rows:
            best = next(record for one, record in records if one == rows[0].seed).child(rows[0].child)
            console.print(_next_line(loaded, workspace, best), markup=False)


def _next_line(experiment: Experiment, workspace: Workspace, best: Child) -> str:
    """What to do with the best child; a table has trained it already and says what it is worth."""
    if experiment.recipe is not None:
        return f"Next: nas show {best.number} {experiment.name}, nas finalize {experiment.name}"
    from nas.tables.evaluator import reported

    values = reported(experiment, workspace.prepared(experiment.data.name), best.proposal)
    found = ", ".join(f"{name} {value:.5g}" for name, value in values.items())
    return f"The table reports of child {best.number}: {found or 'nothing (evaluator.report names columns)'}"


def _run(experiment: Experiment, workspace: Workspace, console: Console, track: bool) -> Path:
    monitor = Monitor(console)
    before = readable_records(workspace)
    with open_search(experiment, workspace, listeners=[monitor]) as running:
        record = running.record
        try:
            for line in _opening_lines(running, workspace, before):
                typer.echo(line)
            if not running.loop(experiment.budget).over:
                with followed(running, workspace, monitor, track):
                    running.advance(experiment.budget)
        except Stopped:
            typer.echo(f"{experiment.name}, seed {experiment.seed}: {_standing(record, experiment.budget)}")
            raise
        typer.echo(f"{experiment.name}, seed {experiment.seed}: {_ending(record, experiment.budget)}")
        return record.path


def _opening_lines(running: Search, workspace: Workspace, before: list[RecordFile]) -> list[str]:
    """What was found: this search's own record, and others of the experiment with another definition."""
    experiment, record = running.experiment, running.record
    own = [file for file in before if file.path == record.path]
    others = [
        file
        for file in before
        if file.path != record.path and experiment.name in file.names and file.seed == experiment.seed
    ]
    title = f"{experiment.name}, seed {experiment.seed}"
    if not own and not record.count():
        lines = [f"{title}: begins with no children; its record is {record.path.parent}"]
    else:
        lines = [f"{title}: goes on: {_standing(record, experiment.budget)}"]
    for file in own:
        if alike := [name for name in file.names if name != experiment.name]:
            lines.append(f"  its definition equals that of {', '.join(alike)}, so they share one search")
        now = experiment.model_dump(mode="json")
        changes = differences(
            {key: file.experiment.get(key) for key in FREE_SETTINGS}, {key: now[key] for key in FREE_SETTINGS}
        )
        lines += [f"  applied: {line}" for line in _change_lines(changes)]
    if others and not own:
        latest = others[-1]
        threads = int(record.definition["threads"])
        lines.append("  differs from the record before, so it is another search:")
        lines += [
            f"    {line}"
            for line in _change_lines(changed_definition(latest, experiment, workspace, threads))
        ]
        lines.append(f"  the old record is kept whole: {latest.path.parent}")
    elif others:
        lines.append(f"  {len(others)} of another definition kept beside it; `nas status` lists them")
    return lines


def _change_lines(changes: dict[str, tuple[Any, Any]]) -> list[str]:
    lines = [f"{key}: {_value(old)} → {_value(new)}" for key, (old, new) in changes.items()]
    more = len(lines) - SHOWN_CHANGES
    return lines if more <= 0 else [*lines[:SHOWN_CHANGES], f"… and {more} more"]


def _value(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 1] + "…"


def _standing(record: Record, budget: Budget) -> str:
    of = f" of {budget.children}" if budget.children else ""
    return f"{record.count('finished')}{of} children are there"


def _ending(record: Record, budget: Budget) -> str:
    """Why the search ends here."""
    limits = [f"{value:g} {name}" for name, value in budget.model_dump().items() if value]
    failed = record.count("finished") - record.count("ok")
    ending = f", {failed} of them failed" if failed else ""
    rounds = record.count_batches()
    done = f"{record.count('finished')} children in {rounds} round{'s' * (rounds != 1)}{ending}"
    return f"done: {done} (budget: {', '.join(limits)})"
