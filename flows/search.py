"""Advances an experiment's search by at most some rounds: `python -m flows.search EXPERIMENT`.

The command starts one flow run after the other until the budget is used up, because a flow run with
thousands of tasks makes servers slow. A scheduled flow run stops after its rounds; the next goes on.
Whatever is killed when, nothing is lost: the record is the truth, and Prefect only shows it. When
Prefect's API goes away in the middle of a flow run, the flow run's other rounds are done without it, and
the command ends with code 75; the same command goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._advance import advance
from flows._runs import run, this_run
from nas.search.leaderboard import write_search_outputs
from nas.search.opening import open_search, record_path
from nas.search.record import Record
from nas.tracking import Tracker
from nas.workspace import Workspace

ROUNDS = 50
"""Of one flow run by default."""


@flow(name="search", flow_run_name="search {experiment}")
def search(
    experiment: str,
    children: int | None = None,
    rounds: int | None = None,
    hours: float | None = None,
    cost_seconds: float | None = None,
    seed: int | None = None,
    settings: dict[str, Any] | None = None,
    rounds_of_this_run: int = ROUNDS,
) -> bool:
    """Goes on with an experiment's search, or with its repeats one after the other.

    Args:
        experiment: name of a file `experiments/NAME.yaml`.
        children, rounds, cost_seconds: the search's budget instead of the file's; they count all that its
            record holds.
        hours: at most as long, counted from the start of this flow run and shared by all repeats.
        seed: one search with this seed, instead of the file's seeds.
        settings: values that replace the file's, by dotted key.
        rounds_of_this_run: it stops after as many rounds, over all repeats.

    Returns:
        Whether it stopped only because of `rounds_of_this_run`: another flow run has something to do.
    """
    chosen = _experiments.experiment(experiment, settings)
    named = {"children": children, "rounds": rounds, "hours": hours, "cost_seconds": cost_seconds}
    budget = chosen.budget.model_copy(update={key: value for key, value in named.items() if value})
    workspace, begun, left, more = Workspace.here(), time.monotonic(), rounds_of_this_run, False
    seeds = chosen.seeds if seed is None else (seed,)
    with this_run(f"experiment:{chosen.name}"):
        for one in map(chosen.with_seed, seeds):
            with open_search(one, workspace) as current, Tracker(workspace).follow(current):
                left -= advance(current, budget, left, begun)
                more = not current.loop(budget, begun_at=begun).over
            if more:
                break
        if seeds == chosen.seeds:
            write_outputs(experiment, settings)
    return more


@task(name="write-outputs", cache_policy=NO_CACHE)
def write_outputs(experiment: str, settings: dict[str, Any] | None) -> None:
    """Writes what DVC versions, as soon as every repeat was begun."""
    chosen, workspace = _experiments.experiment(experiment, settings), Workspace.here()
    paths = [record_path(chosen.with_seed(seed), workspace) for seed in chosen.seeds]
    if all(path.is_file() for path in paths):
        with ExitStack() as stack:
            records = [stack.enter_context(Record.read(path)) for path in paths]
            write_search_outputs(chosen, workspace, records)


def main(words: Sequence[str] | None = None) -> int:
    parser = _experiments.parser(__doc__)
    parser.add_argument("--children", type=int, help="go on until the record has as many children")
    parser.add_argument("--rounds", type=int, help="go on until it has as many rounds")
    parser.add_argument("--hours", type=float, help="go on for at most this long")
    parser.add_argument(
        "--cost-seconds", type=float, help="go on until the children's training took this long, together"
    )
    parser.add_argument("--seed", type=int, help="one search with this seed")
    arguments = parser.parse_args(words)

    def body() -> None:
        chosen = vars(arguments) | {"settings": _experiments.settings(arguments)}
        loaded = _experiments.experiment(arguments.experiment, chosen["settings"])
        begun, hours = time.monotonic(), arguments.hours or loaded.budget.hours
        while search(**chosen):
            if hours:  # of the command, not of each of its flow runs
                chosen["hours"] = max(1e-9, hours - (time.monotonic() - begun) / 3600)

    return run(body, lambda: _experiments.check(arguments))


if __name__ == "__main__":
    sys.exit(main())
