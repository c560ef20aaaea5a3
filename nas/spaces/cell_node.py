"""One node of a recurrent cell: how it merges its two inputs, and its text form such as `add-tanh`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, cast, get_args

from nas.errors import InputError, nearest

Combination = Literal["add", "elem_mult", "max"]
Activation = Literal["identity", "tanh", "sigmoid", "relu", "sin"]
COMBINATIONS: tuple[str, ...] = get_args(Combination)
"""Element by element: sum, product, and the larger one (only in the paper's control space)."""
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
"""The last, the sine, stands only in the paper's control space."""


@dataclass(frozen=True)
class CellNode:
    """What a node does with its two inputs: activation(combination(a, b)).

    Attributes:
        combination: `add`, `elem_mult` or `max`.
        activation: `identity`, `tanh`, `sigmoid`, `relu` or `sin`.

    Raises:
        InputError: a name is unknown.
    """

    combination: Combination
    activation: Activation

    def __post_init__(self) -> None:
        for name, allowed in (("combination", COMBINATIONS), ("activation", ACTIVATIONS)):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(
                    f"a node's {name} must be known: {nearest(str(value), allowed)}. Received: {value!r}"
                )

    def text(self) -> str:
        """The text form, `COMBINATION-ACTIVATION`."""
        return f"{self.combination}-{self.activation}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The node that a text form writes down.

        Raises:
            InputError: the text is no node.
        """
        combination, dash, activation = text.partition("-")
        if not dash:
            raise InputError(f"'{text}' is no node; one is written COMBINATION-ACTIVATION, as in add-tanh")
        try:
            return cls(cast(Combination, combination), cast(Activation, activation))
        except InputError as error:
            raise InputError(f"'{text}' is no node: {error}") from error

    def fields(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_fields(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `fields`."""
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or set(value) != set(names):
            raise InputError(f"a node in JSON has the keys {', '.join(names)}. Received: {value!r}")
        return cls(**value)
