"""Isolated work waits for a slot in words, and its end is waited for in bounds."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from nas.errors import SearchError
from nas.workers import isolated
from nas.workers.slots import Lease, Slot


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Slot]:
    """The one slot of the machine."""
    monkeypatch.setenv("NAS_LEASES", str(tmp_path))
    return [Slot("cpu-0", 1)]


def test_a_free_slot_is_taken_without_a_word_and_given_back(
    only: list[Slot], caplog: pytest.LogCaptureFixture
) -> None:
    with isolated.free_slot(only) as slot:
        assert Lease.take(slot) is None
    lease = Lease.take(slot)
    assert lease is not None
    lease.release()
    assert caplog.records == []


def test_who_waits_for_a_slot_says_once_for_whom(
    only: list[Slot], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Lease.take(Slot("cpu-0", 1))
    assert held is not None
    polls: list[float] = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            held.release()

    monkeypatch.setattr(isolated.time, "sleep", sleep)
    with caplog.at_level(logging.INFO, logger="nas"), isolated.free_slot(only):
        assert len(polls) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for a free slot: cpu-0 is held by process {os.getpid()}"
    ]


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("exit 3", r"it called sys.exit\(3\)"),
        ("interrupt", "KeyboardInterrupt"),
        ("exit 0", "exit code 0 and without an answer"),
        ("killed", "killed by signal 9"),
        ("error that cannot be read", "1 and 2"),
        ("answer of code", "can't be written as JSON"),
        ("search error", "stop all of it"),
    ],
)
def test_whatever_way_work_ends_is_told_in_a_sentence_with_the_place_of_its_log(
    only: list[Slot], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, message: str
) -> None:
    monkeypatch.setattr(isolated, "PRELOAD", ("tests.fakes",))
    monkeypatch.setattr(isolated, "CARRY_OUT", "tests.fakes:end_isolated")
    log = tmp_path / "logs" / "work.log"
    with pytest.raises(SearchError, match=message) as caught:
        isolated.run_isolated("some.module:work", {"way": way}, log, candidates=only)
    assert way == "search error" or str(log) in str(caught.value)
    assert "before the end" in log.read_text()
    lease = Lease.take(Slot("cpu-0", 1))
    assert lease is not None
    lease.release()
