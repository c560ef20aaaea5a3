"""How fast recurrent layers train: ours beside Keras' LSTM of the same number of parameters, on one core.

    python benchmarks/recurrent.py [--units 200 283] [--rounds 10] [--batch 20] [--window 35] [--json]

A step is forward, backward and SGD of an embedding of 1,000 tokens and one layer on one window, compiled
without XLA. `--units` are those of the cell found; the LSTMs get as many as give the same number of
parameters. In every round each layer makes one step, so that other programs on the machine meet all alike.
Prints for each layer the tokens per second of the median and of the best step, by wall clock and by time of
the processor; the ratio of the latter's median to Keras' LSTM; and the seconds of the first step, most of
which is tracing.

* `keras LSTM`: `keras.layers.LSTM`, which has no cuDNN on a CPU.
* `rnn:lstm`, `cell:…`: `nas.networks.Recurrent`.
* `keras RNN(cell)`: `keras.layers.RNN` of `nas.networks.recurrent_cell_layer`.
* `plain, per node`: `keras.layers.RNN` of the same cell with two matrix products for each leaf.
* `products alone`: the matrix products of the cell's layer and the loop around them, without its tree: what
  no cell of that base can beat.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nas.networks import Recurrent, RecurrentCellLayer, recurrent_cell_layer
from nas.networks.tape import Tape, Value
from nas.spaces import parse_architecture
from nas.spaces.recurrent_cell import RecurrentCell, StandardCell
from nas.training.device import prepare

VOCABULARY = 1000
CELL = "cell:zoph-le-2017"


class PlainCell(keras.layers.Layer):
    """The cell as one would write it down: node by node, two matrix products for each leaf."""

    def __init__(self, architecture: RecurrentCell, units: int) -> None:
        super().__init__()
        self.tree, self.units, self.state_size, self.output_size = architecture, units, [units, units], units

    def build(self, input_shape: Sequence[Any]) -> None:
        sides = {"w": input_shape[-1], "u": self.units}
        self.matrices = [
            {side: self.add_weight(shape=(length, self.units)) for side, length in sides.items()}
            for _ in range(self.tree.base)
        ]

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        (h, c), tape = states, Tape(())
        before: list[Value] = []
        after: list[Value] = []
        for index, node in enumerate(self.tree.nodes):
            children = self.tree.children(index)
            if children is None:
                matrices = self.matrices[index]
                a = Value(ops.matmul(inputs, matrices["w"]))
                b = Value(ops.matmul(h, matrices["u"]))
            else:
                a, b = after[children[0]], after[children[1]]
            before.append(tape.combine(node.combination, a, b))
            after.append(tape.activate(node.activation, before[-1]))
            if index == self.tree.c_in:
                inject = self.tree.inject
                after[-1] = tape.activate(
                    inject.activation, tape.combine(inject.combination, after[-1], Value(c))
                )
        new = [after[-1].tensor, before[self.tree.c_out].tensor]
        return new[0], new


class Products(RecurrentCellLayer):
    """The matrix products of a `RecurrentCell` and nothing of its tree."""

    def __init__(self, architecture: RecurrentCell, units: int) -> None:
        super().__init__(architecture, units)
        self.base, self.state_size = architecture.base, [units, units]

    def build(self, input_shape: Sequence[Any]) -> None:
        self.add_matrices(input_shape[-1], self.base * self.units)

    def project(self, inputs: Any) -> Any:
        return ops.matmul(inputs, self.kernel)

    def products(self) -> list[tuple[Any, Any]]:
        return [(self.recurrent_kernel, None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Any) -> list[Value]:
        both = tape.combine("add", x, tape.product(states[0]))
        return tape.split(both, [self.units] * self.base)[:2]


class ProductsAlone(Recurrent):
    """Runs `Products`."""

    def __init__(self, architecture: RecurrentCell, units: int) -> None:
        super().__init__(architecture, units)
        self.cell = Products(architecture, units)


class Run:
    """A layer in a compiled training step, and the seconds that its steps took."""

    def __init__(self, layer: keras.layers.Layer, units: int, batch: int, window: int) -> None:
        tokens = keras.Input((window,), batch_size=batch, dtype="int32")
        outputs = layer(keras.layers.Embedding(VOCABULARY, units)(tokens))
        self.model = keras.Model(tokens, outputs[0] if isinstance(outputs, list | tuple) else outputs)
        self.model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
        self.parameters = layer.count_params()
        generator = np.random.default_rng(1)
        self._batch = (
            generator.integers(0, VOCABULARY, (batch, window)).astype("int32"),
            generator.normal(size=(batch, window, units)).astype("float32"),
        )
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def step(self) -> None:
        """Trains on one batch."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.model.train_on_batch(*self._batch)
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def lstm_units(parameters: int) -> int:
    """Units of the LSTM on as many features whose number of parameters is nearest to `parameters`."""
    lstm = StandardCell("lstm")
    return min(range(1, 4000), key=lambda units: abs(lstm.cost((units,), units).parameters - parameters))


def measure(units: int, rounds: int, batch: int, window: int) -> list[dict[str, Any]]:
    """One row for each layer, the first for Keras' LSTM."""
    cell = parse_architecture(CELL)
    assert isinstance(cell, RecurrentCell)
    wide = lstm_units(cell.cost((units,), units).parameters)
    keras_rnn = {"return_sequences": True}
    runs = {
        "keras LSTM": Run(keras.layers.LSTM(wide, **keras_rnn), wide, batch, window),
        "rnn:lstm": Run(Recurrent(StandardCell("lstm"), wide), wide, batch, window),
        CELL: Run(Recurrent(cell, units), units, batch, window),
        "cell:lstm": Run(Recurrent(parse_architecture("cell:lstm"), units), units, batch, window),
        "keras RNN(cell)": Run(
            keras.layers.RNN(recurrent_cell_layer(cell, units), **keras_rnn), units, batch, window
        ),
        "plain, per node": Run(keras.layers.RNN(PlainCell(cell, units), **keras_rnn), units, batch, window),
        "products alone": Run(ProductsAlone(cell, units), units, batch, window),
    }
    for _ in range(1 + rounds):
        for run in runs.values():
            run.step()
    tokens, rows = batch * window, []
    reference = statistics.median(runs["keras LSTM"].cpu[1:])
    for name, run in runs.items():
        wall, cpu = run.wall[1:], run.cpu[1:]
        rows.append(
            {
                "layer": name,
                "units": run.model.output_shape[-1],
                "parameters": run.parameters,
                "tokens_per_second": round(tokens / statistics.median(wall)),
                "best_tokens_per_second": round(tokens / min(wall)),
                "tokens_per_cpu_second": round(tokens / statistics.median(cpu)),
                "ratio": round(reference / statistics.median(cpu), 2),
                "first_step_cpu_seconds": round(run.cpu[0], 1),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, nargs="+", default=[200, 283])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--window", type=int, default=35)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    prepare({"kind": "cpu", "threads": 1})
    rows = [
        row
        for units in options.units
        for row in measure(units, options.rounds, options.batch, options.window)
    ]
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'layer':<19} units parameters  tokens/s  (best)  per CPU s  ratio  first step")
    for row in rows:
        print(
            f"{row['layer']:<19} {row['units']:>5} {row['parameters']:>10} {row['tokens_per_second']:>9} "
            f"{row['best_tokens_per_second']:>7} {row['tokens_per_cpu_second']:>10} {row['ratio']:>6.2f} "
            f"{row['first_step_cpu_seconds']:>9} s"
        )


if __name__ == "__main__":
    main()
