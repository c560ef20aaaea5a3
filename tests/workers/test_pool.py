"""Children run in fresh processes, and whatever happens to one is a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.errors import InputError
from nas.evaluation import ChildResult, Status
from nas.workers import isolated
from nas.workers import pool as room
from nas.workers.pool import ChildPool
from nas.workers.slots import Lease, Slot
from nas.workspace import Workspace
from tests import fakes
from tests.factories import job, tiny_experiment

ROOT = Path(__file__).parents[2]


@contextmanager
def pool(folder: Path, trainer: str, **changes: Any) -> Iterator[ChildPool]:
    with ChildPool(
        experiment=tiny_experiment(folder, **changes),
        data_folder=folder / "data",
        workspace=Workspace(folder),
        logs=folder / "logs",
        trainer=f"tests.fakes:{trainer}",
    ) as made:
        yield made


def finish(futures: list[Future[ChildResult]]) -> list[ChildResult]:
    wait(futures, timeout=60)
    return [future.result(timeout=0) for future in futures]


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # perhaps between two looks
        return False


def until(condition: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def test_every_child_has_a_process_of_its_own_that_does_not_import_our_main_module(tmp_path: Path) -> None:
    with pool(tmp_path, "tell_surroundings") as children:
        results = finish([children.submit(job(number, seed=number)) for number in range(4)])
    facts = [json.loads(result.message) for result in results]
    assert len({fact["pid"] for fact in facts}) == 4
    assert os.getpid() not in {fact["pid"] for fact in facts}
    assert {fact["main"] for fact in facts} == {None}
    assert facts[0]["device"] == {"kind": "cpu", "threads": 1}
    assert not list((tmp_path / "logs").glob("*"))  # output is kept of failures only


def test_the_slot_is_told_when_a_child_begins_and_overhead_is_what_was_not_training(tmp_path: Path) -> None:
    begun: list[str] = []
    with pool(tmp_path, "train_by_tokens") as children:
        result = children.submit(job(), begun.append).result(timeout=60)
        assert children.running() == {}
    assert begun in (["cpu-0"], ["cpu-1"])
    assert result.ok
    assert result.overhead_seconds > 0


def test_no_more_children_run_than_there_are_slots_and_the_rest_says_why_it_waits(tmp_path: Path) -> None:
    with pool(tmp_path, "hang") as children:
        for number in range(3):
            children.submit(job(number))
        assert until(lambda: len(children.running()) == 2, 30)
        assert set(children.running().values()) == {"cpu-0", "cpu-1"}
        assert children.waiting() == "1 queued for 2 slots"


@pytest.mark.parametrize(
    ("trainer", "changes", "status", "message"),
    [
        ("raise_error", {}, Status.CRASHED, "ValueError: the fake training went wrong"),
        ("kill_itself", {}, Status.CRASHED, "killed by signal 9"),
        ("hang", {"workers__time_limit_minutes": 0.01}, Status.TIMEOUT, "time limit of 0.01 minutes"),
        ("eat_memory", {"workers__memory_limit_gb": 0.4}, Status.OUT_OF_MEMORY, "limit of 0.4 GiB"),
        ("no_such_function", {}, Status.CRASHED, "no_such_function"),
        ("answer_nonsense", {}, Status.CRASHED, "not a result"),
    ],
)
def test_a_failed_child_is_a_result_with_its_status(
    tmp_path: Path, trainer: str, changes: dict[str, Any], status: Status, message: str
) -> None:
    with pool(tmp_path, trainer, **changes) as children:
        result = children.submit(job(number=5, seed=9)).result(timeout=60)
    assert result.status is status
    assert message in result.message
    assert result.seed == 9
    assert result.device.startswith("cpu-")
    assert (tmp_path / "logs" / "child-000005.log").exists()
    assert result.message.endswith("logs/child-000005.log")


def test_a_child_that_dies_harms_neither_its_neighbour_nor_the_queue(tmp_path: Path) -> None:
    with pool(tmp_path, "fail_odd_seeds") as children:
        results = finish([children.submit(job(number, seed=number)) for number in range(6)])
    assert [result.status for result in results] == [Status.OK, Status.CRASHED] * 3


def test_closing_ends_running_children_cancels_queued_ones_and_is_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("NAS_TEST_TRAININGS", str(notes))
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.workers.test_pool import *\n"
        "with pool(Path(sys.argv[1]), 'hang') as children:\n"
        "    futures = [children.submit(job(n)) for n in range(3)]\n"
        "    until(lambda: len(children.running()) == 2 and Path(sys.argv[2]).exists()\n"
        "          and len(Path(sys.argv[2]).read_text().split()) == 4, 30)\n"
        "    begun = time.monotonic()\n"
        "print(time.monotonic() - begun, [f.cancelled() for f in futures])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(notes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    seconds, _, cancelled = done.stdout.partition(" ")
    assert float(seconds) < 5
    assert cancelled.strip() == "[True, True, True]"
    pids = [int(line.split()[1]) for line in notes.read_text().splitlines()]
    assert len(pids) == 2
    assert until(lambda: not any(alive(pid) for pid in pids), 5)


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended may stand as a zombie where nobody collects orphans."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_children_do_not_outlive_a_search_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_number: signal.Signals
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("NAS_TEST_TRAININGS", str(notes))
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.workers.test_pool import *\n"
        "opened = pool(Path(sys.argv[1]), 'hang')\n"
        "children = opened.__enter__()\n"
        "for n in range(2): children.submit(job(n))\n"
        "time.sleep(120)\n"
    )
    search = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    assert until(lambda: notes.exists() and len(notes.read_text().split()) == 4, 60)
    pids = [int(line.split()[1]) for line in notes.read_text().splitlines()]
    family = psutil.Process(search.pid).children(recursive=True)
    search.send_signal(signal_number)
    search.wait(timeout=10)
    assert until(lambda: not any(alive(pid) for pid in pids), 5)
    assert until(lambda: not any(map(lives, family)), 5)


@pytest.mark.parametrize("limit", [None, 2.0])
def test_whatever_way_a_process_ends_its_child_has_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> None:
    monkeypatch.setattr(isolated, "EXIT_SECONDS", 1.0)
    expected = {
        "exit 3": "sys.exit(3)",
        "exit in words": "sys.exit(no GPU for me)",
        "exit speechless": "its message can't be shown",
        "exit 255": "exit code 255",
        "exit 77": "exit code 77",
        "exit 0": "exit code 0 and without an answer",
        "interrupt": "KeyboardInterrupt",
        "generator": "GeneratorExit",
        "error that cannot be read": "1 and 2",
        "error without text": "RuntimeError",
        "search error": "stop all of it",
        "answer of code": "can't be written as JSON",
        "answer without text": "can't be written as JSON",
        "answer too large": "67 MiB",
        "answer too deep": "can't be written as JSON",
        "half an answer": "without an answer",
        "killed": "signal 9",
        "killed in the answer": "",
        "pipes closed": "without an answer",
        "helper": None,
        "thread": None,
    }
    assert set(expected) == set(fakes.ENDS)
    with pool(tmp_path, "end_in_a_way", workers__time_limit_minutes=limit) as children:
        told = finish([children.submit(job(number, way=way)) for number, way in enumerate(expected)])
    for (way, message), result in zip(expected.items(), told, strict=True):
        assert result.status is (Status.OK if message is None else Status.CRASHED), (way, result)
        assert (message or "") in result.message, way
    assert "before the end" in (tmp_path / "logs" / "child-000000.log").read_text()


def test_a_log_keeps_the_end_of_what_a_child_prints_and_stays_small(tmp_path: Path) -> None:
    with pool(tmp_path, "print_for_ever", workers__time_limit_minutes=0.05) as children:
        assert children.submit(job()).result(timeout=60).status is Status.TIMEOUT
    log = (tmp_path / "logs" / "child-000000.log").read_bytes()
    assert 2**20 < len(log) <= isolated.LOG_BYTES + 2**17
    assert b"bytes are left out" in log[:100]
    assert log.rstrip().endswith((b"and on", b"and o", b"and ", b"and"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no signal of a parent's death")
def test_a_child_that_holds_the_interpreters_lock_does_not_outlive_a_killed_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("NAS_TEST_TRAININGS", str(notes))
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.workers.test_pool import *\n"
        "opened = pool(Path(sys.argv[1]), 'hold_the_interpreter')\n"
        "children = opened.__enter__()\n"
        "for n in range(2): children.submit(job(n))\n"
        "time.sleep(300)\n"
    )
    search = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    assert until(lambda: notes.exists() and len(notes.read_text().split()) == 6, 60)
    pids = [int(pid) for line in notes.read_text().splitlines() for pid in line.split()[1:]]
    family = psutil.Process(search.pid).children(recursive=True)
    assert {process.pid for process in family} > set(pids)
    search.kill()
    search.wait(timeout=10)
    assert until(lambda: not any(alive(process.pid) for process in family), 20)
    for name in ("cpu-0", "cpu-1"):
        lease = Lease.take(Slot(name, 1))
        assert lease is not None
        lease.release()


def test_leases_that_cannot_be_taken_are_told_instead_of_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("NAS_LEASES", str(blocked))
    with pool(tmp_path, "train_by_tokens") as children:
        with pytest.raises(FileExistsError):
            children.submit(job()).result(timeout=30)
        with pytest.raises(FileExistsError):
            children.submit(job(1)).result(timeout=30)


def test_a_device_that_children_cannot_use_stops_the_search_before_its_first_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TRAINER", "tests.fakes:train_by_tokens")
    monkeypatch.setattr(room, "PRELOAD", ("tests.fakes",))
    monkeypatch.setattr(room, "CHECK", "tests.fakes:find_no_gpu")
    begun: list[str] = []
    with pool(tmp_path, "train_by_tokens") as children:
        with pytest.raises(InputError, match="no GPU here"):
            children.submit(job(), begun.append).result(timeout=30)
        with pytest.raises(InputError, match="no GPU here"):
            children.warm_up()
    assert begun == []


def test_a_killed_forkserver_ends_the_search_and_is_no_childs_failure(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from multiprocessing import forkserver\n"
        "from nas.errors import SearchError\n"
        "from tests.workers.test_pool import *\n"
        "with pool(Path(sys.argv[1]), 'hang') as children:\n"
        "    future = children.submit(job())\n"
        "    until(lambda: children.running(), 30); time.sleep(1)\n"
        "    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)\n"
        "    try: future.result(timeout=30)\n"
        "    except SearchError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "start the search again" in done.stdout, done.stderr


def test_a_closed_pool_takes_no_more(tmp_path: Path) -> None:
    with pool(tmp_path, "train_by_tokens") as children:
        pass
    children.close()
    with pytest.raises(InputError, match="closed"):
        children.submit(job())


@pytest.mark.parametrize("held", [False, True])
def test_closing_cancels_isolated_work_that_runs_or_waits_for_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    monkeypatch.setattr(isolated, "CARRY_OUT", "tests.fakes:carry_out")
    monkeypatch.setattr(room, "PRELOAD", ("tests.fakes",))
    monkeypatch.setenv("NAS_TEST_TRAININGS", str(tmp_path / "notes"))
    monkeypatch.setenv("NAS_LEASES", str(tmp_path))
    leases = [Lease.take(Slot(f"cpu-{place}", 1)) for place in range(2)] if held else []
    with ThreadPoolExecutor(1) as threads, pool(tmp_path, "train_by_tokens") as children:
        done = threads.submit(children.isolated, "tests.fakes:hang", {"job": {}}, tmp_path / "log")
        assert held or until((tmp_path / "log").exists, 60)
        children.close()
        with pytest.raises(CancelledError):
            done.result(timeout=10)
    for lease in leases:
        assert lease is not None
        lease.release()
