"""The networks that no other beats in quality and cost at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.evaluation import ChildResult, RewardRule
from nas.search.record import Record
from nas.search.rows import Child
from nas.search.tradeoff import cost_of


def pareto_front(
    records: Sequence[Record], rule: RewardRule, least: float | None = None
) -> list[tuple[Record, Child]]:
    """The Pareto front of all successful children, cheapest first: each scores better than all cheaper ones.

    Of equal cost and score the first child stands for all. The whole front takes every result, about two
    seconds for a hundred thousand.

    Args:
        records: of one search or its repeats.
        rule: the experiment's reward rule; gives score and cost.
        least: only those on the front whose reward is at least this. If the rule never rewards a network less
            than one that it beats in cost and score (`rule.dominance_pays`), the others need not be read.
    """
    bound = least if rule.dominance_pays else None
    if bound is not None:
        bound -= 1e-9 * abs(bound)  # powers are rounded
    ranked = sorted(
        (cost, -quality, place, number)
        for place, record in enumerate(records)
        for number, result in record.successes(bound)
        if (cost := cost_of(result, rule.objective)) is not None
        and (quality := _quality(result, rule)) is not None
    )
    front: list[tuple[Record, Child]] = []
    best = math.inf
    for _, worse, place, number in ranked:
        if worse < best:
            best = worse
            front.append((records[place], records[place].child(number)))
    return front


def _quality(result: ChildResult, rule: RewardRule) -> float | None:
    """The score, with its sign turned where lower is better."""
    score = rule.score(result)
    if score is None or not math.isfinite(score):
        return None
    return -float(score) if rule.lower_is_better else float(score)
