"""The numbers of all curves, ready to be drawn: by matplotlib for a file, by a page's script on a screen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.errors import InputError
from nas.evaluation import ChildResult
from nas.report.results import ExperimentResults, Searched
from nas.search.rows import Child
from nas.search.tradeoff import cost_of
from nas.spaces import Choice, Links, Point, Step

POINTS = 400
"""Of a curve: more can't be told apart on a screen."""

BAND = (0.1, 0.9)
"""Quantiles of the rewards between which the band of another search lies."""

WINDOWS = 24
"""Pieces of equal size that a search is cut into to show how its choices move."""


@dataclass(frozen=True)
class Curve:
    """One line: a value for each of some numbers of children."""

    children: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Rewards:
    """How the rewards of one search went.

    Attributes:
        window: children that a running mean is over, at most.
        mean: the running mean over the last children, failures included, from which a controller learns.
        best: the highest reward so far.
    """

    window: int
    mean: Curve
    best: Curve


@dataclass(frozen=True)
class Band:
    """Rewards of another search, at the budget of the one it is shown beside.

    Attributes:
        low, high: between them lies the middle of the rewards of all its repeats (see `BAND`), running.
        best: its highest reward so far, the mean over its repeats.
        children: how many of its children count for each repeat.
    """

    low: Curve
    high: Curve
    best: Curve
    children: int


@dataclass(frozen=True)
class Shares:
    """How often each option of a decision was chosen, over time.

    Attributes:
        decision: name of the step or, for all of a kind together, of the kind.
        options: what could be chosen.
        windows: for each piece of the search the part of each option.
        first: number of the first child of each piece.
    """

    decision: str
    options: tuple[str, ...]
    windows: tuple[tuple[float, ...], ...]
    first: tuple[int, ...]


def rewards_of(searched: Searched) -> Rewards:
    """Running mean and best of one search's finished children, in the order of their numbers."""
    finished = [child for child in searched.children if child.result is not None]
    values = np.array([child.reward for child in finished], float)
    window = running_window(len(values))
    numbers = np.array([child.number + 1 for child in finished])
    keep = _thinned(len(values))
    means = _running_mean(values, window)[keep] if len(values) else values
    best = np.maximum.accumulate(values)[keep] if len(values) else values
    return Rewards(window, _curve(numbers[keep], means), _curve(numbers[keep], best))


def running_window(count: int) -> int:
    """Children that a running mean is over: a twenty-fifth of all, at least 8."""
    return max(8, round(count / 25))


def band_of(beside: ExperimentResults, children: int) -> Band | None:
    """The band of another search at a budget of `children` for each repeat; None if it has no results."""
    runs = [
        np.array([child.reward for child in one.children if child.result is not None][:children], float)
        for one in beside.searches
    ]
    runs = [run for run in runs if len(run)]
    if not runs:
        return None
    length = min(map(len, runs))
    window = max(24, round(length / 8))  # quantiles of fewer rewards jump about
    keep = _thinned(length)
    low, high = [], []
    for place in keep:
        seen = np.concatenate([run[max(0, place + 1 - window) : place + 1] for run in runs])
        low.append(np.quantile(seen, BAND[0]))
        high.append(np.quantile(seen, BAND[1]))
    best = np.mean([np.maximum.accumulate(run)[:length] for run in runs], axis=0)[keep]
    numbers = keep + 1
    return Band(
        _curve(numbers, np.array(low)), _curve(numbers, np.array(high)), _curve(numbers, best), length
    )


def statistics_of(searched: Searched) -> dict[str, Curve]:
    """What the controller told of its updates, by name, over the number of children so far."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    sizes = Counter(child.batch for child in searched.children)
    children = 0
    for done in searched.batches:
        children += sizes[done.number]
        for name, value in (done.statistics or {}).items():
            if math.isfinite(value):
                numbers, values = found.setdefault(name, ([], []))
                numbers.append(children)
                values.append(float(value))
    return {
        name: _curve(np.array(numbers)[keep], np.array(values)[keep])
        for name, (numbers, values) in sorted(found.items())
        for keep in (_thinned(len(numbers)),)
    }


def cost(results: ExperimentResults, result: ChildResult) -> float | None:
    """What the reward trades quality for, else the number of parameters; None where it isn't known."""
    found = cost_of(result, results.rule.objective)
    return found if found is None or found > 0 else None


