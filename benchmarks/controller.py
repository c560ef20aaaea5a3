"""How long the controller takes: 8 architectures of 12 layers with links, and one update.

    python benchmarks/controller.py [--rounds 200] [--json]

Prints medians after warm-up, in milliseconds on one core: of proposing (decoding included), of learning, and
of both together as wall and as CPU time (they differ where other programs want the core too).
"""
# ruff: noqa: E402 - the number of threads must be set before NumPy is imported

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before NumPy is imported

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.controllers.reinforce import Reinforce
from nas.evaluation import ChildResult, Proposal, Status
from nas.spaces.conv import ConvSpace

CHILDREN, LAYERS, WARM_UP = 8, 12, 10


def reward(proposal: Proposal) -> ChildResult:
    """Any reward that differs between architectures."""
    return ChildResult(Status.OK, reward=sum(proposal.tokens) % 100 / 100)


def measure(rounds: int) -> dict[str, float]:
    """Median milliseconds over `rounds` rounds, by name."""
    controller = Reinforce(ConvSpace(depth=LAYERS), seed=1)
    times: dict[str, list[float]] = {"propose": [], "learn": [], "both": [], "both_cpu": []}
    for begun in range(0, (WARM_UP + rounds) * CHILDREN, CHILDREN):
        cpu, start = time.process_time(), time.perf_counter()
        proposals = controller.propose(CHILDREN, begun)
        proposed = time.perf_counter()
        numbered = [replace(proposal, number=begun + place) for place, proposal in enumerate(proposals)]
        controller.learn([(proposal, reward(proposal)) for proposal in numbered])
        learnt = time.perf_counter()
        times["propose"].append(proposed - start)
        times["learn"].append(learnt - proposed)
        times["both"].append(learnt - start)
        times["both_cpu"].append(time.process_time() - cpu)
    return {f"{name}_ms": round(1e3 * statistics.median(t[WARM_UP:]), 2) for name, t in times.items()}


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = {
        **measure(options.rounds),
        "children": CHILDREN,
        "layers": LAYERS,
        "rounds": options.rounds,
        "processor": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if options.json:
        json.dump(facts, sys.stdout)
        print()
    else:
        for name, value in facts.items():
            print(f"{name:<12} {value}")


if __name__ == "__main__":
    main()
