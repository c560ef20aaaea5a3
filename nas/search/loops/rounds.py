"""Rounds: the synchronous loop, one batch after the other."""

from __future__ import annotations

from nas.search.loops.loop import Loop


class Rounds(Loop):
    """One batch at a time: the next is sampled from the policy that learnt from all before it.

    Source: Zoph & Le (2017, §3.3) with one replica. Deterministic: a search ends equal however often and
    whenever it is interrupted.
    """

    def next_replica(self) -> int | None:
        return None if self._open else 0
