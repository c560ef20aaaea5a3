"""Steps: the decisions that write an architecture down, in the order in which they are taken.

A search space is a list of steps, and that is all that a controller knows of it:

* a `Choice` among named options (a softmax);
* a `Pick` of exactly one earlier point (a softmax over anchors);
* `Links` to any of the earlier points (one sigmoid each); the step is itself a new point;
* a bare `Point`, which decides nothing and which later steps can refer to.

Points live in a *scope* (the network, a cell), and a scope may have *initial* points that exist
before the first step (the image; NASNet's h_i and h_{i-1}).

Tokens are a flat tuple of integers, as the papers write them: one for a `Choice` (index of the
option), one for a `Pick` (index of the point in its scope), one bit for each earlier point for
`Links`, none for a `Point` and none for a step that is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from nas.errors import InputError

Option = int | float | str
Tokens = tuple[int, ...]


@dataclass(frozen=True)
class When:
    """A condition on an earlier choice: the step is on only if that choice took one of `options`."""

    choice: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Choice:
    """One of several named options.

    Attributes:
        name: unique in its list, e.g. `layer3.filters`.
        kind: choices of one kind share a controller's head and embedding, e.g. `filters`.
        options: what may be chosen, at least one.
        when: the condition under which the step is on; None: always.
    """

    name: str
    kind: str
    options: tuple[Option, ...]
    when: When | None = None

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise InputError(
                f"choice '{self.name}' needs at least one option and no option twice. "
                f"Received: options={self.options!r}"
            )


@dataclass(frozen=True)
class Pick:
    """Exactly one of the earlier points of `scope`."""

    name: str
    kind: str
    scope: str
    when: When | None = None


@dataclass(frozen=True)
class Links:
    """Any subset of the earlier points of `scope`; the step itself then becomes its next point."""

    name: str
    kind: str
    scope: str


@dataclass(frozen=True)
class Point:
    """The next point of `scope`; nothing is decided."""

    name: str
    scope: str


Step = Choice | Pick | Links | Point


@dataclass(frozen=True)
class _Condition:
    parent: int
    tokens: frozenset[int]


@dataclass(frozen=True)
class StepList(Sequence[Step]):
    """A checked list of steps with the initial points of its scopes.

    Attributes:
        steps: the decisions in order.
        initial_points: number of points that each scope has before the first step.
        widths: for each step how many tokens it has when it is on.
        points: for each step how many points of its scope exist before it (0 for a `Choice`).

    Raises:
        InputError: a name stands twice, a condition names no earlier choice or an option that the
            choice lacks, or a `Pick` has nothing to pick from.
    """

    steps: tuple[Step, ...]
    initial_points: Mapping[str, int] = field(default_factory=dict)
    widths: tuple[int, ...] = field(init=False)
    points: tuple[int, ...] = field(init=False)
    _conditions: tuple[_Condition | None, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        seen: dict[str, int] = {}
        points = dict(self.initial_points)
        widths, before, conditions = [], [], []
        for index, step in enumerate(self.steps):
            if step.name in seen:
                raise InputError(f"two steps are named '{step.name}'; names must differ")
            conditions.append(self._condition(step, seen))
            count = 0 if isinstance(step, Choice) else points.get(step.scope, 0)
            if isinstance(step, Pick) and count == 0:
                raise InputError(f"step '{step.name}' has no earlier point to pick in '{step.scope}'")
            before.append(count)
            widths.append({Choice: 1, Pick: 1, Links: count, Point: 0}[type(step)])
            if isinstance(step, Links | Point):
                points[step.scope] = count + 1
            seen[step.name] = index
        object.__setattr__(self, "widths", tuple(widths))
        object.__setattr__(self, "points", tuple(before))
        object.__setattr__(self, "_conditions", tuple(conditions))

    def _condition(self, step: Step, seen: Mapping[str, int]) -> _Condition | None:
        when = getattr(step, "when", None)
        if when is None:
            return None
        parent = self.steps[seen[when.choice]] if when.choice in seen else None
        if not isinstance(parent, Choice) or not set(when.options) <= set(parent.options):
            raise InputError(
                f"step '{step.name}' depends on {when!r}, which is not an earlier choice with those options"
            )
        return _Condition(seen[when.choice], frozenset(parent.options.index(o) for o in when.options))

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.steps[index]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def is_on(self, index: int, values: Sequence[Tokens]) -> bool:
        """Whether step `index` is taken, given the values of the steps before it."""
        condition = self._conditions[index]
        if condition is None:
            return True
        value = values[condition.parent]
        return bool(value) and value[0] in condition.tokens

    def split(self, tokens: Sequence[int]) -> tuple[Tokens, ...]:
        """Cuts a flat token string into one tuple for each step (empty for points and steps off).

        Raises:
            InputError: too few or too many tokens, or a token out of range.
        """
        values: list[Tokens] = []
        position = 0
        for index, step in enumerate(self.steps):
            width = self.widths[index] if self.is_on(index, values) else 0
            value = tuple(int(token) for token in tokens[position : position + width])
            limit = self.limit(index)
            if len(value) < width:
                raise InputError(f"the token string ends at {len(tokens)} tokens, before '{step.name}'")
            if any(not 0 <= token < limit for token in value):
                raise InputError(f"tokens of '{step.name}' must lie in 0…{limit - 1}. Received: {value}")
            values.append(value)
            position += width
        if position != len(tokens):
            raise InputError(f"expected {position} tokens for these steps. Received: {len(tokens)}")
        return tuple(values)

    def limit(self, index: int) -> int:
        """How many values one token of step `index` can take."""
        step = self.steps[index]
        if isinstance(step, Choice):
            return len(step.options)
        return self.points[index] if isinstance(step, Pick) else 2

    def chosen(self, tokens: Sequence[int]) -> dict[str, Option | int | Tokens]:
        """What each step that is on decided, by name: an option, a point's index, or link bits."""
        out: dict[str, Option | int | Tokens] = {}
        for index, value in enumerate(self.split(tokens)):
            step = self.steps[index]
            if isinstance(step, Links):
                out[step.name] = value
            elif value:
                out[step.name] = step.options[value[0]] if isinstance(step, Choice) else value[0]
        return out

    def size(self) -> int:
        """The exact number of token strings."""
        dependent: dict[int | None, list[int]] = {}
        for index, condition in enumerate(self._conditions):
            dependent.setdefault(condition.parent if condition else None, []).append(index)

        def strings(index: int) -> int:
            if index not in dependent:
                return int(self.limit(index) ** self.widths[index])
            return sum(
                prod(strings(child) for child in dependent[index] if token in self._tokens_on(child))
                for token in range(self.limit(index))
            )

        return prod(strings(index) for index in dependent.get(None, []))

    def _tokens_on(self, index: int) -> frozenset[int]:
        condition = self._conditions[index]
        return condition.tokens if condition else frozenset()
