"""How long a training step of NASNet-A takes, against Keras applications' own network and a child of `conv`.

    python benchmarks/nasnet.py [--cells 2] [--filters 32] [--size 64] [--batch 16] [--steps 10] [--json]

For one thread and for two, each in a process of its own: forward pass, gradients and update (SGD with
momentum, no weight decay) of a batch, in TensorFlow's graph mode. The three networks take turns, so that
other programs slow all of them down. Prints medians after warm-up, as wall and as CPU time (they differ where
other programs want the cores too): seconds of a step, nanoseconds for each multiply-add of a forward pass,
and the ratios of the latter. Both NASNets are for large images, with equal N, F, stem and image size, and
have the same parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CONV = "conv:3x3x36@0,3x3x36@0+1,5x5x36@1+2,3x3x48@2+3,3x3x48@0+4,3x3x48@4+5"
CLASSES, WARM_UP = 10, 3


def measure(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Times of all three networks, by name."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from keras.src.applications.nasnet import NASNet

    from nas.networks import Settings, build_network
    from nas.spaces import parse_architecture
    from nas.spaces.nasnet_stack import ImageNetStack

    shape = (options.size, options.size, 3)
    stack = ImageNetStack(options.cells, options.filters)
    cells, conv = parse_architecture("nasnet:nasnet-a"), parse_architecture(CONV)
    ours = build_network(cells, Settings(shape, CLASSES, 0, weight_decay=0.0, stack=stack)).model
    theirs = NASNet(
        shape,
        penultimate_filters=24 * options.filters,
        num_blocks=options.cells,
        stem_block_filters=stack.stem_filters,
        skip_reduction=False,
        weights=None,
        classes=CLASSES,
    )
    if ours.count_params() != theirs.count_params():
        raise SystemExit(
            f"{ours.count_params()} and {theirs.count_params()} parameters: not the same network"
        )
    child = build_network(conv, Settings((32, 32, 3), CLASSES, 0, weight_decay=0.0)).model
    size = stack.cost(cells, shape, CLASSES).multiply_adds
    networks = {
        "ours": (ours, size),
        "keras": (theirs, size),
        "conv": (child, conv.cost((32, 32, 3), CLASSES).multiply_adds),
    }
    steps = {name: step(model, options.batch) for name, (model, _) in networks.items()}
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    times: dict[tuple[str, str], list[float]] = {(name, clock): [] for name in steps for clock in clocks}
    for _ in range(WARM_UP + options.steps):
        for name, one in steps.items():
            begun = {clock: now() for clock, now in clocks.items()}
            one()
            for clock, now in clocks.items():
                times[name, clock].append(now() - begun[clock])
    facts: dict[str, Any] = {"multiply_adds": {name: count for name, (_, count) in networks.items()}}
    for clock in clocks:
        seconds = {name: statistics.median(times[name, clock][WARM_UP:]) for name in networks}
        cost = {name: 1e9 * seconds[name] / options.batch / networks[name][1] for name in networks}
        facts[clock] = {
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "ns_per_multiply_add": {name: round(value, 4) for name, value in cost.items()},
            "ours_to_keras": round(cost["ours"] / cost["keras"], 3),
            "ours_to_conv": round(cost["ours"] / cost["conv"], 3),
        }
    return facts


def step(model: Any, batch: int) -> Callable[[], Any]:
    """A training step of `model` on one random batch."""
    import keras
    import numpy as np

    generator = np.random.default_rng(0)
    images = generator.normal(size=(batch, *model.input_shape[1:])).astype("float32")
    labels = generator.integers(CLASSES, size=batch)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,
    )
    return lambda: model.train_on_batch(images, labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, help="measures with so many alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.threads:
        print(json.dumps(measure(options, options.threads)))
        return
    facts: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count()}
    for threads in (1, 2):
        command = [sys.executable, *sys.argv, "--threads", str(threads)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        facts[f"threads_{threads}"] = json.loads(output.splitlines()[-1])
    if options.json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name:<12} {value}")


if __name__ == "__main__":
    main()
