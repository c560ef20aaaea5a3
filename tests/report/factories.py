"""Searches whose children cost nothing: a real controller learns from results that a formula gives."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.evaluation import ChildResult, Proposal, Status
from nas.experiment import Experiment, fingerprint
from nas.search.record import Record
from nas.testing.controllers import asked
from nas.workspace import Workspace

DIGEST = "0123456789abcdef" * 4
COMMIT = "c" * 40
SLOTS = 4
BEGUN = 1_800_000_000.0
"""When a made search begins (Unix time), so that its record is the same whenever it is made."""

FAILURES = (
    (Status.DIVERGED, "the loss became NaN"),
    (Status.OUT_OF_MEMORY, "it needed more than 4.0 GiB"),
    (Status.CRASHED, "ValueError: <img src=x onerror=alert(1)>"),
    (Status.TIMEOUT, "it ran longer than 5 minutes"),
)

Quality = Callable[[Proposal], float]


def quality(proposal: Proposal) -> float:
    """An accuracy that grows with the sum of the tokens, so that a controller can learn something."""
    tokens = proposal.tokens or (0,)
    return 0.55 + 0.3 * math.tanh(sum(tokens) / len(tokens))


def result(proposal: Proposal, epochs: int = 8, failing: float = 0.06, of: Quality = quality) -> ChildResult:
    """What a child's training might give; depends on nothing but the proposal's number and architecture."""
    text = f"{proposal.number} {proposal.architecture.text()}"
    chance = random.Random(hashlib.sha256(text.encode()).digest())
    seconds = 20 + 40 * chance.random()
    if chance.random() < failing:
        status, message = chance.choice(FAILURES)
        return ChildResult(status, train_seconds=seconds / 3, overhead_seconds=2.0, message=message)
    best = min(0.99, of(proposal) + chance.gauss(0, 0.02))
    history = tuple(
        {"loss": 2 - value, "val_loss": 2.1 - value, "accuracy": value, "val_accuracy": value}
        for epoch in range(epochs)
        for value in (best * (1 - math.exp(-(epoch + 1) / 2.5)),)
    )
    try:
        size = proposal.architecture.cost((8, 8, 1), 10)
        parameters, multiply_adds = size.parameters, size.multiply_adds
    except Exception:  # a recurrent cell has other inputs
        parameters, multiply_adds = 1000 + proposal.number, 5000
    return ChildResult(
        Status.OK,
        history,
        parameters=parameters,
        multiply_adds=multiply_adds,
        train_seconds=seconds,
        overhead_seconds=2.0,
        peak_memory_bytes=2**28,
        seed=proposal.number,
        device="fake",
    )


def make_search(
    experiment: Experiment,
    workspace: Workspace,
    children: int,
    *,
    digest: str = DIGEST,
    open_round: bool = False,
    **how: object,
) -> Path:
    """Fills the record of one search and returns its path.

    Args:
        experiment: with one seed.
        workspace: where the record goes.
        children: how many; the last round may be smaller.
        digest: of the data that it says it was searched on.
        open_round: the last round isn't learnt from yet, and its last child still runs.
        how: see `result`.
    """
    definition = experiment.definition(digest, threads=1)
    path = workspace.record(fingerprint(definition))
    controller = experiment.controller.make("controller", space=experiment.built_space, seed=experiment.seed)
    rule = experiment.reward.make("reward")
    clock = _Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nas.search.record.time.time", clock)
        with Record.hold(path, definition) as record:
            record.set_meta("experiment", experiment.model_dump(mode="json"))
            record.set_meta("names", [experiment.name])
            record.set_meta("git_commit", COMMIT)
            while (left := children - record.count()) > 0:
                proposals = asked(controller, min(left, experiment.search.children_per_round), record.count())
                begun = record.begin_batch(proposals, [proposal.number for proposal in proposals], {})
                pending = open_round and left <= len(proposals)
                told = _train(record, proposals, clock, rule, pending, how)
                if not pending:
                    record.end_batch(begun.number, controller.learn(told), {})
    return path


def _train(record, proposals, clock, rule, pending, how):  # type: ignore[no-untyped-def]
    free = [clock.now] * SLOTS
    told = []
    for place, proposal in enumerate(proposals):
        slot = free.index(min(free))
        clock.now = free[slot]
        record.begin_child(proposal.number, f"cpu {slot}")
        if pending and place == len(proposals) - 1:
            break
        found = result(proposal, **how)
        done = ChildResult(**{**vars(found), "reward": rule(found)})
        clock.now += found.train_seconds + found.overhead_seconds
        record.end_child(proposal.number, done)
        free[slot] = clock.now
        told.append((proposal, done))
    clock.now = max(free)
    return told


class _Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = BEGUN

    def __call__(self) -> float:
        return self.now
