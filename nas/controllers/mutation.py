"""Random and mutated token strings of any list of steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain

import numpy as np

from nas.spaces import StepList, Tokens

Drawn = tuple[Tokens, float]
"""A token string and the logarithm of the probability with which it was drawn."""

_Keep = Callable[[int], Tokens | None]
"""The value that a step (its index) keeps; None: it is drawn afresh."""


def drawn(steps: StepList, random: np.random.Generator) -> Drawn:
    """A token string with each decision uniform: every option of a choice, every point, each link by ½."""
    return _written(steps, lambda index: None, random)


def mutated(old: StepList, tokens: Tokens, new: StepList, random: np.random.Generator) -> Drawn:
    """`tokens` with one decision re-drawn uniformly among its other values.

    A decision is one token: a choice, a pick, or the bit of one link; each that has more than one value is
    as likely. Then the string is repaired: what is on only now is drawn uniformly, what is off now leaves.

    Args:
        old: the steps that `tokens` belong to.
        tokens: of the parent.
        new: the steps to write for; the same, or those of another depth: steps of one name and width keep
            their values.
        random: for all that is drawn.

    Returns:
        The child's tokens and the logarithm of their probability given the parent. A string in which
        nothing can change is returned as it is.
    """
    values = {step.name: value for step, value in zip(old, old.split(tokens), strict=True) if value}

    def kept(index: int) -> Tokens | None:
        value = values.get(new[index].name, ())
        fits = len(value) == new.widths[index] and all(token < new.limit(index) for token in value)
        return value if fits else None

    places = [
        (index, position)
        for index in range(len(new))
        if new[index].name in values and kept(index) is not None and new.limit(index) > 1
        for position in range(new.widths[index])
    ]
    if not places:
        return _written(new, kept, random)
    index, position = places[int(random.integers(len(places)))]
    name, limit = new[index].name, new.limit(index)
    value = list(values[name])
    value[position] = (value[position] + 1 + int(random.integers(limit - 1))) % limit
    values[name] = tuple(value)
    child, log_probability = _written(new, kept, random)
    return child, log_probability - math.log(len(places)) - math.log(limit - 1)


def _written(steps: StepList, kept: _Keep, random: np.random.Generator) -> Drawn:
    """A token string of kept values where there are some, drawn ones elsewhere; their log-probability."""
    values: list[Tokens] = []
    log_probability = 0.0
    for index in range(len(steps)):
        width = steps.widths[index] if steps.is_on(index, values) else 0
        value = kept(index) if width else ()
        if value is None:
            limit = steps.limit(index)
            value = tuple(random.integers(limit, size=width).tolist())
            log_probability -= width * math.log(limit)
        values.append(value)
    return tuple(chain.from_iterable(values)), log_probability
