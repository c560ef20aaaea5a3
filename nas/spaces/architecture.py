"""Architectures as values: frozen, hashable, equal when they build the same network.

Every architecture has a short text form that can be pasted into a shell without quotes, such as
`conv:3x3x24@0,5x5x36@1`, and a JSON form that lasts. Both begin with the architecture's kind.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from nas import plugins
from nas.errors import InputError, printable


@dataclass(frozen=True)
class Cost:
    """What a network costs, computed without building it.

    Attributes:
        parameters: all weights, moving averages of batch normalisation included, as Keras counts.
        multiply_adds: multiplications with an addition in one forward pass of one example, in
            convolutions and dense layers.
    """

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Line:
    """One line of an architecture's table: a layer, what it does to which inputs, and what it costs."""

    layer: str
    what: str
    inputs: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "output_shape": list(self.output_shape)}


class Architecture(ABC):
    """One network, as a value. Implementations are frozen dataclasses that validate on construction.

    Two architectures must be equal exactly when they build the same network.
    """

    kind: ClassVar[str]
    """The first word of the text form; a user's own architecture uses `package.module:Name`."""

    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((32, 32, 3), 10)
    """Input shape and outputs (see `cost`) for which it is shown where no data set says: CIFAR-10's."""

    stacked: ClassVar[bool] = False
    """Whether it is a convolutional cell, of which the recipe's stack makes a network (see `Stack`)."""

    builder: ClassVar[str | None] = None
    """Import path of the module that registers what builds it in Keras; imported when it is needed, so that
    the search's process imports no Keras."""

    drawing: ClassVar[str | None] = None
    """Import path of the module that registers how it is drawn (see `nas.report.drawings.draw`)."""

    @abstractmethod
    def body(self) -> str:
        """The text form after `kind:`; only letters, digits and `.,@+-_/=%` (safe in a shell)."""

    @classmethod
    @abstractmethod
    def from_body(cls, body: str) -> Self:
        """The architecture that `body` writes down.

        Raises:
            InputError: the text isn't valid; the message shows the part that is wrong.
        """

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """The JSON form without the kind."""

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `fields`."""

    @abstractmethod
    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Size of the network for examples of `input_shape` (no batch axis) and `outputs` classes.

        A recurrent cell is one layer for one time step: `(features,)` in, `outputs` units.
        A convolutional cell gets `input_shape` and keeps its height and width; `outputs` are its filters.
        """

    def lines(self, input_shape: tuple[int, ...], outputs: int) -> list[Line]:
        """Its layers in words, as `nas show` prints them; all of it in one line unless a kind says more.

        Args:
            input_shape, outputs: as `cost` takes them.
        """
        cost = self.cost(input_shape, outputs)
        what = ", ".join(f"{name} {value}" for name, value in self.fields().items())
        source = "image" if len(input_shape) == 3 else "x, h"
        costs = cost.parameters, cost.multiply_adds
        return [Line("all", f"{self.kind}: {what}", source, (outputs,), *costs)]

    def text(self) -> str:
        """The short text form, `kind:body`."""
        return f"{self.kind}:{self.body()}"

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": self.kind, **self.fields()}

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class UnknownArchitecture(Architecture):
    """An architecture out of a record that can't be read here: it is shown as its text, and never built.

    Its kind may be a class that nobody but the record names (see `nas.plugins.find`), or its fields may
    not be ones that the kind allows.

    Attributes:
        written: its text form as the record has it, without control characters.
        reason: why it can't be read.
    """

    kind: ClassVar[str] = "unknown"

    written: str
    reason: str = field(compare=False)

    def body(self) -> str:
        return self.written

    def text(self) -> str:
        return self.written

    @classmethod
    def from_body(cls, body: str) -> Self:
        raise InputError(f"an unknown architecture is never made of a text. Received: {body!r}")

    def fields(self) -> dict[str, Any]:
        return {"written": self.written}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        raise InputError(f"an unknown architecture is never made of fields. Received: {fields!r}")

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Raises InputError: nobody knows what it builds."""
        raise InputError(f"the architecture {self.written} can't be built: {self.reason}")


def _class_of(kind: str, trusted: bool) -> type[Architecture]:
    found = plugins.find("architecture", kind, trusted=trusted)
    if not (isinstance(found, type) and issubclass(found, Architecture)):
        raise InputError(f"'{kind}' names no architecture")
    return found


def parse_architecture(text: str, *, trusted: bool = True) -> Architecture:
    """The architecture that a text form writes down.

    Args:
        text: the text form.
        trusted: its kind may be imported (see `nas.plugins.find`): the user wrote it, no file of data.

    Raises:
        InputError: the text has no known kind or its body is wrong.
    """
    kind, colon, body = text.strip().rpartition(":")
    if not colon:
        raise InputError(f"an architecture begins with its kind, as in 'conv:3x3x24@0'. Received: {text!r}")
    return _class_of(kind, trusted).from_body(body)


def architecture_from_json(value: Mapping[str, Any], *, trusted: bool = False) -> Architecture:
    """The architecture whose `to_json` gave `value`.

    Args:
        value: the JSON form.
        trusted: its kind may be imported (see `nas.plugins.find`): this program made it, no file.

    Raises:
        InputError: the kind is unknown, or the fields are wrong.
    """
    if not isinstance(value, Mapping) or "kind" not in value:
        raise InputError(f"the JSON form of an architecture has a 'kind'. Received: {value!r}")
    fields = dict(value)
    return _class_of(str(fields.pop("kind")), trusted).from_fields(fields)


def recorded_architecture(value: Mapping[str, Any], text: str = "") -> Architecture:
    """The architecture whose `to_json` gave `value`, which stands in a record that others may have written.

    Args:
        value: the JSON form.
        text: the text form that stands beside it.

    Returns:
        An `UnknownArchitecture` unless it can be read without importing what only the record names.
    """
    try:
        return architecture_from_json(value)
    except Exception as error:  # a class that reads what it didn't write may fail in any way
        return UnknownArchitecture(
            printable(text or json.dumps(value)), printable(str(error) or type(error).__name__)
        )
