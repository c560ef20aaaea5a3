"""What a search found, as tables: its leaderboard, its curve, and the files that DVC versions."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nas.errors import InputError
from nas.evaluation import RewardRule, Status
from nas.experiment import Experiment
from nas.search.folders import replaced, write_json
from nas.search.opening import snapshot_path
from nas.search.pareto import pareto_front
from nas.search.record import Record, best_children
from nas.workspace import Workspace

logger = logging.getLogger("nas")

LARGE_BYTES = 50e6
"""Size of a snapshot from which on it is said: DVC keeps each version, and `dvc push` sends it."""

COLUMNS = (
    "place",
    "child",
    "seed",
    "architecture",
    "reward",
    "score",
    "parameters",
    "multiply_adds",
    "latency_seconds",
    "seconds",
    "pareto",
)
"""Of a leaderboard; `seconds` is the child's training time, `pareto` whether no other scores better at less
cost (see `nas.search.pareto`)."""


def leaderboard(
    records: Sequence[Record], reward: RewardRule, count: int = 20, *, front: bool = True
) -> pd.DataFrame:
    """The best architectures of one search or of its repeats, best first.

    The scores are those of the search: a proxy that says which networks to retrain, not how good
    they are.

    Args:
        records: one for each seed.
        reward: the experiment's rule, which also tells the score.
        count: how many.
        front: mark the Pareto front, for which all results are read; else that column is left out.

    Returns:
        A table with the columns `COLUMNS`, each architecture once; and with `stack` if cells were trained in
        stacks of their own, each of which is another network.
    """
    best = {child.proposal.network for _, child in (pareto_front(records, reward) if front else ())}
    columns = [column for column in COLUMNS if front or column != "pareto"]
    rows = []
    for place, (record, child) in enumerate(best_children(records, count), start=1):
        result = child.result
        if result is None:
            continue  # best children have results; this tells the type checker
        rows.append(
            {
                "place": place,
                "child": child.number,
                "seed": record.definition["seed"],
                "architecture": child.proposal.architecture.text(),
                "stack": child.proposal.stack,
                "reward": result.reward,
                "score": reward.score(result),
                "parameters": result.parameters,
                "multiply_adds": result.multiply_adds,
                "latency_seconds": result.latency_seconds,
                "seconds": round(result.train_seconds, 3),
                "pareto": child.proposal.network in best,
            }
        )
    if any(row["stack"] for row in rows):
        columns.insert(columns.index("architecture") + 1, "stack")
    return pd.DataFrame(rows, columns=columns)


def curve(record: Record) -> pd.DataFrame:
    """How a search went, one row for each round that was learnt from.

    Returns:
        A table with `round`, `children` (so far), `reward/mean`, `reward/best`,
        `reward/best_so_far` and all statistics that the controller gave.
    """
    rows: list[dict[str, float]] = []
    best = -math.inf
    children = 0
    for done in record.batches():
        if done.statistics is None:
            continue
        named = dict(done.statistics)
        rewards = [child.reward for child in record.children(batch=done.number)]
        children += len(rewards)
        row: dict[str, float] = {"round": done.number, "children": children}
        if rewards:  # a batch without children (an epoch) earned nothing
            best = max([best, *rewards])
            row |= {"reward/mean": sum(rewards) / len(rewards), "reward/best": max(rewards)}
            named = {k: v for k, v in named.items() if k not in row}
        row |= {"reward/best_so_far": best} if math.isfinite(best) else {}
        rows.append({**row, **named})
    columns = ["round", "children", "reward/mean", "reward/best", "reward/best_so_far"]
    table = pd.DataFrame(rows)
    return table.reindex(columns=[*columns, *(name for name in table.columns if name not in columns)])


def mean_curve(records: Sequence[Record]) -> pd.DataFrame:
    """The curves of repeats averaged by round; `searches` tells over how many."""
    curves = pd.concat([curve(record) for record in records], ignore_index=True)
    averaged = curves.groupby("round", as_index=False).mean()
    averaged.insert(1, "searches", curves.groupby("round").size().to_numpy())
    return averaged


def metrics(experiment: Experiment, records: Sequence[Record]) -> dict[str, Any]:
    """A search in a few numbers, with the repeats taken together."""
    best = best_children(records, 1)
    result = best[0][1].result if best else None
    score = experiment.built_reward.score(result) if result else None
    last = [
        float(means.iloc[-1])
        for means in (curve(record)["reward/mean"].dropna() for record in records)
        if len(means)
    ]
    return {
        "children": sum(record.count() for record in records),
        "failed": sum(record.count("finished") - record.count(Status.OK) for record in records),
        "rounds": sum(record.count_batches() for record in records),
        "searches": len(records),
        "best_reward": None if result is None else result.reward,
        "best_score": score,
        "last_round_mean_reward": sum(last) / len(last) if last else None,
    }


def write_search_outputs(experiment: Experiment, workspace: Workspace, records: Sequence[Record]) -> None:
    """Writes what DVC versions of a search: `Workspace.search(name)`, replaced as a whole.

    It holds `records/` with the snapshot of each record, `leaderboard.csv` (top 20), `curve.csv` (by
    round, averaged over repeats) and `metrics.json`. Nothing in it tells when it was written.

    Args:
        experiment: with its seeds.
        workspace: where to write.
        records: the live record of each seed, in the order of the seeds.

    Raises:
        InputError: there is not one record for each seed.
    """
    seeds = [record.definition["seed"] for record in records]
    if seeds != list(experiment.seeds):
        raise InputError(
            f"the search '{experiment.name}' has the seeds {list(experiment.seeds)}, one record each. "
            f"Received: records of the seeds {seeds}"
        )
    folder = workspace.search(experiment.name)
    with replaced(folder) as fresh:
        for seed, record in zip(seeds, records, strict=True):
            target = snapshot_path(experiment.with_seed(seed), workspace)
            size = record.snapshot(fresh / target.relative_to(folder))
            if size > LARGE_BYTES:
                logger.info("the snapshot %s has %.0f MB, which DVC will keep", target, size / 1e6)
        table = leaderboard(records, experiment.built_reward)
        table.to_csv(fresh / "leaderboard.csv", index=False)
        mean_curve(records).to_csv(fresh / "curve.csv", index=False)
        write_json(fresh / "metrics.json", metrics(experiment, records))
