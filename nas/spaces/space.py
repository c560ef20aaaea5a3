"""What every search space offers to controllers (steps) and to the rest (architectures)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from nas.errors import InputError
from nas.spaces.architecture import Architecture
from nas.spaces.steps import StepList, Tokens


@dataclass(frozen=True)
class DepthSchedule:
    """A depth that may grow during a search.

    Zoph & Le (2017, §3.1, appendix A) start at 6 layers and add 2 every 1,600 sampled networks.

    Attributes:
        start: depth of the first proposals.
        grow: layers added each time; 0: the depth stays.
        every: after how many proposals layers are added.
        stop: the depth is never more than this; None: no limit.
    """

    start: int
    grow: int = 0
    every: int = 1600
    stop: int | None = None

    def __post_init__(self) -> None:
        stop = self.start if self.stop is None else self.stop
        if (
            any(type(number) is not int for number in (self.start, self.grow, self.every, stop))
            or self.start < 1
            or self.grow < 0
            or self.every < 1
            or stop < self.start
        ):
            raise InputError(
                "a depth schedule needs whole numbers, start ≥ 1, grow ≥ 0, every ≥ 1 and stop ≥ start. "
                f"Received: start={self.start!r}, grow={self.grow!r}, every={self.every!r}, "
                f"stop={self.stop!r}"
            )

    def to_json(self) -> dict[str, Any]:
        """The fields as they may stand in YAML, those without effect left out."""
        if not self.grow or self.stop == self.start:
            return {"start": self.start}
        stop = {} if self.stop is None else {"stop": self.stop}
        return {"start": self.start, "grow": self.grow, "every": self.every, **stop}

    def at(self, proposals: int) -> int:
        """The depth of the next proposal after `proposals` were made."""
        depth = self.start + self.grow * (proposals // self.every)
        return min(depth, self.stop) if self.stop else depth

    @classmethod
    def of(cls, value: int | Mapping[str, Any] | DepthSchedule) -> DepthSchedule:
        """A schedule from a number (a fixed depth) or from the fields as they stand in YAML."""
        if isinstance(value, DepthSchedule):
            return value
        fields = value if isinstance(value, Mapping) else {"start": value}
        if "start" not in fields or not set(fields) <= {"start", "grow", "every", "stop"}:
            raise InputError(
                "depth is a number of layers or has the key start and perhaps grow, every, stop. "
                f"Received: {value!r}"
            )
        return cls(**fields)


DEEPEST = 100_000
"""Depth beyond which nothing is searched; a damaged record may name any."""


class Space(ABC):
    """A search space: a list of steps for each depth, and the way from tokens to architectures.

    Implementations are immutable and pure Python. `decode` may map many token strings to one
    architecture (repair rules, operations that cancel); `encode` gives one canonical string with
    `decode(encode(a)) == a`.
    """

    depth: DepthSchedule

    @abstractmethod
    def steps(self, depth: int) -> StepList:
        """The decisions of an architecture of `depth`, in order. Cheap: implementations cache it."""

    @abstractmethod
    def decode(self, tokens: Sequence[int], depth: int) -> Architecture:
        """The architecture that a token string of `depth` writes down, repaired.

        Raises:
            InputError: the tokens don't fit the steps.
        """

    @abstractmethod
    def encode(self, architecture: Architecture) -> Tokens:
        """The canonical token string of `architecture`.

        Raises:
            InputError: the architecture is not in this space; the message says which part.
        """

    def check_tokens(self, tokens: Sequence[int], depth: int) -> None:
        """Raises InputError if tokens of a record don't fit the steps of their depth."""
        if not 1 <= depth <= DEEPEST:
            raise InputError(f"a depth must be between 1 and {DEEPEST:,}. Received: {depth}")
        self.steps(depth).split(tokens)

    def overrides(self, tokens: Sequence[int], depth: int) -> dict[str, Any]:
        """Decisions about training that the tokens hold, by name of the recipe's field."""
        return {}

    def size(self, depth: int) -> int:
        """The exact number of token strings of `depth`."""
        return self.steps(depth).size()


def first_architecture(space: Space) -> Architecture:
    """The architecture that takes the first option of every choice, and no link."""
    depth = space.depth.at(0)
    steps = space.steps(depth)

    def values() -> Iterator[Tokens]:
        taken: list[Tokens] = []
        for index in range(len(steps)):
            taken.append((0,) * steps.widths[index] if steps.is_on(index, taken) else ())
            yield taken[-1]

    return space.decode(tuple(chain.from_iterable(values())), depth)
