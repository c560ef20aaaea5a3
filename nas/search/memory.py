"""Records in memory: what a search needs of a record, and one that is forgotten when the process ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from nas.evaluation import ChildResult, Proposal
from nas.search.rows import Batch, Child

States = Mapping[str, Any]
"""States by owner: `policy`, `replica 0`, `evaluator`."""


class SearchRecord(Protocol):
    """What a search and its loop need of a record; `nas.search.record.Record` tells what each does."""

    keeps_states: bool
    """Whether states that are given to it are kept; making them for one that forgets them is waste."""

    def begin_batch(
        self,
        proposals: Sequence[Proposal],
        seeds: Sequence[int],
        states: States,
        *,
        policy_version: int = 0,
        replica: int = 0,
    ) -> Batch: ...

    def begin_child(self, number: int, slot: str) -> None: ...

    def stop_child(self, number: int) -> None: ...

    def end_child(self, number: int, result: ChildResult, same_as: int | None = None) -> None: ...

    def end_batch(
        self, number: int, statistics: Mapping[str, float], states: States, *, policy_version: int = 0
    ) -> None: ...

    def state(self, owner: str, version: int | None = None) -> Any: ...

    def set_meta(self, key: str, value: Any) -> None: ...

    def batch(self, number: int) -> Batch: ...

    def open_batches(self) -> list[Batch]: ...

    def child(self, number: int) -> Child: ...

    def children(self, batch: int | None = None) -> list[Child]: ...

    def curves(self, metric: str, first: int, before: int) -> Iterable[list[float]]: ...

    def twins_before(self, child: Child) -> list[Child]: ...

    def count(self, status: str | None = None) -> int: ...

    def count_batches(self) -> int: ...

    def cost_seconds(self) -> float: ...


class MemoryRecord:
    """A record that nothing is written of: thousands of searches in a table take minutes with it.

    It keeps no state: a search on it can't be gone on with by another process. Not thread-safe.
    """

    keeps_states = False

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._children: list[Child] = []
        self._open: dict[int, Batch] = {}
        self._first: list[int] = []
        self._cost = 0.0

    def begin_batch(
        self,
        proposals: Sequence[Proposal],
        seeds: Sequence[int],
        states: States,
        *,
        policy_version: int = 0,
        replica: int = 0,
    ) -> Batch:
        batch = Batch(len(self._batches), replica, policy_version, 0.0, None, None)
        self._first.append(len(self._children))
        for proposal, seed in zip(proposals, seeds, strict=True):
            numbered = replace(proposal, number=len(self._children))
            self._children.append(Child(numbered, batch.number, seed))
        self._batches.append(batch)
        self._open[batch.number] = batch
        return batch

    def begin_child(self, number: int, slot: str) -> None:
        """Nothing: an attempt that ends with the process needn't be counted."""

    def stop_child(self, number: int) -> None:
        """Nothing, as `begin_child` notes nothing."""

    def end_child(self, number: int, result: ChildResult, same_as: int | None = None) -> None:
        child = self._children[number]
        if child.result is None:
            self._children[number] = replace(child, result=result, same_as=same_as)
            self._cost += 0.0 if same_as is not None else result.train_seconds

    def end_batch(
        self, number: int, statistics: Mapping[str, float], states: States, *, policy_version: int = 0
    ) -> None:
        done = replace(self._batches[number], updated_at=0.0, statistics=statistics)
        self._batches[number] = done
        del self._open[number]

    def state(self, owner: str, version: int | None = None) -> Any:
        return None

    def set_meta(self, key: str, value: Any) -> None:
        """Nothing: nobody reads it."""

    def batch(self, number: int) -> Batch:
        return self._batches[number]

    def open_batches(self) -> list[Batch]:
        return list(self._open.values())

    def child(self, number: int) -> Child:
        return self._children[number]

    def children(self, batch: int | None = None) -> list[Child]:
        if batch is None:
            return list(self._children)
        last = self._first[batch + 1] if batch + 1 < len(self._first) else len(self._children)
        return self._children[self._first[batch] : last]

    def curves(self, metric: str, first: int, before: int) -> Iterable[list[float]]:
        for batch in range(first, before):
            for child in self.children(batch):
                if child.result is not None and child.result.ok:
                    yield child.result.curve(metric)

    def twins_before(self, child: Child) -> list[Child]:
        return [
            other
            for other in self._children[: child.number]
            if other.proposal.architecture == child.proposal.architecture
            and other.proposal.overrides == child.proposal.overrides
        ]

    def count(self, status: str | None = None) -> int:
        if status is None:
            return len(self._children)
        results = [child.result for child in self._children if child.result is not None]
        return len(results) if status == "finished" else sum(str(r.status) == status for r in results)

    def count_batches(self) -> int:
        return len(self._batches)

    def cost_seconds(self) -> float:
        return self._cost
