"""Advances an experiment's search by at most some rounds: `python -m flows.search EXPERIMENT`.

The command starts one flow run after the other until the budget is used up, because a flow run with
thousands of tasks makes servers slow. A scheduled flow run stops after its rounds; the next goes on.
Whatever is killed when, nothing is lost: the record is the truth, and Prefect only shows it. When
Prefect's API goes away in the middle of a flow run, the search goes on without it to the end of the
budget, and the command ends with code 75.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import httpx
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._page import Page
from flows._round import OPEN, run_round
from flows._runs import run, this_run, was_stopped
from flows._settings import logger
from nas.experiment import Budget, fingerprint
from nas.search.leaderboard import write_search_outputs
from nas.search.opening import open_search, record_path
from nas.search.record import Record
from nas.search.search import Search, room
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
    seed: int | None = None,
    settings: dict[str, Any] | None = None,
    rounds_of_this_run: int = ROUNDS,
) -> bool:
    """Goes on with an experiment's search, or with its repeats one after the other.

    Args:
        experiment: name of a file `experiments/NAME.yaml`.
        children, rounds: the search's budget instead of the file's; they count all that its record holds.
        hours: at most as long, counted from the start of this flow run.
        seed: one search with this seed, instead of the file's seeds.
        settings: values that replace the file's, by dotted key.
        rounds_of_this_run: it stops after as many rounds, over all repeats.

    Returns:
        Whether it stopped only because of `rounds_of_this_run`: another flow run has something to do.
    """
    chosen = _experiments.experiment(experiment, settings)
    named = {"children": children, "rounds": rounds, "hours": hours}
    budget = chosen.budget.model_copy(update={key: value for key, value in named.items() if value})
    workspace, begun, left, more = Workspace.here(), time.monotonic(), rounds_of_this_run, False
    seeds = chosen.seeds if seed is None else (seed,)
    with this_run(f"experiment:{chosen.name}"):
        for one in map(chosen.with_seed, seeds):
            with open_search(one, workspace) as current, Tracker(workspace).follow(current):
                left -= _advance(current, budget, left, begun)
                more = room(current.record, budget, time.monotonic() - begun) > 0
            if more:
                break
        if seeds == chosen.seeds:
            write_outputs(experiment, settings)
    return more


def _advance(current: Search, budget: Budget, at_most: int, begun: float) -> int:
    """Runs rounds until the budget is used up, `at_most` of them; returns how many."""
    record, page = current.record, Page(current, budget)
    name = fingerprint(record.definition)
    threads = current.experiment.search.children_per_round
    open_round = record.open_round()
    first = open_round.number if open_round else len(record.rounds())
    OPEN[name] = current
    try:
        for number in range(first, first + at_most):
            seconds = time.monotonic() - begun
            if (left := room(record, budget, seconds)) <= 0:
                page.close()
                return number - first
            if number == first:
                getattr(current.evaluator, "warm_up", lambda: None)()
            earned = run_round(name, number, None if left == float("inf") else int(left), threads)
            logger.info("%s", told(current, number, earned))
            page.show((time.monotonic() - begun) / 3600)
        page.close()
        return at_most
    except BaseException as error:
        if not isinstance(error, httpx.HTTPError) or was_stopped(error):
            current.evaluator.close()  # nothing that follows may keep children running
            raise
        logger.warning("Prefect's API is away (%s); the search goes on without it", error)
        current.advance(budget)
        raise
    finally:
        del OPEN[name]


def told(current: Search, number: int, earned: Mapping[str, float]) -> str:
    """A round in a line."""
    best = current.record.best(1)
    so_far = f"best {best[0].result.reward:.4f} (child {best[0].number})" if best and best[0].result else ""
    return (
        f"{current.experiment.name}, seed {current.experiment.seed}, round {number}: "
        f"{current.record.count('finished')} children, reward {earned['mean']:.4f} on average, {so_far}"
    )


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
    parser.add_argument("--seed", type=int, help="one search with this seed")
    arguments = parser.parse_args(words)

    def body() -> None:
        chosen = vars(arguments) | {"settings": _experiments.settings(arguments)}
        _experiments.experiment(chosen["experiment"], chosen["settings"])  # wrong input is told at once
        begun = time.monotonic()
        while search(**chosen):
            if arguments.hours:
                chosen["hours"] = max(1e-9, arguments.hours - (time.monotonic() - begun) / 3600)

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
