"""What a record holds, as values: children and batches."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nas.evaluation import ChildResult, Proposal, Status


@dataclass(frozen=True)
class Child:
    """One row of the record: a proposal and what has become of it so far.

    Attributes:
        proposal: as the controller made it.
        batch: number of its batch, from 0.
        seed: of the child's randomness.
        attempts: how often its training was begun.
        slot: where it was begun last.
        started_at, finished_at: seconds since the epoch (Unix time).
        same_as: number of the child whose result it shares, if the search reuses results.
        result: None while it has none.
    """

    proposal: Proposal
    batch: int
    seed: int
    attempts: int = 0
    slot: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    same_as: int | None = None
    result: ChildResult | None = None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Child:
        """The child of a row of the table `children`.

        Raises:
            ValueError, LookupError or TypeError: it is not a row that a search wrote.
        """
        result = ChildResult.from_json(json.loads(row["result"])) if row["result"] else None
        if result is not None:
            try:
                _check_numbers({"reward": result.reward or 0.0, "parameters": result.parameters})
                for epoch in result.history:
                    _check_numbers(epoch)
            except ValueError as error:  # of a user's own trainer, say: one such child hides no other
                result = ChildResult(
                    Status.CRASHED, seed=row["seed"], message=f"its result is wrong: {error}"
                )
        return cls(
            proposal=Proposal.from_json(json.loads(row["proposal"]), row["architecture"]),
            batch=row["batch"],
            seed=row["seed"],
            attempts=row["attempts"],
            slot=row["slot"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            same_as=row["same_as"],
            result=result,
        )

    def judged(self, rule: Callable[[ChildResult], float]) -> Child:
        """The child with the reward that `rule` gives its result now, whatever the record keeps."""
        return (
            self
            if self.result is None
            else replace(self, result=replace(self.result, reward=rule(self.result)))
        )

    @property
    def number(self) -> int:
        return self.proposal.number

    @property
    def reward(self) -> float:
        """What the controller learnt from; not a number while there is no result."""
        return math.nan if self.result is None or self.result.reward is None else self.result.reward

    @property
    def cost_seconds(self) -> float:
        """Training time, or what a table says that it cost; 0 while there is no result."""
        return 0.0 if self.result is None else self.result.train_seconds

    @property
    def status(self) -> str:
        """Status of the result, else `running` or `waiting`."""
        if self.result is not None:
            return str(self.result.status)
        return "running" if self.started_at else "waiting"


@dataclass(frozen=True)
class Batch:
    """One batch: proposals sampled together and the update that they led to.

    A round is the batch of a loop that has one at a time; an epoch of shared weights is a batch without
    children.

    Attributes:
        number: counts a search's batches from 0, over restarts too.
        replica: whose batch it is.
        policy_version: of the policy that sampled it.
        sampled_at, updated_at: Unix time.
        statistics: of the update, by name; None while the batch is open.
    """

    number: int
    replica: int
    policy_version: int
    sampled_at: float
    updated_at: float | None
    statistics: Mapping[str, float] | None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Batch:
        """The batch of a row of the table `batches`."""
        statistics = json.loads(row["statistics"]) if row["statistics"] else None
        _check_numbers(statistics or {})
        return cls(
            row["number"],
            row["replica"],
            row["policy_version"],
            row["sampled_at"],
            row["updated_at"],
            statistics,
        )


def _check_numbers(values: Mapping[str, object]) -> None:
    """Raises ValueError if something else than a number stands among `values`."""
    for name, value in values.items():
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is {value!r}, not a number")
