"""`nas status`: all searches of the workspace, read without disturbing them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from nas.cli.common import (
    PROXY,
    AsJson,
    MaybeName,
    clock,
    examples,
    experiment_path,
    kind_of,
    load_experiment,
    print_json,
    screen,
)
from nas.cli.records import RecordFile, check_own_record, live_records, say_unreadable
from nas.cli.tables import number
from nas.errors import InputError, NasError, SearchError, nearest
from nas.evaluation import RewardRule, Status
from nas.search.rewards import rejudging
from nas.search.rows import Child
from nas.workspace import Workspace

WIDE_STATUS = 120
"""Columns of a screen on which the names of records have room."""


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("status", epilog=examples("nas status", "nas status digits-conv --json"))(status)


def status(experiment: MaybeName = "", as_json: AsJson = False) -> None:
    """Shows all searches of this workspace: their children, what runs now and where, who holds them.

    JSON: {"workspace", "searches": [{"experiment", "names", "seed", "record", "begun_at", "holder",
    "budget", "rounds", "children": {"proposed", "ok", …, "running", "waiting"}, "running": [{"child", "slot",
    "seconds", "architecture"}], "best": {"child", "reward", "proxy", "architecture"}, "last_update":
    {"round", "statistics"}}], "unreadable": [{"record", "reason"}]}
    """
    workspace = Workspace.here()
    files, unreadable = live_records(workspace)
    searches = []
    for file in files:
        if not experiment or experiment in file.names:
            try:
                searches.append(_state(file, workspace))
            except NasError as error:
                unreadable.append((file.path, str(error)))
    for path, reason in unreadable:
        say_unreadable(path, reason)
    if experiment:
        known = {name for file in files for name in file.names}
        mine = [file.path for file in files if experiment in file.names]
        for path, reason in unreadable:
            if path in mine and not searches:
                raise SearchError(reason)
        if not mine and experiment_path(experiment, workspace).is_file():
            loaded = load_experiment(experiment, workspace)
            for seed in loaded.seeds:
                check_own_record(loaded.with_seed(seed), workspace)
            raise InputError(f"'{experiment}' was not begun yet: `nas search {experiment}` begins it")
        if not mine:
            hint = nearest(experiment, known) if known else "none was begun here"
            raise InputError(f"no search is named '{experiment}' ({hint})")
    if as_json:
        broken = [{"record": str(path), "reason": reason} for path, reason in unreadable]
        print_json({"workspace": str(workspace.root), "searches": searches, "unreadable": broken})
        return
    if searches:
        _show_states(searches)
    else:
        typer.echo(f"No search was begun in {workspace.root} yet; `nas search EXPERIMENT` begins one.")


def _state(file: RecordFile, workspace: Workspace) -> dict[str, Any]:
    holder = file.holder()
    with file.open() as record:
        counts = {str(status): number for status, number in record.counts().items()}
        begun = record.running()
        proposed = record.count()
        running = begun if holder is not None else []
        unfinished = proposed - sum(counts.values())
        updates, last = record.count_batches(updated_only=True), record.last_update()
        best = next(iter(record.best(1, _rejudging(file, workspace))), None)
    return {
        "experiment": file.name,
        "names": file.names,
        "seed": file.seed,
        "record": str(file.path),
        "begun_at": file.begun_at,
        "holder": holder,
        "budget": file.experiment.get("budget", {}),
        "rounds": updates,
        "children": {
            "proposed": proposed,
            **counts,
            "running": len(running),
            "waiting": unfinished - len(running),
        },
        "running": [_running(child) for child in running],
        "best": None
        if best is None
        else {
            "child": best.number,
            "reward": best.result.reward if best.result else None,
            "proxy": kind_of(file.name) == PROXY,
            "architecture": best.proposal.architecture.text(),
        },
        "last_update": last and {"round": last.number, "statistics": last.statistics},
    }


def _rejudging(file: RecordFile, workspace: Workspace) -> RewardRule | None:
    """The rule that replaces the rewards of finals; None where they stand or can't be judged anew."""
    if kind_of(file.name) == PROXY:
        return None
    try:
        return rejudging(file.as_experiment(file.name, workspace))
    except (NasError, ValueError):
        return None


def _running(child: Child) -> dict[str, Any]:
    return {
        "child": child.number,
        "slot": child.slot,
        "seconds": round(time.time() - (child.started_at or time.time()), 1),
        "architecture": child.proposal.architecture.text(),
    }


def _show_states(searches: list[dict[str, Any]]) -> None:
    console = screen()
    table = Table(box=None, padding=(0, 1))
    wide = console.width >= WIDE_STATUS
    table.add_column("experiment", no_wrap=True)
    for name in ("seed", "children", "failed", "rounds"):
        table.add_column(name, justify="right")
    table.add_column("best reward", justify="right", min_width=len("(validation)"))
    table.add_column("mean of\nlast round", justify="right")
    table.add_column("state")
    if wide:
        table.add_column("record", no_wrap=True)
    for search in searches:
        children, budget = search["children"], search["budget"]
        failed = sum(children[str(status)] for status in Status if status is not Status.OK)
        target = f"/{budget['children']}" if budget.get("children") else ""
        statistics = (search["last_update"] or {}).get("statistics", {})
        table.add_row(
            escape((", " if wide else ",\n").join(search["names"])),
            str(search["seed"]),
            f"{children['ok'] + failed}{target}",
            str(failed),
            str(search["rounds"]),
            f"{number(search['best']['reward'])} ({kind_of(search['experiment'])})"
            if search["best"]
            else "–",
            number(statistics.get("reward/mean")),
            f"process {search['holder']} works on it" if search["holder"] else "rests",
            *[Path(search["record"]).parent.name] * wide,
        )
    console.print(table)
    for search in searches:
        for child in search["running"]:
            console.print(
                f"  {escape(search['experiment'])} seed {search['seed']}: child {child['child']} on "
                f"{child['slot']} for {clock(child['seconds'])}  {escape(child['architecture'])}"
            )
