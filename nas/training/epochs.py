"""The loop over epochs that all trainers share: it goes on where it was, and stops at the median."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from nas.training.checkpoint import Checkpoint
from nas.training.run import DivergedError, Run

STEPS_PER_EXECUTION = 64
"""Most training steps for one call from Python: a NaN loss is noticed as late as that."""


def train_epochs(
    run: Run,
    epoch: Callable[[int], Mapping[str, float]],
    variables: Sequence[keras.Variable],
    data_digest: str,
) -> None:
    """Trains until the last epoch, or until the recipe's median stopping ends it.

    With `run.folder`, an interrupted training goes on after its last finished epoch, as if it had never
    stopped. The checkpoint stays there: whoever begins a finished training again, because its result was
    lost on the way, gets that result at once.

    Args:
        run: its history grows by one mapping for each epoch.
        epoch: trains and judges the epoch of a number (from 0) and returns what it measured.
        variables: all that changes in training; what is saved and restored.
        data_digest: of the prepared data.

    Raises:
        DivergedError: `epoch` found that the loss was not finite.
    """
    recipe = run.recipe
    definition = {
        "architecture": run.architecture.to_json(),
        "recipe": recipe.to_json(),
        "seed": run.seed,
        "data": data_digest,
    }
    checkpoint = Checkpoint(run.folder, definition) if run.folder is not None else None
    if checkpoint is not None and (state := checkpoint.load(variables)) is not None:
        run.history.extend(state["history"])
        run.train_seconds = state["train_seconds"]
    while len(run.history) < recipe.epochs:
        if recipe.stops_at_median([done[recipe.watched] for done in run.history], run.median_curve):
            run.stopped_early = True
            return
        begun, before = time.perf_counter(), run.train_seconds
        try:
            measured = epoch(len(run.history))
        finally:
            run.train_seconds = before + time.perf_counter() - begun
        run.history.append({**measured, "seconds": time.perf_counter() - begun})
        if checkpoint is not None:
            checkpoint.save(variables, {"history": run.history, "train_seconds": run.train_seconds})


class StopAtOnce(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training when the loss is NaN or infinite.

    Args:
        epoch: number of the epoch (from 0), for the message.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        check_finite((logs or {})["loss"], f"in epoch {self._epoch + 1}")


def check_finite(loss: Any, when: str) -> None:
    """Raises DivergedError if the loss is NaN or infinite."""
    if not math.isfinite(float(loss)):
        raise DivergedError(f"the loss was {float(loss)} {when}")


def steps_per_execution(steps: int, wanted: int | str = "auto") -> int:
    """Training steps for each call from Python: those that are wanted, or an epoch in equal parts.

    Args:
        steps: of an epoch.
        wanted: a number, or `auto`.
    """
    if isinstance(wanted, int):
        return min(wanted, steps)
    return math.ceil(steps / math.ceil(steps / STEPS_PER_EXECUTION))
