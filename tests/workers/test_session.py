"""A session keeps what it holds between requests, and every way in which it ends is told in a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nas.errors import InputError, SearchError
from nas.evaluation import Status
from nas.workers import isolated, session
from nas.workers.isolated import WorkError, free_lease
from nas.workers.session import Session, SessionEndedError
from nas.workers.slots import Lease, Slot
from tests.workers.test_pool import ROOT, alive, until

SLOT = Slot("cpu-0", 1)
Opened = Callable[..., Session]


def begin(**options: Any) -> Session:
    limits = {key: options.pop(key) for key in ("memory_limit_gb", "seconds", "log") if key in options}
    return Session("tests.fakes:Served", options, free_lease([SLOT]), preload=("tests.fakes",), **limits)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Begins sessions on the one slot of this machine, and ends them."""
    monkeypatch.setenv("NAS_LEASES", str(tmp_path))
    begun: list[Session] = []

    def make(**options: Any) -> Session:
        begun.append(begin(**options))
        return begun[-1]

    yield make
    for one in begun:
        one.close()


def is_free() -> bool:
    lease = Lease.take(SLOT)
    if lease is not None:
        lease.release()
    return lease is not None


def test_what_a_session_holds_stays_between_requests(opened: Opened) -> None:
    served = opened(start=5)
    assert served.request("add") == 6
    assert served.request("add", {"amount": 10}) == 16
    facts = served.request("facts")
    assert facts["count"] == 16
    assert facts["pid"] != os.getpid()
    assert served.request("facts") == facts


def test_values_cross_as_json_and_numbers_of_numpy_as_plain_ones(opened: Opened) -> None:
    served = opened()
    assert served.request("echo", {"value": {"a": (1, np.float64(0.5)), "b": None}}) == {
        "a": [1, 0.5],
        "b": None,
    }
    with pytest.raises(InputError, match="can't be written as JSON"):
        served.request("echo", {"value": object()})
    assert served.request("add") == 1


def test_a_slot_is_leased_while_its_session_lives_and_free_afterwards(opened: Opened) -> None:
    served = opened()
    assert not is_free()
    assert served.slot == SLOT
    served.close()
    assert is_free()


def test_requests_of_many_threads_are_answered_one_at_a_time(opened: Opened) -> None:
    served = opened()
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: served.request("add"), range(40)))
    assert sorted(told) == list(range(1, 41))


@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        ("exit 3", WorkError, r"it called sys.exit\(3\)"),
        ("interrupt", WorkError, "KeyboardInterrupt"),
        ("error that cannot be read", WorkError, "1 and 2"),
        ("search error", SearchError, "stop all of it"),
        ("answer of code", WorkError, "can't be written as JSON"),
        ("answer too large", WorkError, "keep large results in files"),
        ("answer too deep", WorkError, "can't be written as JSON"),
    ],
)
def test_an_error_answers_its_request_alone(
    opened: Opened, way: str, error: type[Exception], message: str
) -> None:
    served = opened(start=3)
    with pytest.raises(error, match=message):
        served.request("end_in_a_way", {"way": way})
    assert served.request("add") == 4
    assert served.ended is None


@pytest.mark.parametrize("name", ["ad", "_hidden", "__init__", "count", "no such thing"])
def test_only_public_methods_answer(opened: Opened, name: str) -> None:
    served = opened()
    with pytest.raises(InputError, match=f"Served answers no request '{name}'"):
        served.request(name)
    with pytest.raises(WorkError, match="TypeError"):
        served.request("add", {"amonut": 1})
    assert served.request("add") == 1


@pytest.mark.parametrize(
    ("method", "arguments", "status", "message"),
    [
        ("end_in_a_way", {"way": "killed"}, Status.CRASHED, "killed by signal 9"),
        ("end_in_a_way", {"way": "exit 255"}, Status.CRASHED, "exit code 255"),
        ("end_in_a_way", {"way": "exit 0"}, Status.CRASHED, "exit code 0"),
        ("end_in_a_way", {"way": "half an answer"}, Status.CRASHED, "exit code 0"),
        ("end_in_a_way", {"way": "pipes closed"}, Status.CRASHED, "exit code 1"),
        ("hang", {}, Status.TIMEOUT, "time limit"),
        ("stop", {}, Status.TIMEOUT, "time limit"),
        ("eat", {}, Status.OUT_OF_MEMORY, "memory limit of 0.4 GiB"),
    ],
)
def test_every_end_is_told_to_who_waits_and_to_who_comes(
    opened: Opened, tmp_path: Path, method: str, arguments: dict[str, Any], status: Status, message: str
) -> None:
    served = opened(memory_limit_gb=0.4, log=tmp_path / "log")
    pid = served.request("facts")["pid"]
    with pytest.raises(SessionEndedError, match=message) as caught:
        served.request(method, arguments, seconds=1.0 if status is Status.TIMEOUT else 60.0)
    assert caught.value.status is status
    with pytest.raises(SessionEndedError, match=message) as again:
        served.request("add")
    assert (again.value.status, again.value.reason) == (status, caught.value.reason)
    assert not alive(pid)
    assert is_free()


