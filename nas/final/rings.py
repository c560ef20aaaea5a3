"""Retraining in widening rings, between the search and the finals: fewer networks, each trained for longer.

What widens from ring to ring is the training, in epochs; the number of networks narrows.

Each ring retrains the best of the stage before it, by the reward that this stage gave them, and is a search
over a list with a record of its own, so that it goes on after any interruption and trains nothing twice. It
keeps no weights: its rewards only choose what comes next.

Source: Zoph et al. (2018), §4 and appendix A: the best 250 architectures of the search are trained to
convergence to find the best one. The DVC snapshot of a ring's record lies beside that of the finals.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.errors import SearchError
from nas.evaluation import RewardRule
from nas.experiment import Experiment, stage_of
from nas.final.finalists import Entry, Finalist, InRing, ring_experiment
from nas.search.opening import isolated_by, open_search, snapshot_path
from nas.search.search import Listener, Search
from nas.workspace import Workspace

logger = logging.getLogger("nas")

Advance = Callable[[Search], None]
"""Carries out the search that is one stage, a ring or the finals; see `advance`."""


def advance(search: Search) -> None:
    """Goes on with a stage until all its networks are trained."""
    search.advance(search.experiment.budget)


@dataclass(frozen=True)
class Rings:
    """Result of all rings.

    Attributes:
        finalists: what the last ring leaves to the finals, best first.
        records: the record of each ring, and how its snapshot beside the winner is called.
        correlations: by stage (`ring 1`, …) the rank correlation to the stage before (see `kendall`).
    """

    finalists: Sequence[Finalist]
    records: Mapping[Path, str] = field(default_factory=dict)
    correlations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def retrain_in_rings(
    experiment: Experiment,
    found: Sequence[Finalist],
    workspace: Workspace,
    listeners: Sequence[Listener] = (),
    advance: Advance = advance,
) -> Rings:
    """Retrains `found` in the rings of `final.rings`, one after the other, or goes on with them.

    Args:
        experiment: whose search it was.
        found: the best of the search; as many as the first ring wants.
        workspace: where everything lies.
        listeners: told of the rings' events.
        advance: called with each ring's search, and carries it out; a ring that is done needs none.

    Raises:
        SearchError: no network of a ring ended well.
        RecordLockedError: another process works on a ring.
    """
    rings = experiment.final.rings
    tops = [*(ring.top for ring in rings[1:]), experiment.final.top]
    records: dict[Path, str] = {}
    correlations: dict[str, dict[str, Any]] = {}
    before = stage_of(experiment.name)
    for number, top in enumerate(tops[: len(rings)], start=1):
        derived = ring_experiment(experiment, number, [Entry(one, {}) for one in found])
        stage = stage_of(derived.name)
        with open_search(derived, workspace, listeners=listeners) as search:
            isolated_by(search.evaluator, derived.workers)  # the finals need it; before hours of training
            if not search.loop(derived.budget).over:
                advance(search)
            trained = _judged(search, found, number)
            records[search.record.path] = snapshot_path(derived, workspace).name
            ended = [child.result for child in search.record.children() if child.result is not None]
        if not trained:
            raise SearchError(
                f"none of the {len(found)} networks of {stage} of '{experiment.name}' ended well: "
                + "; ".join(sorted({f"{one.status}: {one.message}" for one in ended}))
            )
        pairs = [(_reward_before(one), one.rings[-1].reward) for one in trained]
        correlations[stage] = {"before": before, **kendall(pairs, before, stage)}
        found, before = trained[:top], stage
    return Rings(found, records, correlations)


def _judged(search: Search, found: Sequence[Finalist], number: int) -> list[Finalist]:
    """Those that ended well, best first, each with what the ring gave it; of equal ones the earlier first."""
    rule: RewardRule = search.reward
    ended = []
    for one, child in zip(found, search.record.children(), strict=True):
        if child.result is not None and child.result.ok and math.isfinite(reward := rule(child.result)):
            ended.append((one, InRing(number, child.number, 0, reward, rule.score(child.result))))
    ended.sort(key=lambda pair: -pair[1].reward)
    return [
        replace(one, rings=(*one.rings, replace(reached, place=place)))
        for place, (one, reached) in enumerate(ended, start=1)
    ]


def _reward_before(one: Finalist) -> float:
    """Its reward in the stage before the last ring that it was in."""
    return one.rings[-2].reward if len(one.rings) > 1 else float(one.reward or 0.0)


def to_finals(
    finalists: Sequence[Mapping[str, Any]], before: str, reward_before: Callable[[Mapping[str, Any]], float]
) -> dict[str, Any]:
    """The rank correlation between a stage's rewards and the best final reward of each architecture.

    The baseline, which no earlier stage saw, and failed finals don't count.

    Args:
        finalists: as `final.json` has them.
        before: name of the stage.
        reward_before: what a finalist was rewarded in that stage.
    """
    best: dict[tuple[str, Any], tuple[float, float]] = {}
    for one in finalists:
        if one["role"] == "candidate" and one["score"] is not None:
            network = one["architecture"], one["search"].get("child")  # a cell may stand in several stacks
            earlier, highest = best.get(network, (reward_before(one), -math.inf))
            best[network] = (earlier, max(highest, one["reward"]))
    return kendall(list(best.values()), before, "finals")


def kendall(pairs: Sequence[tuple[float, float]], before: str, after: str) -> dict[str, Any]:
    """Kendall's tau-b between the rewards that two stages gave to the same architectures.

    Args:
        pairs: for each architecture that ended well in both, its rewards.
        before, after: names of the stages.

    Returns:
        `kendall_tau` (None if undefined), `n` (architectures that it rests on), `reason` (why it is
        undefined, or empty).
    """
    firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
    tau, reason = None, ""
    if len(pairs) < 2:
        reason = f"it takes two architectures, and {len(pairs)} ended well"
    elif len(set(firsts)) == 1:
        reason = f"all rewards of {_the(before)} are equal"
    elif len(set(seconds)) == 1:
        reason = f"all rewards of {_the(after)} are equal"
    else:
        from scipy.stats import kendalltau

        tau = float(kendalltau(firsts, seconds).statistic)
    return {"kendall_tau": tau, "n": len(pairs), "reason": reason}


def _the(stage: str) -> str:
    return stage if stage.startswith("ring") else f"the {stage}"


def correlation_lines(correlations: Mapping[str, Any]) -> list[str]:
    """Rank correlations between stages, one line each, for people."""
    return [f"{one['before']} → {stage}: {tau_in_words(one)}" for stage, one in correlations.items()]


def tau_in_words(correlation: Mapping[str, Any]) -> str:
    """A rank correlation for people.

    Example:
        >>> tau_in_words({"kendall_tau": 0.5, "n": 8, "reason": ""})
        '0.50 (over 8 architectures)'
    """
    tau = correlation["kendall_tau"]
    return str(correlation["reason"]) if tau is None else f"{tau:.2f} (over {correlation['n']} architectures)"
