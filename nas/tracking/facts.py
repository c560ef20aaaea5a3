"""What of a record goes to MLflow, as plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nas.search.record import Record
from nas.search.rewards import shown
from nas.search.rows import Batch, Child
from nas.spaces import stack_in_words

Metric = tuple[str, float, int, int]
"""Name, value, milliseconds since the epoch, step."""


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as parameters with dotted names; what is neither text nor a number stands as JSON,
    a stack of cells in words.

    Example:
        >>> flattened({"recipe": {"name": "image", "epochs": 5}, "seed": 1, "empty": {}})
        {'recipe.name': 'image', 'recipe.epochs': '5', 'seed': '1'}
        >>> flattened({"stack": {"name": "cifar", "cells": 2, "filters": 8}}, "recipe.")
        {'recipe.stack': 'cifar 2@8'}
    """
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if key == "stack" and isinstance(value, Mapping):
            flat[f"{prefix}{key}"] = stack_in_words(value)
        elif isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def numbers(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a nested mapping with dotted names; lists and texts are left out.

    Example:
        >>> dict(numbers({"test": {"accuracy": 0.9, "best": True}, "confusion": [[1]]}))
        {'test.accuracy': 0.9}
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def child_parameters(child: Child) -> dict[str, str]:
    """Parameters of a child's run."""
    proposal = child.proposal
    return {
        "architecture": proposal.architecture.text(),
        "tokens": " ".join(map(str, proposal.tokens)),
        "depth": str(proposal.depth),
        "round": str(child.batch),
        "seed": str(child.seed),
        "policy_version": str(proposal.policy_version),
        **flattened(proposal.overrides, "recipe."),
    }


def child_tags(child: Child) -> dict[str, str]:
    """Tags of a child's run, for filters and for reading."""
    result = child.result
    tags = {
        "nas.child": str(child.number),
        "nas.round": str(child.batch),
        "nas.status": child.status,
        "nas.depth": str(child.proposal.depth),
        "nas.attempts": str(child.attempts),
        "nas.slot": child.slot or "",
        "nas.device": result.device if result else "",
        "nas.message": result.message if result else "",
        "nas.same_as": "" if child.same_as is None else str(child.same_as),
        "nas.stopped_early": "yes" if result and result.stopped_early else "",
    }
    return {key: value for key, value in tags.items() if value}


def child_metrics(child: Child, score: float | None, score_name: str) -> list[Metric]:
    """Metrics of a finished child: its curves by epoch (from 1) and what it came to.

    Args:
        child: with its result.
        score: the measured quality; None for a failed child.
        score_name: how it is called, so that nobody takes a proxy for a result.
    """
    result = child.result
    if result is None or child.finished_at is None:
        return []
    end = milliseconds(child.finished_at)
    clock = milliseconds(child.started_at or child.finished_at) + milliseconds(result.overhead_seconds)
    metrics: list[Metric] = []
    for step, epoch in enumerate(result.history, start=1):
        clock = min(end, clock + milliseconds(epoch.get("seconds", 0.0)))
        metrics += [(name, float(value), clock, step) for name, value in epoch.items()]
    whole = {
        "reward": result.reward,
        score_name: score,
        "parameters": result.parameters or None,  # a child that died early has measured nothing
        "multiply_adds": result.multiply_adds or None,
        "train_seconds": result.train_seconds,
        "overhead_seconds": result.overhead_seconds,
        "peak_memory_bytes": result.peak_memory_bytes or None,
        "log_probability": child.proposal.log_probability,
    }
    steps = len(result.history)
    return metrics + [(name, float(value), end, steps) for name, value in whole.items() if value is not None]


def round_metrics(done: Batch, children: Sequence[Child], best: float | None) -> list[Metric]:
    """Metrics of the search at one finished round: the update's statistics and how far it has come.

    Args:
        done: the round.
        children: those of the round.
        best: the highest reward up to and with this round; None while every child failed.
    """
    time = milliseconds(done.updated_at or done.sampled_at)
    values = {
        **(done.statistics or {}),
    }
    if children:  # an epoch has none
        values["children/finished"] = children[-1].number + 1
        failed = [child for child in children if child.result and not child.result.ok]
        values["children/failed_in_round"] = len(failed)
    if best is not None:
        values["reward/best_so_far"] = best
    return [(name, float(value), time, done.number) for name, value in values.items()]


def leaderboard(best: Sequence[Child], score: Callable[[Child], float | None], score_name: str) -> str:
    """The best children as JSON of MLflow's table artifacts (pandas' form `split`)."""
    columns = (
        f"place child round architecture reward {score_name} parameters multiply_adds train_seconds seed"
    )
    rows = [
        [
            place,
            child.number,
            child.batch,
            child.proposal.text,
            child.result.reward,
            score(child),
            child.result.parameters,
            child.result.multiply_adds,
            child.result.train_seconds,
            child.seed,
        ]
        for place, child in enumerate(best, start=1)
        if child.result is not None
    ]
    return json.dumps({"columns": columns.split(), "data": rows})


def page(experiment_id: str) -> str:
    """An experiment in MLflow's page as model training, behind the server's address.

    This version of the page ignores the tag `mlflow.experimentKind` and opens as for generative AI.
    """
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def note(about: str, name: str, final: bool, record: Record, experiment_id: str, drawing: str = "") -> str:
    """The description of a search's run: what it is, what it came to, its drawing, what to do next.

    Args:
        about: of the experiment.
        name: of the experiment that is searched.
        final: whether the record is that of the finals.
        record: of the search.
        experiment_id: in MLflow.
        drawing: address of the best architecture's drawing, relative to the server's; empty: there is none.
    """
    finished, well = record.count("finished"), record.count("ok")
    lines = [about, f"**Outcome:** {finished} children, {finished - well} of them failed."]
    for best in record.best(1):
        reward = shown(best.result.reward or 0.0) if best.result else "?"
        kind = "reward" if final else "reward (proxy)"
        lines.append(f"**Best {kind}:** {reward}, child {best.number}: `{best.proposal.text}`")
    if drawing:
        lines.append(f"![Drawing of the best architecture]({drawing})\n\n[The drawing alone]({drawing})")
    commands = [f"nas evaluate {name}"] if final else [f"nas top {name}", f"nas finalize {name}"]
    lines.append(
        "**Next:**\n\n" + "\n".join(f"    {command}" for command in [*commands, f"nas report {name}"])
    )
    lines.append(f"[All runs of this experiment]({page(experiment_id)})")
    return "\n\n".join(filter(None, lines))
