"""Leaderboards: the best children of searches as rows, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nas.cli.common import PROXY, clock, count, kind_of
from nas.definitions import canonical, part
from nas.experiment import Experiment
from nas.search.pareto import pareto_front
from nas.search.record import Record, best_children
from nas.search.rewards import rejudging, rule_of, shown
from nas.search.rows import Child

LEFT_OF_ARCHITECTURE = 90
"""Columns that the rest of a leaderboard may take."""

FRONT = "◆"
"""Marks a network on the Pareto front."""

_MEANING = {
    "proxy": "reward and score are a proxy: short trainings, not retrained networks",
    "validation": "networks retrained from scratch, on validation data",
}


@dataclass(frozen=True)
class Row:
    """One place of a leaderboard; reward, score and seconds are those of the child.

    Attributes:
        pareto: no other child scores better at less cost (see `nas.search.pareto`).
        stack: of its own, in which a cell was trained (`cifar 2@8`); empty: that of the recipe, or none.
    """

    place: int
    child: int
    seed: int
    reward: float | None
    score: float | None
    parameters: int
    multiply_adds: int
    latency_seconds: float | None
    seconds: float
    pareto: bool
    architecture: str
    stack: str = ""


def leaderboard(
    experiment: Experiment, records: Sequence[tuple[int, Record]], size: int, *, front_only: bool = False
) -> list[Row]:
    """The best children over an experiment's searches, each architecture once (its best child).

    The same places as in the table of `nas.search.leaderboard`, without importing pandas.

    Args:
        experiment: its reward rule gives the score.
        records: of its searches, with their seeds.
        size: number of places.
        front_only: the Pareto front instead, cheapest first.
    """
    rule = rule_of(experiment)
    seeds = {id(record): seed for seed, record in records}
    opened = [record for _, record in records]
    if front_only:
        front = pareto_front(opened, rule)
        places = front[:size]
    else:
        places = best_children(opened, size, rejudging(experiment))
        same = part("reward", experiment.reward.model_dump())
        rewarded_so = all(canonical(record.definition).get("reward") == same for record in opened)
        rewards = [child.reward for _, child in places]
        front = pareto_front(opened, rule, min(rewards, default=math.inf) if rewarded_so else None)
    best = {child.proposal.network for _, child in front}
    return [
        _row(place, seeds[id(record)], child, rule, child.proposal.network in best)
        for place, (record, child) in enumerate(places, 1)
    ]


def _row(place: int, seed: int, child: Child, rule: Any, pareto: bool) -> Row:
    result = child.result
    if result is None:
        raise ValueError(f"child {child.number} has no result")
    return Row(
        place=place,
        child=child.number,
        seed=seed,
        reward=result.reward,
        score=rule.score(result),
        parameters=result.parameters,
        multiply_adds=result.multiply_adds,
        latency_seconds=result.latency_seconds,
        seconds=round(result.train_seconds, 3),
        pareto=pareto,
        architecture=child.proposal.architecture.text(),
        stack=child.proposal.stack,
    )


def show_leaderboard(console: Console, name: str, rows: Sequence[Row]) -> None:
    """Prints the leaderboard of the experiment `name`; with seeds only where there are several.

    Where the screen is too narrow for them, architectures stand below the table, unbroken by it.
    """
    kind = kind_of(name)
    several = len({row.seed for row in rows}) > 1
    title = f"[bold]{escape(name)}[/]\n{_MEANING[kind]}"
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 1))
    names = ["place", f"reward\n({kind})", f"score\n({kind})", "parameters", "multiply-\nadds"]
    stacked = any(row.stack for row in rows)
    timed = any(row.latency_seconds is not None for row in rows)
    for column in [*names, *["latency"] * timed, "training", "child", *["seed"] * several]:
        table.add_column(column, justify="right")
    if stacked:
        table.add_column("stack")
    cells = [
        [f"{FRONT * row.pareto} {row.place}", number(row.reward), number(row.score), count(row.parameters)]
        + [count(row.multiply_adds)]
        + [_milliseconds(row.latency_seconds)] * timed
        + [clock(row.seconds), str(row.child)]
        + [str(row.seed)] * several
        + [escape(row.stack)] * stacked
        for row in rows
    ]
    widest = max((len(row.architecture) for row in rows), default=0)
    wide = console.width >= LEFT_OF_ARCHITECTURE + widest
    if wide:
        table.add_column("architecture", no_wrap=True)
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*line, *[escape(row.architecture)] * wide)
    console.print(table)
    if not wide:
        for row in rows:
            console.print(f"{row.place:>6}  {row.architecture}", soft_wrap=True, markup=False)


def front_line(experiment: Experiment) -> str:
    """What the sign of the Pareto front means."""
    cost = experiment.built_reward.objective.replace("_", "-")
    return f"{FRONT} on the Pareto front: of all children none with as few {cost} or less scores better"


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.3g} ms"


def number(value: float | None) -> str:
    """A reward or score for people."""
    return "–" if value is None else shown(value)


def rows_as_json(name: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON, each with the mark whether its values are a proxy."""
    return [{**asdict(row), "proxy": kind_of(name) == PROXY} for row in rows]