def test_a_process_that_answers_unasked_is_ended(opened: Opened) -> None:
    served = opened()
    served.request("answer_twice")
    assert until(lambda: served.ended is not None, 10)
    with pytest.raises(SessionEndedError, match="without being asked"):
        served.request("add")


def test_the_sessions_time_limit_holds_for_each_request(opened: Opened) -> None:
    served = opened(seconds=1.5)
    with pytest.raises(SessionEndedError) as caught:
        served.request("hang")
    assert caught.value.status is Status.TIMEOUT


@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        ("search error", SearchError, "stop all of it"),
        ("exit in words", WorkError, "no GPU for me"),
        ("exit 0", SessionEndedError, "exit code 0"),
    ],
)
def test_a_session_that_cannot_be_built_says_why_and_leaves_its_slot(
    opened: Opened, way: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        opened(way=way)
    assert is_free()


def test_options_that_cannot_cross_are_refused_and_leave_the_slot(opened: Opened) -> None:
    with pytest.raises(InputError, match=r"the options of tests\.fakes:Served can't be written as JSON"):
        opened(start=object())
    with pytest.raises(WorkError, match="TypeError"):
        opened(strat=1)
    assert is_free()


def test_what_a_session_prints_is_kept_within_bounds_and_never_stops_it(
    opened: Opened, tmp_path: Path
) -> None:
    served = opened(log=tmp_path / "logs" / "session.log")
    served.request("print_much")
    served.request("print_later")  # between requests, when nobody waits for an answer
    assert served.request("add") == 1
    served.close()
    assert 2**20 < (tmp_path / "logs" / "session.log").stat().st_size <= isolated.LOG_BYTES + 2**17


def test_closing_ends_a_request_that_runs_and_one_that_waits_for_its_turn(opened: Opened) -> None:
    served = opened()
    pid = served.request("facts")["pid"]
    told: list[SessionEndedError] = []

    def ask(method: str) -> None:
        try:
            served.request(method)
        except SessionEndedError as error:
            told.append(error)

    threads = [threading.Thread(target=ask, args=(method,)) for method in ("hang", "add")]
    for thread in threads:
        thread.start()
    assert until(served._turn.locked, 10)
    served.close()
    served.close()
    for thread in threads:
        thread.join(5)
    assert [(error.status, error.reason) for error in told] == [(Status.LOST, "the session was closed")] * 2
    assert not alive(pid)
    assert is_free()


def test_an_answer_that_nobody_waits_for_any_more_is_no_other_requests(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = opened()

    class Interrupted(session.Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> Any:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "Future", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            served.request("echo", {"value": "first"})
    assert served.request("echo", {"value": "second"}) == "second"


@pytest.mark.parametrize("method", ["hang", "hold_the_interpreter"])
def test_a_session_does_not_outlive_a_search_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if method == "hold_the_interpreter" and not sys.platform.startswith("linux"):
        pytest.skip("macOS has no signal of a parent's death")
    monkeypatch.setenv("NAS_TEST_TRAININGS", str(tmp_path / "notes"))
    monkeypatch.setenv("NAS_LEASES", str(tmp_path))
    script = f"from tests.workers.test_session import *\nbegin().request({method!r})\n"
    search = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    notes = tmp_path / "notes"
    assert until(lambda: notes.exists() and notes.read_text().endswith("\n"), 60)
    family = psutil.Process(search.pid).children(recursive=True)
    assert int(notes.read_text().split()[1]) in {one.pid for one in family}
    search.send_signal(signal.SIGKILL)
    search.wait(timeout=10)
    assert until(lambda: not any(alive(one.pid) for one in family), 20)
    assert is_free()
