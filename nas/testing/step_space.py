"""A search space that is nothing but its steps: for testing controllers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError
from nas.spaces import (
    Architecture,
    Choice,
    Cost,
    DepthSchedule,
    Links,
    Pick,
    Point,
    Space,
    Step,
    StepList,
    Tokens,
    When,
)


@dataclass(frozen=True)
class Written(Architecture):
    """An architecture that is nothing but its tokens."""

    kind: ClassVar[str] = "nas.testing.step_space:Written"

    depth: int
    tokens: Tokens

    def body(self) -> str:
        return "@".join((str(self.depth), ",".join(map(str, self.tokens))))

    @classmethod
    def from_body(cls, body: str) -> Self:
        depth, _, tokens = body.partition("@")
        try:
            return cls(int(depth), tuple(int(token) for token in tokens.split(",") if token))
        except ValueError as error:
            raise InputError(f"'{body}' is no DEPTH@TOKEN,TOKEN,…") from error

    def fields(self) -> dict[str, Any]:
        return {"depth": self.depth, "tokens": list(self.tokens)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(int(fields["depth"]), tuple(fields["tokens"]))

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        return Cost(0, 0)


class StepSpace(Space):
    """The space of all token strings of the steps that a function gives for a depth.

    Args:
        make_steps: gives the steps of a depth.
        depth: a number or a schedule.

    Example:
        >>> from nas.spaces import Choice
        >>> space = StepSpace(lambda depth: StepList((Choice("one", "digit", (1, 2, 3)),)))
        >>> str(space.decode((2,), 1))
        'nas.testing.step_space:Written:1@2'
    """

    def __init__(
        self, make_steps: Callable[[int], StepList], depth: int | Mapping[str, Any] | DepthSchedule = 1
    ) -> None:
        self.depth = DepthSchedule.of(depth)
        self._make_steps = make_steps
        self._steps: dict[int, StepList] = {}

    def steps(self, depth: int) -> StepList:
        if depth not in self._steps:
            self._steps[depth] = self._make_steps(depth)
        return self._steps[depth]

    def decode(self, tokens: Sequence[int], depth: int) -> Written:
        self.steps(depth).split(tokens)
        return Written(depth, tuple(tokens))

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, Written):
            raise InputError(f"this space has token strings only. Received: {architecture}")
        self.steps(architecture.depth).split(architecture.tokens)
        return architecture.tokens


def every_step(depth: int) -> StepList:
    """`depth` blocks with every kind of step, some off at times, and two scopes.

    The cell begins with two points. The network begins with none, so that its first links have nothing to
    link to; links and picks of two kinds look at its points.
    """
    steps: list[Step] = []
    for block in range(1, depth + 1):
        operation = f"{block}.operation"
        steps += [
            Choice(operation, "operation", ("conv", "pool", "none")),
            Pick(f"{block}.input", "input", "cell", When(operation, ("conv", "pool"))),
            Choice(f"{block}.filters", "filters", (8, 16), When(operation, ("conv",))),
            Point(f"{block}.output", "cell"),
            Links(f"{block}.links", "links", "network"),
            Pick(f"{block}.skip", "skip", "network"),
        ]
    return StepList(tuple(steps), {"cell": 2})
