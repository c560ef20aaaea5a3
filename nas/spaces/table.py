"""A search space that is nothing but named choices: the decisions of a table of trained networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from urllib.parse import quote, unquote

from nas import plugins
from nas.errors import InputError
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.steps import Choice, Option, StepList, Tokens

_PART = re.compile(r"([^=]+)=(.*)")


@dataclass(frozen=True)
class TableRow(Architecture):
    """A row of a table, by its decisions: `row:filters=32,kernel=3`.

    What network it stands for, only the table's author knows; its size stands in the table.

    Attributes:
        decisions: what was decided, by column, as text.

    Raises:
        InputError: there is no decision, or a column stands twice.

    Example:
        >>> TableRow((("filters", "32"), ("pool", "3×3 max"))).text()
        'row:filters=32,pool=3%C3%973%20max'
    """

    kind: ClassVar[str] = "row"
    drawing: ClassVar[str | None] = "nas.report.drawings.bench"

    decisions: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        columns = [column for column, _ in self.decisions]
        if not columns or len(set(columns)) < len(columns) or not all(columns):
            raise InputError(f"a row needs decisions, each column once. Received: {self.decisions!r}")

    def body(self) -> str:
        return ",".join(f"{_safe(column)}={_safe(option)}" for column, option in self.decisions)

    @classmethod
    def from_body(cls, body: str) -> Self:
        parts = [_PART.fullmatch(part) for part in body.split(",")]
        if not all(parts):
            raise InputError(f"a row is written COLUMN=OPTION,COLUMN=OPTION,…. Received: {body!r}")
        return cls(tuple((unquote(part[1]), unquote(part[2])) for part in parts if part))

    def fields(self) -> dict[str, Any]:
        return {"decisions": [list(decision) for decision in self.decisions]}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple((str(column), str(option)) for column, option in fields["decisions"]))

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Nothing: the size of a row's network is a column of its table."""
        return Cost(0, 0)


class TableSpace(Space):
    """All combinations of some columns' options, in the order of the columns.

    Every column has its own softmax in a policy: columns of equal options need not mean the same.

    Args:
        decisions: the columns' options by column, e.g. `{filters: [16, 32], kernel: [3, 5]}`; as in the
            data set that holds the table. Where that renames values, `{0: none, 1: conv}`, those are the
            names.

    Raises:
        InputError: there is no column, or a column's options are no list of different values.
    """

    canonical_options = classmethod(plugins.held_by)

    def __init__(self, decisions: Mapping[str, Sequence[Option] | Mapping[Any, Option]]) -> None:
        if not isinstance(decisions, Mapping) or not decisions:
            raise InputError(
                "decisions must name columns with their options, as in {filters: [16, 32]}. "
                f"Received: {decisions!r}"
            )
        self.depth = DepthSchedule(1)
        self._options = {str(column): _texts(column, options) for column, options in decisions.items()}
        self._steps = StepList(
            tuple(Choice(column, column, options) for column, options in self._options.items())
        )

    def steps(self, depth: int) -> StepList:
        return self._steps

    @property
    def decisions(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The columns in order, each with its options as text."""
        return tuple(self._options.items())

    def decode(self, tokens: Sequence[int], depth: int) -> TableRow:
        chosen = zip(self._options.items(), self._steps.split(tokens), strict=True)
        return TableRow(tuple((column, options[token]) for (column, options), (token,) in chosen))

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, TableRow):
            raise InputError(f"this space has rows of a table only. Received: {architecture}")
        decisions = dict(architecture.decisions)
        if decisions.keys() != self._options.keys():
            raise InputError(f"this space decides {', '.join(self._options)}. Received: {architecture}")
        for column, option in decisions.items():
            if option not in self._options[column]:
                raise InputError(f"'{column}' can't be '{option}': {', '.join(self._options[column])}")
        return tuple(options.index(decisions[column]) for column, options in self._options.items())


def _texts(column: str, options: Any) -> tuple[str, ...]:
    values = list(options.values()) if isinstance(options, Mapping) else options
    if not isinstance(values, list | tuple):
        raise InputError(f"the options of '{column}' must be a list. Received: {options!r}")
    return tuple(str(value) for value in values)


def _safe(text: str) -> str:
    """`text` in letters, digits and `._-`; all else as `%` and two hexadecimal digits."""
    return quote(text, safe="").replace("~", "%7E")
