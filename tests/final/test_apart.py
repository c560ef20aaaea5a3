"""Work in a process apart waits for a slot in words, and its end is waited for in bounds."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from nas.experiment import Workers
from nas.final import apart
from nas.workers.slots import Lease, Slot


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The machine has one slot; the list grows whenever its slots are counted."""
    monkeypatch.setenv("NAS_LEASES", str(tmp_path))
    counted: list[int] = []

    def slots(_: Workers) -> list[Slot]:
        counted.append(1)
        return [Slot("cpu-0", 1)]

    monkeypatch.setattr(apart, "slots", slots)
    return counted


def test_a_free_slot_is_taken_without_a_word_and_given_back(
    only: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with apart._free_slot(Workers()) as slot:
        assert Lease.take(slot) is None
    lease = Lease.take(slot)
    assert lease is not None
    lease.release()
    assert caplog.records == []


def test_who_waits_for_a_slot_says_once_for_whom_and_counts_the_slots_once(
    only: list[int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Lease.take(Slot("cpu-0", 1))
    assert held is not None
    polls: list[float] = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            held.release()

    monkeypatch.setattr(apart.time, "sleep", sleep)
    with caplog.at_level(logging.INFO, logger="nas"), apart._free_slot(Workers()):
        assert len(polls) == 3
    assert only == [1]
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for a free slot: cpu-0 is held by process {os.getpid()}"
    ]


def test_a_process_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class Endless:
        """Ignores the time limit of `join`, as pebble's pool does once it is stopped."""

        stopped = False

        def stop(self) -> None:
            self.stopped = True

        def join(self, timeout: float | None = None) -> None:
            over.wait()

    pool: Any = Endless()
    monkeypatch.setattr(apart, "STOP_SECONDS", 0.01)
    waiting = threading.Thread(target=apart._stop, args=(pool,), daemon=True)
    waiting.start()
    waiting.join(20)
    ended = not waiting.is_alive()
    over.set()
    assert ended
    assert pool.stopped
