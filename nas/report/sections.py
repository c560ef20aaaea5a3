"""How an experiment went, for its page: at equal budget, its leaderboard, cost, and how to repeat it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nas.report.curves import running_window
from nas.report.drawings import draw_decisions
from nas.report.drawings.svg import inline
from nas.report.formatting import counted, duration, measured, plain, with_interval
from nas.report.html import around, element, folded, table
from nas.report.published import SOURCE, published_on
from nas.report.results import ExperimentResults, Searched
from nas.spaces import stack_in_words

STAGES = ("search", "finalize", "evaluate")

PLACES = 20


def beside(results: ExperimentResults) -> list[str]:
    """This search and the one beside it at equal budget."""
    if results.alone:
        return [element("p", f"Nothing stands beside it: {results.alone}", "note")]
    if results.beside is None:
        return []
    both = (results, results.beside)
    children = min((_finished(searched) for one in both for searched in one.searches), default=0)
    last = running_window(children)
    shown = (np.mean, lambda rewards: np.mean(rewards[-last:]), np.max)
    rows = [
        (
            one.experiment.name,
            len(one.searches),
            *(_mean([each(_rewards(searched, children)) for searched in one.searches]) for each in shown),
        )
        for one in both
        if children
    ]
    columns = ("search", "repeats", "mean reward", f"mean of the last {last}", "best reward")
    return [
        table(columns, rows, "At equal budget"),
        element("p", f"At equal budget: the first {children} children of each search.", "note"),
    ]


def _finished(searched: Searched) -> int:
    return sum(child.result is not None for child in searched.children)


def _rewards(searched: Searched, count: int) -> np.ndarray:
    """Rewards of the first finished children."""
    rewards = [child.reward for child in searched.children if child.result is not None]
    return np.array(rewards[:count], float)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def leaderboard(results: ExperimentResults, front: frozenset[tuple[int, int]]) -> list[str]:
    """The best of the search; `front` are (search, number) of the children on the Pareto front."""
    rows = []
    for rank, (place, child) in enumerate(results.best[:PLACES], 1):
        done = child.result
        if done is None:
            continue  # best children have results; this tells the type checker
        rows.append(
            (
                rank,
                child.number,
                results.searches[place].seed,
                done.reward,
                measured(results.score(child), results.rule.metric),
                done.parameters,
                duration(done.train_seconds),
                (place, child.number) in front,
                child.proposal.text,
            )
        )
    metric = plain(results.rule.metric)
    columns = (
        "place",
        "child",
        "seed",
        "reward",
        metric,
        "parameters",
        "training",
        "Pareto front",
        "architecture",
    )
    return [
        element(
            "p",
            "Proxy: scores of short trainings, which say what to retrain, not how good a network is.",
            "note",
        ),
        table(columns, rows, "Leaderboard of the search (proxy)"),
    ]


def by_size(results: ExperimentResults) -> list[str]:
    """Cells in stacks of their own, by size, and what was published on the same data: as published."""
    metric = results.rule.metric
    own = [child for _, child in results.best if child.proposal.stack and child.result is not None]
    if not own:
        return []
    rows = [
        (
            child.proposal.stack,
            child.result.parameters,
            child.result.multiply_adds,
            measured(results.score(child), metric),
            child.proposal.architecture.text(),
        )
        for child in sorted(own, key=lambda child: child.result.parameters if child.result else 0)
        if child.result is not None
    ]
    columns = (
        "stack, N@F",
        "parameters",
        "multiply-adds",
        f"{plain(metric)} (validation data)",
        "architecture",
    )
    parts = [table(columns, rows, "By size")]
    data = results.experiment.data
    if found := published_on(data.source, data.name, results.classes):
        others = [(one.model, int(one.parameters), one.multiply_adds, f"{one.accuracy:.4f}") for one in found]
        heads = ("network", "parameters", "multiply-adds", "accuracy as published")
        parts += [
            table(heads, others, f"Published on {found[0].data}, not trained here"),
            element("p", f"{SOURCE}. Published accuracies are of other images than those above.", "note"),
        ]
    return parts


def asked(results: ExperimentResults) -> list[str]:
    """What the experiment says, and its space as a picture."""
    experiment = results.experiment
    parts = {
        "data": experiment.data,
        "space": experiment.space,
        "controller": experiment.controller,
        "recipe": experiment.recipe,
        "reward": experiment.reward,
        "evaluator": experiment.evaluator,
        "search": experiment.search,
        "budget": experiment.budget,
        "workers": experiment.workers,
    }
    rows = [
        (name, ", ".join(_settings(part.model_dump(exclude_none=True, exclude_defaults=False))))
        for name, part in parts.items()
        if part is not None
    ]
    rows.append(("seeds", ", ".join(map(str, experiment.seeds))))
    shown = around("div", [inline(draw_decisions(experiment.built_space))], "scroll drawn", tabindex="0")
    return [
        table(("", ""), rows, "The experiment", "plain"),
        folded("The search space, decision by decision", [shown]),
    ]


def _settings(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if key == "name":
            yield str(value)
        elif isinstance(value, Mapping) and "name" in value:
            yield f"{key.replace('_', ' ')} {_named_in_words(key, value)}"
        elif value not in ("", (), {}, []):
            yield f"{key.replace('_', ' ')} {value}"


def _named_in_words(key: str, part: Mapping[str, Any]) -> str:
    if key == "stack":
        return stack_in_words(part)
    options = ", ".join(_settings({name: each for name, each in part.items() if name != "name"}))
    return f"{part['name']} ({options})" if options else str(part["name"])


def cost(results: ExperimentResults) -> list[str]:
    """Device time by how trainings ended."""
    statuses = Counter(child.status for _, child in results.children())
    seconds = device_seconds(results)
    whole = sum(seconds.values()) or 1.0
    rows = [
        (
            status.replace("_", " "),
            statuses[status],
            duration(seconds[status]),
            f"{100 * seconds[status] / whole:.1f} %",
        )
        for status in sorted(statuses, key=lambda status: -seconds[status])
    ]
    parts = [
        table(("children ended as", "number", "device time", "part"), rows, "Device time of the search"),
        element("p", f"The search: {counted(statuses)}; {duration(sum(seconds.values()))}.", "note"),
    ]
    if results.final is not None:
        trained = results.final["finalists"]
        spent = duration(sum(one["train_seconds"] for one in trained))
        ended = counted(Counter(one["status"] for one in trained))
        parts.append(element("p", f"The finals: {ended}; {spent} of training.", "note"))
    return parts


def repeat(results: ExperimentResults) -> list[str]:
    """What must be the same for the same result, and the commands."""
    first, name = results.searches[0], results.experiment.name
    commit, data = first.commit, first.definition.get("data", {})
    rows: list[tuple[str, object]] = [
        ("git commit of the search", commit or "unknown"),
        ("data", f"{results.experiment.data.name}, digest {data.get('digest', '?')}"),
        *((f"fingerprint, seed {searched.seed}", searched.fingerprint) for searched in results.searches),
        ("threads for each child", first.definition.get("threads")),
        ("device and backend", f"{first.definition.get('device')}, {first.definition.get('backend')}"),
    ]
    if results.final is not None:
        rows.append(("fingerprint of the finals", results.final["fingerprint"]))
    checkout = [f"git checkout {commit.rstrip('+')}"] if commit else []
    stages = STAGES if results.experiment.recipe is not None else STAGES[:1]
    commands = [*checkout, "make setup", *(f"nas {stage} {name}" for stage in stages), f"nas report {name}"]
    parts = [table(("", ""), rows, "What defines the search", "plain")]
    if commit.endswith("+"):
        parts.append(element("p", "Files differed from this commit when the search ran.", "note"))
    return [*parts, around("pre", [element("code", "\n".join(commands))], tabindex="0")]


def compared(all_results: Sequence[ExperimentResults]) -> list[str]:
    """Several experiments side by side, one column for each."""
    lines: dict[str, list[object]] = defaultdict(list)
    for results in all_results:
        experiment, metric = results.experiment, results.rule.metric
        children = [child for _, child in results.children()]
        test = results.evaluation["test"] if results.evaluation else None
        best = results.best[0][1] if results.best else None
        lines["space"].append(experiment.space.name)
        lines["controller"].append(experiment.controller.name)
        lines["data"].append(experiment.data.name)
        lines["repeats"].append(len(results.searches))
        lines["children finished"].append(sum(child.result is not None for child in children))
        lines["failed"].append(sum(child.result is not None and not child.result.ok for child in children))
        lines["mean reward (proxy)"].append(
            _mean([child.reward for child in children if child.result is not None])
        )
        lines["best reward (proxy)"].append(best.reward if best else None)
        lines["best score (proxy)"].append(
            f"{measured(results.score(best), metric)} {plain(metric)}" if best else None
        )
        lines["test of the winner"].append(with_interval(test["winner"], test["metric"]) if test else None)
        lines["test of the baseline"].append(
            with_interval(test["baseline"], test["metric"]) if test and test["baseline"] else None
        )
        lines["parameters of the best"].append(best.result.parameters if best and best.result else None)
        lines["device time"].append(duration(sum(device_seconds(results).values())))
    columns = ("", *(results.experiment.name for results in all_results))
    rows = [(name, *values) for name, values in lines.items()]
    return [table(columns, rows, "The experiments side by side", "plain")]


def device_seconds(results: ExperimentResults) -> dict[str, float]:
    """Seconds of devices by status: training and what is around it; a shared result costs nothing."""
    found: dict[str, float] = defaultdict(float)
    for _, child in results.children():
        if child.result is not None and child.same_as is None:
            found[child.status] += child.result.train_seconds + child.result.overhead_seconds
    return found
