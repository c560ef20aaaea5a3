"""`nas scale`: retrains a found cell at several sizes, and tells what each size is worth."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nas import winner
from nas.cli.common import Track, clock, count, examples, experiment_path, load_experiment, screen
from nas.cli.records import record_of
from nas.cli.search import search
from nas.errors import InputError
from nas.experiment import Experiment, load, read_yaml, winner_text
from nas.search.rewards import rule_of, shown
from nas.spaces import overrides_in_words, parse_architecture
from nas.workspace import Workspace

Cell = Annotated[
    str,
    typer.Argument(metavar="CELL", help="The text form of a cell, or winner:EXPERIMENT.", show_default=False),
]
From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="EXPERIMENT",
        help="Whose data, recipe and stack it stands on; that of winner:EXPERIMENT if it is not named.",
        show_default=False,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="Of each training, in place of those of the finals.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file of this name that says something else.")]


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "scale",
        epilog=examples(
            "nas scale winner:digits-cells --sizes 2@8,3@16,4@24",
            "nas scale nasnet:nasnet-a --from cifar10-nasnet --sizes 4@16,6@32 --epochs 100 --name nasnet-a",
            "nas scale winner:digits-cells --sizes 2@8,3@16,4@24 --force",
        ),
    )(scale)


def scale(
    cell: Cell,
    sizes: Annotated[
        str,
        typer.Option(
            metavar="N@F,…",
            help="N normal cells in each part, F filters in the first: NASNet-A (6 @ 768) is 6@32.",
            show_default=False,
        ),
    ],
    source: From = "",
    epochs: Epochs = None,
    name: Annotated[
        str,
        typer.Option(
            help="Of the experiment that is made; EXPERIMENT-scaled if it is not named.", show_default=False
        ),
    ] = "",
    force: Force = False,
    track: Track = True,
) -> None:
    """Retrains a cell at several sizes, and shows accuracy against parameters and multiply-adds.

    It writes an ordinary experiment, experiments/NAME.yaml, whose list has the cell once for each size, and
    runs it as `nas search` does: stopped or killed, the same command goes on. The recipe is that of the
    finals of EXPERIMENT, for winner:EXPERIMENT at the point of their grid that won (for another cell, and
    with --from another experiment, without their grid). Everything else works as for any experiment:
    `nas top NAME`, `nas report NAME`, `nas finalize NAME` and `nas evaluate NAME` for the best of the sizes.

    Accuracy is that on validation data; the test data are not touched. On data sets of the paper, its
    published results stand beside it, as published.
    """
    from nas.final import scaling

    workspace = Workspace.here()
    chosen = scaling.parse_sizes(sizes)
    text, source = checked_cell(cell, source, workspace)
    tree, recipe_of = finals_of(source, text, workspace)
    told = ", ".join(f"{size.cells}@{size.filters}" for size in chosen)
    about = f"{text} at {told}, as {source} trains its finals"
    made = scaling.scaled(tree, text, chosen, about=about, epochs=epochs)
    name = name or f"{Path(source).stem}-scaled"
    options = {"--from": source, "--sizes": sizes, "--epochs": epochs, "--name": name}
    command = written_out("scale", text, options)
    run(name, made, command, workspace, recipe_of=recipe_of, force=force, track=track)


def checked_cell(cell: str, source: str, workspace: Workspace) -> tuple[str, str]:
    """What stands for a cell in an experiment's file, and the experiment that it stands on.

    Raises:
        InputError: it is no cell, or nothing tells that experiment.
    """
    from nas.final.scaling import check_cell

    winning = winner.experiment_of(cell)
    architecture = parse_architecture(cell if winning is None else winner_text(winning, workspace))
    check_cell(architecture)
    if not (source or winning):
        raise InputError("--from names the experiment whose data, recipe and stack a cell's text stands on")
    return (architecture.text() if winning is None else cell.strip()), source or str(winning)


def finals_of(source: str, cell: str, workspace: Workspace) -> tuple[dict[str, Any], str]:
    """The YAML of an experiment as its finals train `cell`, and whose recipe that is, in words.

    Its own winner is trained at the point of the grid that won; any other cell without the grid.
    """
    from nas.final.scaling import at_point

    tree = read_yaml(experiment_path(source, workspace), "no experiment")
    winning = winner.experiment_of(cell)
    if winning != Path(source).stem:
        return tree, f"the finals of {source}"
    point = winner.winning_point(winning, workspace)
    at = f" at the point of their grid that won: {overrides_in_words(point)}" if point else ""
    return at_point(tree, point), f"the finals of {source}{at}"


def written_out(command: str, cell: str, options: Mapping[str, Any]) -> str:
    """A command with all options that have a value, as one types it into a shell.

    Example:
        >>> written_out("scale", "winner:digits-cells", {"--sizes": "2@8, 3@16", "--epochs": None})
        "nas scale winner:digits-cells --sizes '2@8, 3@16'"
    """
    given = ((option, str(value)) for option, value in options.items() if value not in (None, ""))
    return shlex.join(["nas", command, cell, *chain.from_iterable(given)])


def run(
    name: str,
    tree: Mapping[str, Any],
    command: str,
    workspace: Workspace,
    *,
    recipe_of: str,
    force: bool,
    track: bool,
) -> None:
    """Writes an experiment unless it is there, searches it, and shows its sizes.

    Raises:
        InputError: it can't be, or a file of this name says something else.
    """
    from nas.final import scaling

    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise InputError(
            f"the name of an experiment has letters, digits, '.', '_' and '-'. Received: {name!r}"
        )
    path = workspace.experiments / f"{name}.yaml"
    with tempfile.TemporaryDirectory() as folder:  # what can't be read isn't left behind
        scaling.write(Path(folder) / path.name, tree, command)
        load(Path(folder) / path.name, workspace=workspace)
    fresh = scaling.write(path, tree, command, recipe_of=recipe_of, force=force)
    typer.echo(f"{'wrote' if fresh else 'goes on with'} {path}")
    search(name, [], None, None, None, None, None, track)
    show_sizes(load_experiment(name, workspace), workspace)


def show_sizes(experiment: Experiment, workspace: Workspace) -> None:
    """Prints score against parameters and multiply-adds, by size, and what was published on the same data."""
    from nas import datasets
    from nas.datasets import PreparedImages
    from nas.report.published import SOURCE, published_on

    console, rule = screen(), rule_of(experiment)
    metric = rule.metric.removeprefix("val_").replace("_", " ")
    file, _ = record_of(experiment.with_seed(experiment.seeds[0]), workspace)
    table = _table(
        f"[bold]{escape(experiment.name)}[/]\nby size, on validation data", f"validation\n{metric}"
    )
    with file.open() as record:
        for child in record.children(finished_only=True):
            done = child.result
            if done is None:
                continue
            score = rule.score(done)
            table.add_row(
                escape(child.proposal.stack),
                count(done.parameters),
                count(done.multiply_adds),
                shown(score) if score is not None else str(done.status).replace("_", " "),
                str(len(done.history)),
                clock(done.train_seconds),
            )
    console.print(table)
    data = datasets.load(workspace.prepared(experiment.data.name))
    classes = len(data.classes) if isinstance(data, PreparedImages) else 0
    if found := published_on(experiment.data.source, experiment.data.name, classes):
        published = _table(
            f"published on {found[0].data}, not trained here\n{SOURCE}", "accuracy\nas published", own=False
        )
        for one in found:
            adds = "–" if one.multiply_adds is None else count(int(one.multiply_adds))
            published.add_row(one.model, count(int(one.parameters)), adds, f"{one.accuracy:.4f}")
        console.print(published)


def _table(title: str, score: str, *, own: bool = True) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 1))
    table.add_column("stack N@F" if own else "network")
    for column in ("parameters", "multiply-\nadds", score, *(["epochs", "training"] if own else [])):
        table.add_column(column, justify="right")
    return table
