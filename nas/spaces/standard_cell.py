"""Hand-made baselines: the LSTM and the GRU, trained and judged like the cells found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast, get_args

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.costs import check_recurrent_task

Name = Literal["lstm", "gru"]
NAMES: tuple[str, ...] = get_args(Name)


@dataclass(frozen=True)
class StandardCell(Architecture):
    """A recurrent cell that everybody knows, with the equations and parameters of Keras' own layers.

    * `lstm` (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000): four gates, each
      W x_t + U h_{t−1} + b; the state is h and c.
    * `gru` (Cho et al. 2014, v3): three gates, each with two biases because the reset gate is applied
      after the matrix product (`reset_after=True`, Keras' default); the state is h.

    Text form: `rnn:lstm` or `rnn:gru`.

    Attributes:
        name: `lstm` or `gru`.

    Raises:
        InputError: the name is unknown.
    """

    kind: ClassVar[str] = "rnn"
    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((200,), 200)

    name: Name

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(
                f"a hand-made cell must be known: {nearest(str(self.name), NAMES)}. Received: {self.name!r}"
            )

    def cost(self, input_shape: Sequence[int], outputs: int) -> Cost:
        """Size of the cell as one layer of `outputs` units, for one time step of one sequence.

        Args:
            input_shape: (features,) of x_t.
            outputs: units, the length of h_t.
        """
        features, units = check_recurrent_task(input_shape, outputs)
        gates, biases = (4, 1) if self.name == "lstm" else (3, 2)
        weights = gates * (features + units) * units
        return Cost(weights + gates * biases * units, weights)

    def body(self) -> str:
        return self.name

    @classmethod
    def from_body(cls, body: str) -> Self:
        if body not in NAMES:
            raise InputError(
                f"a hand-made cell is written rnn:{' or rnn:'.join(NAMES)}. Received: '{body}'; "
                f"{nearest(body, NAMES)}"
            )
        return cls(cast(Name, body))

    def fields(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"name"}:
            raise InputError(f"a hand-made cell in JSON has the key name. Received: {dict(fields)!r}")
        return cls(**fields)
