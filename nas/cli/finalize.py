"""`nas finalize`: retrains the best architectures and chooses the winner."""

from __future__ import annotations

from contextlib import AbstractContextManager

import typer

from nas.cli.common import Name, Track, check_disk, examples, load_experiment, screen
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
