"""The words that all rooms share: proposals, results and what turns one into the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar

from nas.errors import InputError
from nas.spaces.architecture import Architecture, architecture_from_json
from nas.spaces.steps import Tokens


class Status(StrEnum):
    """How a child ended. Everything but `OK` is a failure that the search survives."""

    OK = "ok"
    DIVERGED = "diverged"
    """The loss was no longer a number."""
    OUT_OF_MEMORY = "out_of_memory"
    """The child needed more memory than its slot has, on the host or on the device."""
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """The child raised an error or its process died."""
    LOST = "lost"
    """The search was interrupted while this child ran, more often than it is tried again."""


UNNUMBERED = -1
"""Number of a proposal that no record has numbered yet."""


@dataclass(frozen=True)
class Proposal:
    """One architecture that a controller proposes, with all that it needs to learn from it later.

    Attributes:
        number: counts a search's proposals from 0, without gaps, over restarts and replicas; the record gives
            it when a round begins, until then it is `UNNUMBERED`.
        depth: depth of the step list that `tokens` belong to.
        tokens: the decisions as sampled, before any repair.
        architecture: what they decode to.
        overrides: recipe fields that the controller decided (a predicted learning rate).
        log_probability: natural logarithm of the probability of `tokens` when sampled.
        policy_version: number of updates that the controller had made when it sampled.
    """

    number: int
    depth: int
    tokens: Tokens
    architecture: Architecture
    overrides: Mapping[str, Any] = field(default_factory=dict)
    log_probability: float = 0.0
    policy_version: int = 0

    def to_json(self) -> dict[str, Any]:
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        return out | {
            "tokens": list(self.tokens),
            "architecture": self.architecture.to_json(),
            "overrides": dict(self.overrides),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Proposal:
        return cls(
            **{
                **value,
                "tokens": tuple(value["tokens"]),
                "architecture": architecture_from_json(value["architecture"]),
            }
        )


@dataclass(frozen=True)
class ChildResult:
    """What became of one child.

    Attributes:
        status: how it ended.
        history: one mapping for each finished epoch, e.g. `loss`, `val_loss`, `val_accuracy` (a
            fraction) or `val_perplexity`, `learning_rate`, `seconds`.
        reward: what the controller learns from; the search fills it in by the experiment's rule.
        parameters, multiply_adds: size of the network (see `Cost`).
        latency_seconds: median time of a forward pass for one example, on the child's device; None: it was
            not measured.
        train_seconds: wall time inside the training loop.
        overhead_seconds: the rest of the child's wall time (start, build, compile, load).
        peak_memory_bytes: largest resident size of the child's process.
        seed: of the child's weights, shuffling and augmentation.
        device: where it ran, e.g. `cpu (1 thread)` or `gpu 0`.
        stopped_early: the recipe's rule stopped it as hopeless; its status is still `OK`.
        message: why it failed, in a sentence.
        files: paths of what it left behind (e.g. `weights`), relative to the workspace.
    """

    status: Status
    history: tuple[Mapping[str, float], ...] = ()
    reward: float | None = None
    parameters: int = 0
    multiply_adds: int = 0
    latency_seconds: float | None = None
    train_seconds: float = 0.0
    overhead_seconds: float = 0.0
    peak_memory_bytes: int = 0
    seed: int = 0
    device: str = ""
    stopped_early: bool = False
    message: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    def curve(self, metric: str) -> list[float]:
        """The values of `metric` by epoch.

        Raises:
            InputError: the child recorded no such metric.
        """
        try:
            return [epoch[metric] for epoch in self.history]
        except KeyError:
            known = ", ".join(sorted(self.history[0]))
            raise InputError(f"children of this search record {known}, not '{metric}'") from None

    def to_json(self) -> dict[str, Any]:
        out = asdict(self)
        return out | {"status": str(self.status), "history": [dict(epoch) for epoch in self.history]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChildResult:
        return cls(**{**value, "status": Status(value["status"]), "history": tuple(value["history"])})


@dataclass(frozen=True)
class Job:
    """One evaluation to be done: a proposal with everything that must not depend on when it runs.

    Attributes:
        proposal: what to evaluate.
        seed: for all randomness of the child.
        elders: median of what the recipe watches (`val_accuracy`, say) at each epoch over the children
            of earlier rounds; empty while there are too few.
        folder: where the child may keep files (weights, checkpoints), relative to the workspace;
            empty: it keeps nothing.
    """

    proposal: Proposal
    seed: int
    elders: tuple[float, ...] = ()
    folder: str = ""


class Evaluator(ABC):
    """Turns jobs into results, as many at a time as it has slots.

    An implementation must return a result for every job, whatever happens to it: a child that
    crashes, hangs or eats the memory is a `ChildResult` with that status, never an exception.
    Only `close` and the end of the process may leave a future unresolved; it is then cancelled.
    """

    needs_recipe: ClassVar[bool] = True
    """Whether an experiment must say how a child is trained; one that looks results up need not."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs run at a time."""

    @abstractmethod
    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        """Begins or queues `job`; never blocks on its training. Thread-safe.

        Args:
            job: what to evaluate.
            started: called with the name of the slot when the job really begins.
        """

    def waiting(self) -> str:
        """Why queued jobs wait, in a sentence; empty when none does."""
        return ""

    def running(self) -> dict[int, str]:
        """The slot (e.g. `cpu 1`, `gpu 0`) of each proposal number that is running now."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a later `restore` needs (shared weights, a table's clock); empty for most."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most have no state
        """Takes up the state that another process's evaluator gave."""

    @abstractmethod
    def close(self) -> None:
        """Ends all that runs within 5 seconds and leaves no process behind. Safe to repeat."""

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
