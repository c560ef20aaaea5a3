"""`nas top`: the leaderboard of an experiment's search, its repeats together."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from nas.cli.common import AsJson, Name, chosen_seeds, examples, print_json, screen
from nas.cli.records import RecordFile, readable_experiment, record_of
from nas.cli.tables import front_line, leaderboard, rows_as_json, show_leaderboard
from nas.errors import InputError
from nas.experiment import Experiment
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "top",
        epilog=examples(
            "nas top digits-conv", "nas top digits-conv --pareto", "nas top digits-conv -n 3 --json"
        ),
    )(top)


def top(
    experiment: Name,
    size: Annotated[int, typer.Option("-n", min=1, help="Number of places.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Only the search with this seed.")] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Only the Pareto front of score and cost, cheapest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Shows the leaderboard of an experiment's search, its repeats together.

    Reward and score are a proxy: they rank short trainings. What the best are worth, `nas finalize` and
    `nas evaluate` tell. The sign ◆ marks the Pareto front: no other child scores better at the same cost or
    less. The cost is what the reward trades (`reward: {name: tradeoff, objective: latency, …}`), else the
    number of parameters.

    JSON: {"experiment", "definition": "present" or "former", "leaderboard": [{"place", "child", "seed",
    "reward", "score", "proxy", "parameters", "multiply_adds", "latency_seconds", "seconds", "pareto",
    "architecture", "stack"}]}
    """
    workspace = Workspace.here()
    loaded = readable_experiment(experiment, workspace)
    found = _found(loaded, workspace, seed)
    with ExitStack() as stack:
        records = [(file.seed, stack.enter_context(file.open())) for file, _ in found]
        rows = leaderboard(loaded, records, size, front_only=pareto)
    present = all(is_present for _, is_present in found)
    if as_json:
        definition = "present" if present else "former"
        print_json(
            {
                "experiment": loaded.name,
                "definition": definition,
                "leaderboard": rows_as_json(loaded.name, rows),
            }
        )
        return
    if not present:
        sys.stderr.write(
            f"nas: the file of '{loaded.name}' changed since; shown is the search of the former definition\n"
        )
    if rows:
        show_leaderboard(screen(), loaded.name, rows)
        typer.echo(front_line(loaded))
    else:
        typer.echo(f"No child of {loaded.name} has ended well yet.")


def _found(experiment: Experiment, workspace: Workspace, seed: int | None) -> list[tuple[RecordFile, bool]]:
    """The records of the chosen seeds; of repeats, those that were begun."""
    seeds = chosen_seeds(experiment, seed)
    found = []
    for one in seeds:
        try:
            found.append(record_of(experiment.with_seed(one), workspace))
        except InputError:
            if len(seeds) == 1 or (one == seeds[-1] and not found):
                raise
    return found
