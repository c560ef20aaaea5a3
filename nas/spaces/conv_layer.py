"""One layer of a convolutional network, and its text form such as `3x3x24s2@0+1`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from nas.errors import InputError, nearest

Operation = Literal["conv", "max_pool", "avg_pool"]
OPERATIONS: tuple[str, ...] = get_args(Operation)

_PREFIX = {"conv": "", "max_pool": "max", "avg_pool": "avg"}
_NUMBER = r"([1-9][0-9]{0,5})"
_SOURCE = r"(?:0|[1-9][0-9]{0,5})"
_LAYER = re.compile(
    rf"(|max|avg){_NUMBER}x{_NUMBER}(?:x{_NUMBER})?(?:s{_NUMBER}(?:x{_NUMBER})?)?@({_SOURCE}(?:\+{_SOURCE})*)"
)


@dataclass(frozen=True)
class Layer:
    """One layer: a convolution with batch normalisation and ReLU, or a pooling.

    A pooling of 1×1 does the same by maximum as by average, so that its `op` is always `max_pool`.

    Attributes:
        op: `conv`, `max_pool` or `avg_pool`.
        height, width: of the filters or of the pooling window.
        filters: number of filters of a convolution; 0 for a pooling, which keeps its input's depth.
        inputs: where the input comes from, ascending: 0 is the image, j the output of layer j.
        stride_height, stride_width: steps of the window.

    Raises:
        InputError: a value is not allowed.
    """

    op: Operation
    height: int
    width: int
    filters: int
    inputs: tuple[int, ...] = (0,)
    stride_height: int = 1
    stride_width: int = 1

    def __post_init__(self) -> None:
        if self.op not in OPERATIONS:
            raise InputError(
                f"a layer's op must be known: {nearest(str(self.op), OPERATIONS)}. Received: {self.op!r}"
            )
        for name in ("height", "width", "stride_height", "stride_width"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise InputError(
                    f"a layer's {name} must be a whole number of at least 1. "
                    f"Received: {getattr(self, name)!r}"
                )
        if type(self.filters) is not int or (self.filters < 1 if self.op == "conv" else self.filters != 0):
            raise InputError(
                "a layer's filters must be a whole number, at least 1 for a convolution and 0 for a pooling. "
                f"Received: op={self.op!r}, filters={self.filters!r}"
            )
        if (
            not isinstance(self.inputs, tuple)
            or not self.inputs
            or any(type(source) is not int or source < 0 for source in self.inputs)
            or any(a >= b for a, b in zip(self.inputs, self.inputs[1:], strict=False))
        ):
            raise InputError(
                "a layer's inputs must be a tuple of ascending numbers, 0 for the image and j for layer j. "
                f"Received: {self.inputs!r}"
            )
        if self.op == "avg_pool" and self.height == self.width == 1:
            object.__setattr__(self, "op", "max_pool")

    @property
    def strides(self) -> tuple[int, int]:
        """Steps of the window, down and to the right."""
        return self.stride_height, self.stride_width

    def text(self) -> str:
        """The text form (grammar: see `ConvNet`)."""
        filters = f"x{self.filters}" if self.op == "conv" else ""
        strides = ""
        if self.strides != (1, 1):
            same = self.stride_height == self.stride_width
            strides = f"s{self.stride_height}" if same else f"s{self.stride_height}x{self.stride_width}"
        inputs = "+".join(map(str, self.inputs))
        return f"{_PREFIX[self.op]}{self.height}x{self.width}{filters}{strides}@{inputs}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The layer that a text form writes down; inputs may stand in any order.

        Raises:
            InputError: the text is not a layer.
        """
        match = _LAYER.fullmatch(text)
        if match is None:
            raise InputError(
                f"'{text}' is not a layer; a convolution is written HEIGHTxWIDTHxFILTERS@INPUTS as in "
                "3x3x24@0, a pooling max3x3@1 or avg3x3@1, with strides 3x3x24s2@0, more inputs 3x3x24@1+2"
            )
        prefix, height, width, filters, down, right, inputs = match.groups()
        op: Any = next(op for op, its_prefix in _PREFIX.items() if its_prefix == prefix)
        if (op == "conv") != (filters is not None):
            raise InputError(
                f"'{text}' is not a layer; a convolution has three numbers, HEIGHTxWIDTHxFILTERS, "
                "a pooling two"
            )
        return cls(
            op,
            int(height),
            int(width),
            int(filters or 0),
            tuple(sorted(int(source) for source in inputs.split("+"))),
            int(down or 1),
            int(right or down or 1),
        )

    def fields(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"inputs": list(self.inputs)}

    @classmethod
    def from_fields(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `fields`."""
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or set(value) != set(names):
            raise InputError(f"a layer in JSON has the keys {', '.join(names)}. Received: {value!r}")
        if not isinstance(value["inputs"], list):
            raise InputError(f"a layer's inputs in JSON are a list. Received: {value['inputs']!r}")
        return cls(**{**value, "inputs": tuple(value["inputs"])})
