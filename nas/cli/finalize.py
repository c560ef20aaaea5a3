"""`nas finalize`: retrains the best architectures and chooses the winner."""

from __future__ import annotations

import typer

from nas.cli.common import Name, Track, check_disk, examples, load_experiment, screen
from nas.cli.evaluate import stage_lines
from nas.cli.live import Monitor, followed
from nas.search.folders import read_json
from nas.search.rewards import shown
from nas.search.search import Search
from nas.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("finalize", epilog=examples("nas finalize digits-conv"))(finalize)


def finalize(experiment: Name, track: Track = True) -> None:
    """Retrains the best architectures from scratch, chooses the winner on validation data, exports it.

    Goes on where it stopped. The result lies in data/models/EXPERIMENT.

    With `final: {rings: [{top: 250, recipe: {epochs: 20}}, {top: 10, recipe: {epochs: 100}}], top: 3, …}` the
    best are retrained in widening rings first: 250 for 20 epochs, the best 10 of these for 100, and of these
    the best 3 as `final.recipe` and `final.grid` say. Each ring is a search of its own, as EXPERIMENT.ring1
    (`nas top EXPERIMENT.ring1`), and how well it agrees with the stage before is told as rank correlation.
    """
    from nas.final.finalists import stage_in_words, trained_stack
    from nas.final.finalize import finalize as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    check_disk(workspace)
    monitor = Monitor(screen())

    def advance(search: Search) -> None:
        if loaded.final.rings:
            typer.echo(f"{stage_in_words(loaded, search.experiment)}:")
        with followed(search, workspace, monitor, track):
            search.advance(search.experiment.budget)

    folder = run(loaded, workspace, listeners=[monitor], advance=advance)
    final = read_json(folder / "final.json")
    winner = final["winner"]
    typer.echo(f"winner  {winner['architecture']}")
    if stack := trained_stack(winner):
        typer.echo(f"stack   {stack}")
    typer.echo(f"score   {shown(winner['score'])} (validation)")
    if final.get("judged_by"):
        typer.echo(f"judged  by {final['judged_by']}")
    if winner.get("trained_again"):
        typer.echo(f"again   final {winner['number']} was trained again: its weights had been removed")
    if before := final.get("earlier_choice"):
        typer.echo(f"before  final {before['number']}, {before['architecture']}: {before['reason']}")
    for line in stage_lines(final):
        typer.echo(line)
    typer.echo(f"folder  {folder}")
    typer.echo(f"Next: nas evaluate {loaded.name}")
