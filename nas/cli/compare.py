"""`nas compare`: controllers side by side on a table of trained networks."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nas.cli.common import AsJson, Track, examples, print_json, screen
from nas.errors import InputError, RefusedError, TemporaryError
from nas.workspace import Workspace

if TYPE_CHECKING:
    from nas.search.compare.compare import Compared
    from nas.search.compare.compare import Progress as Told
    from nas.search.compare.statistics import Difference, Summary

CURVE_COLUMNS = 8
"""Points of the curve that are printed; the files have them all."""


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "compare",
        epilog=examples(
            "nas compare nasbench201 --runs 50",
            "nas compare nasbench201 --controllers reinforce,ppo,evolution,random --budget-seconds 12000 "
            "--runs 500",
            "nas compare nasbench201 --controllers random,reinforce:learning_rate=0.1:children_per_round=5",
        ),
    )(compare)


def compare(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Name of a file tables/NAME.yaml, or a path to one.")
    ],
    controllers: Annotated[
        str,
        typer.Option(
            help="What to compare, with commas between: settings of the file by name, or controllers with "
            "their options behind colons. Default: all settings of the file."
        ),
    ] = "",
    budget_seconds: Annotated[
        list[float],
        typer.Option(
            help="Summed cost of a run's queries. May be repeated: a run goes on to the largest. Default: "
            "those of the file."
        ),
    ] = [],  # noqa: B006 - typer copies it
    runs: Annotated[int, typer.Option(min=1, help="Searches with each controller.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the first run; the others count on.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time, one thread each. Default: the cores.")
    ] = None,
    track: Track = True,
    as_json: AsJson = False,
) -> None:
    """Compares controllers by many searches in a table of trained networks.

    Each run is a search with a controller of its own, asked and told as in `nas search`, but without a
    record. Its clock is the summed cost of its queries, as the table has it; an architecture that is asked
    for again costs its time again. A run's answer is the best reward among the queries that ended within the
    budget; what is shown are the answer's reported columns: mean ± standard deviation over the runs, and for
    each pair of controllers the 95 % bootstrap interval of the difference of the means.

    Finished runs are kept in .state/tables.sqlite and not repeated; the budget is not part of what defines a
    run. Tables and the picture go to data/reports/compare-TABLE, and to MLflow.

    JSON: {"table", "runs", "first_seed", "budgets", "computed", "folder", "summary": [{"configuration",
    "budget_seconds", "mean": {column: number}, "std", "queries", "cpu_ms_per_query"}], "differences":
    [{"one", "other", "budget_seconds", "column", "mean", "low", "high"}], "curve": {"seconds": […], "mean":
    {configuration: {column: […]}}}}
    """
    from nas.report.comparison import PICTURE, write_comparison
    from nas.search.compare.compare import compare as run_all
    from nas.search.compare.comparison import load_comparison
    from nas.search.compare.statistics import curves, differences, summaries

    workspace = Workspace.here()
    loaded = load_comparison(_path(table, workspace))
    names = [word.strip() for word in controllers.split(",") if word.strip()] or list(loaded.controllers)
    budgets = budget_seconds or list(loaded.budget_seconds)
    if not budgets:
        raise InputError(f"'{loaded.name}' names no budget_seconds: say how many by --budget-seconds")
    if not all(0 < budget < math.inf for budget in budgets):
        raise InputError(f"--budget-seconds must be above 0. Received: {budgets}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    console = Console(stderr=True) if as_json else screen()
    with _bars(console) as told:
        compared = run_all(
            loaded, workspace, names, budgets, range(seed, seed + runs), processes or cores, told
        )
    found, between, curve = summaries(compared), differences(compared), curves(compared)
    folder = workspace.reports(f"compare-{loaded.name}")
    write_comparison(folder, compared, found, between)
    if track:
        from nas.tracking.comparisons import log_comparison

        try:
            log_comparison(workspace, loaded, compared, found, curve, folder / PICTURE)
        except (RefusedError, TemporaryError) as error:
            sys.stderr.write(f"nas: {error}\n")
    if as_json:
        seconds, means = curve
        print_json(
            {
                "table": loaded.name,
                "runs": runs,
                "first_seed": seed,
                "budgets": list(compared.budgets),
                "computed": compared.computed,
                "folder": str(folder),
                "summary": [asdict(one) for one in found],
                "differences": [asdict(one) for one in between],
                "curve": {
                    "seconds": seconds.tolist(),
                    "mean": {
                        name: {column: [_or_none(v) for v in values] for column, values in own.items()}
                        for name, own in means.items()
                    },
                },
            }
        )
        return
    _show(console, compared, found, between)
    _show_curve(console, compared, curve)
    console.print(
        f"{compared.computed} of {runs * len(names)} runs were computed now. Tables and picture: {folder}"
    )


def _path(name: str, workspace: Workspace) -> Path:
    looks_like_path = name.endswith((".yaml", ".yml")) or "/" in name
    return Path(name) if looks_like_path else workspace.tables / f"{name}.yaml"


@contextmanager
def _bars(console: Console) -> Iterator[Told]:
    """Shows progress: a bar for each configuration, or a line where nobody looks on."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        tasks: dict[str, Any] = {}

        def told(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(escape(name), total=total)
            bars.update(tasks[name], completed=done)
            if not console.is_terminal and done == total:
                console.print(f"{name}: {total} runs", markup=False)

        yield told


def _show(console: Console, compared: Compared, found: list[Summary], between: list[Difference]) -> None:
    columns = list(compared.results.columns.report) or ["reward"]
    for budget in compared.budgets:
        title = f"[bold]{budget:g} s[/], {len(compared.seeds)} runs: mean ± standard deviation"
        table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 1))
        table.add_column("controller")
        for column in [*columns, "queries", "CPU ms/query"]:
            table.add_column(escape(column), justify="right")
        for one in found:
            if one.budget_seconds == budget:
                table.add_row(
                    escape(one.configuration),
                    *(f"{one.mean[column]:.3f} ± {one.std[column]:.2f}" for column in columns),
                    f"{one.queries:.0f}",
                    f"{one.cpu_ms_per_query:.2f}",
                )
        console.print(table)
        own = [one for one in between if one.budget_seconds == budget and one.column == columns[0]]
        if own:
            console.print(_differences(own, columns[0]))
        console.print()


def _differences(between: list[Difference], column: str) -> Table:
    title = f"differences in {escape(column)}, with 95 % bootstrap intervals"
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 1))
    for name, justify in (("pair", "left"), ("difference", "right"), ("interval", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for one in between:
        table.add_row(
            escape(f"{one.one} − {one.other}"),
            f"{one.mean:+.3f}",
            f"{one.low:+.3f} … {one.high:+.3f}",
            "significant" if one.significant else "",
        )
    return table


def _show_curve(console: Console, compared: Compared, curve: tuple[Any, Any]) -> None:
    seconds, means = curve
    column = next(iter(compared.results.columns.report), "reward")
    table = Table(title=f"mean {escape(column)} of the best so far", title_justify="left", title_style="",
                  box=None, padding=(0, 1))  # fmt: skip
    table.add_column("seconds")
    step = len(seconds) // CURVE_COLUMNS
    points = range(step - 1, len(seconds), step)
    for point in points:
        table.add_column(f"{seconds[point]:.0f}", justify="right")
    for name, own in means.items():
        values = (own[column][point] for point in points)
        table.add_row(escape(name), *(f"{v:.2f}" if math.isfinite(v) else "–" for v in values))
    console.print(table)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
