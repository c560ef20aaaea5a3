"""One training in progress: what a recipe's trainer is given, and what it fills in as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import ChildError
from nas.spaces import Architecture


class DivergedError(ChildError):
    """The loss is NaN or infinite."""


@dataclass
class Run:
    """A training, shared by `nas.training.child` and the trainer that the recipe names.

    A trainer is a function `train(run: Run) -> None`. It appends to `history` after every epoch and
    keeps the other fields current, because they are reported even if it raises an error. It raises
    `DivergedError` as soon as the loss is not finite.

    Attributes:
        architecture: what to build.
        recipe: how to train it.
        data: folder of the prepared data.
        seed: of all randomness.
        median_curve: what median stopping compares with at each epoch; see `nas.evaluation.Job`.
        folder: where files may be kept; None: keep nothing. What `files` doesn't name is removed once
            the result is committed and judged.
        device: the slot, as `nas.training.device.prepare` was given it.
        history: one mapping for each finished epoch. The last one tells what the weights measure that are
            saved, by which finals are judged: a trainer that keeps those of an earlier epoch repeats that
            epoch's mapping at the end.
        parameters, multiply_adds: size of the network.
        latency_seconds: of a forward pass for one example, where the recipe asks for it.
        train_seconds: wall time of the training loop, that of an interrupted run included.
        stopped_early: the recipe's rule stopped it.
        files: what it left behind, by what it is (`model`).
    """

    architecture: Architecture
    recipe: Any
    data: Path
    seed: int
    device: Mapping[str, Any]
    median_curve: tuple[float, ...] = ()
    folder: Path | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    parameters: int = 0
    multiply_adds: int = 0
    latency_seconds: float | None = None
    train_seconds: float = 0.0
    stopped_early: bool = False
    files: dict[str, str] = field(default_factory=dict)