def front_of(results: ExperimentResults) -> tuple[tuple[int, Child], ...]:
    """The children that no other beats in score and cost at once, cheapest first."""
    sign = 1.0 if results.rule.lower_is_better else -1.0
    known = [
        (price, sign * score, place, child.number, child)
        for place, child in results.children()
        if child.result is not None
        and (price := cost(results, child.result)) is not None
        and (score := results.score(child)) is not None
        and math.isfinite(score)
    ]
    front: list[tuple[int, Child]] = []
    best = math.inf
    for _, worse, place, _, child in sorted(known, key=lambda one: one[:4]):
        if worse < best:
            best = worse
            front.append((place, child))
    return tuple(front)


def shares_of(results: ExperimentResults) -> tuple[Shares, ...]:
    """How the choices moved, first for all decisions of a kind together, then for each decision.

    Where the parts of an architecture have parts of their own, as `normal.block0.combination`, between the
    two come the decisions of a kind in each of the largest parts.

    Children whose tokens don't belong to the steps of the space (of a controller that samples none)
    don't count; if there are no others the result is empty.
    """
    space = results.experiment.built_space
    children = [child for _, child in results.children()]
    size = max(1, -(-max((child.number + 1 for child in children), default=0) // WINDOWS))
    counted: dict[int, _Counts] = {}
    for child in children:
        depth = child.proposal.depth
        counts = counted.setdefault(depth, {})
        try:
            values = space.steps(depth).split(child.proposal.tokens)
        except InputError:
            continue
        window = child.number // size
        for index, value in enumerate(values):
            for token in value:
                counts[index, window, token] = counts.get((index, window, token), 0) + 1
    tables: dict[str, dict[int, Counter[str]]] = {}
    options: dict[str, dict[str, None]] = {}
    kinds: dict[str, None] = {}
    for depth, counts in sorted(counted.items()):
        steps = space.steps(depth)
        for (index, window, token), number in sorted(counts.items()):
            step = steps[index]
            if isinstance(step, Point):
                continue
            groups = [f"all: {step.kind}"]
            if step.name.count(".") > 1:
                groups.append(f"{step.name.partition('.')[0]}: {step.kind}")
            kinds.update(dict.fromkeys(groups))
            named = _options(step, steps.limit(index))
            for name in (*groups, step.name):
                tables.setdefault(name, {}).setdefault(window, Counter())[named[token]] += number
                options.setdefault(name, {}).update(dict.fromkeys(named))
    wide = sorted(kinds, key=lambda name: not name.startswith("all: "))
    names = [*wide, *(name for name in tables if name not in kinds)]
    return tuple(_shares(name, tables[name], tuple(options[name]), size) for name in names)


_Counts = dict[tuple[int, int, int], int]
"""How often: (place of the step, window, token) → number."""


def _options(step: Step, limit: int) -> tuple[str, ...]:
    """What each token of a step means."""
    if isinstance(step, Choice):
        return tuple(map(str, step.options))
    if isinstance(step, Links):
        return "not linked", "linked"
    return tuple(f"point {number}" for number in range(limit))


def _shares(name: str, counted: dict[int, Counter[str]], options: tuple[str, ...], size: int) -> Shares:
    windows = sorted(counted)
    parts = tuple(
        tuple(round(counted[window][option] / counted[window].total(), 4) for option in options)
        for window in windows
    )
    return Shares(name.replace("_", " "), options, parts, tuple(window * size for window in windows))


def _thinned(length: int) -> np.ndarray:
    """Places of at most `POINTS` of so many values, the last among them."""
    if length <= POINTS:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, POINTS).round().astype(int))


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean over each value and those before it, `window` at most."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - window)
    means: np.ndarray = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def _curve(children: Sequence[int] | np.ndarray, values: np.ndarray) -> Curve:
    return Curve(tuple(int(n) for n in children), tuple(float(f"{value:.5g}") for value in values))
