"""Stand-ins for trainings: functions that an experiment's evaluator can name as its trainer."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from nas.errors import SearchError
from nas.evaluation import ChildResult, Status
from nas.workers.process import _function


def train_by_tokens(job: dict[str, Any]) -> dict[str, Any]:
    """A deterministic accuracy (and perplexity) made of the architecture alone, at once."""
    digest = hashlib.sha256(json.dumps(job["architecture"], sort_keys=True).encode()).digest()
    best = 0.2 + 0.7 * digest[0] / 255
    history = tuple(
        {
            "loss": 1.0 - value,
            "val_loss": 1.1 - value,
            "accuracy": value,
            "val_accuracy": value,
            "val_perplexity": 100.0 / value,
        }
        for value in (best / 2, best)
    )
    result = ChildResult(
        Status.OK, history, parameters=1000 + digest[1], multiply_adds=5000, seed=job["seed"], device="fake"
    )
    return result.to_json()


def train_by_seed(job: dict[str, Any]) -> dict[str, Any]:
    """An accuracy that depends on architecture and seed, after 0.1 to 0.3 seconds, as a training does.

    Notes each training in the file that `NAS_TEST_TRAININGS` names: `begin SEED` and `end SEED`.
    """
    _note(f"begin {job['seed']}")
    digest = hashlib.sha256(json.dumps([job["architecture"], job["seed"]], sort_keys=True).encode()).digest()
    time.sleep(0.1 + 0.2 * digest[0] / 255)
    accuracy = digest[1] / 255
    status = Status.DIVERGED if digest[2] < 16 else Status.OK
    result = ChildResult(status, ({"val_accuracy": accuracy},), seed=job["seed"], device="fake")
    _note(f"end {job['seed']}")
    return result.to_json()


def _note(line: str) -> None:
    if path := os.environ.get("NAS_TEST_TRAININGS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def raise_error(job: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("the fake training went wrong")


def answer_nonsense(job: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "nonsense": 1}


def find_no_gpu(device: dict[str, Any]) -> str:
    """Stands in for the check of a device."""
    return "no GPU here"


def kill_itself(job: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


class _TwoArgumentsError(Exception):
    """Can be pickled, but not read again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class _Speechless:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def end_in_a_way(job: dict[str, Any]) -> Any:
    """Ends in the way that the recipe's field `way` names, mostly a bad one."""
    print("before the end")
    return ENDS[job["recipe"]["way"]](job)


def train_in_a_way(job: dict[str, Any]) -> dict[str, Any]:
    """Trains as `train_by_tokens`, unless the recipe's field `way` names another way to go on."""
    ways = {**ENDS, "hang": hang, "nonsense": answer_nonsense, "eat memory": eat_memory}
    return ways.get(job["recipe"].get("way", ""), train_by_tokens)(job)


def carry_out(job: dict[str, Any]) -> Any:
    """Isolated work without Keras."""
    return _function(job["function"])(**job["arguments"])


def end_isolated(job: dict[str, Any]) -> Any:
    """Ends as `end_in_a_way` does, as isolated work that is no child."""
    print("before the end")
    return ENDS[job["arguments"]["way"]](job)


def _raise(error: BaseException) -> None:
    raise error


def _write_half_an_answer(job: dict[str, Any]) -> None:
    for pipe in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(pipe).st_mode):
                os.write(pipe, (1000).to_bytes(8, "big") + b'{"value": ')
    os._exit(0)


def _die_in_the_answer(job: dict[str, Any]) -> str:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return "x" * 60_000_000


def _leave_a_helper(job: dict[str, Any]) -> dict[str, Any]:
    """Answers well, but what it forked lives on and holds all of its pipes and files."""
    if os.fork() == 0:
        print("x" * 100_000)
        while True:
            time.sleep(1)
    return train_by_tokens(job)


def _leave_a_thread(job: dict[str, Any]) -> dict[str, Any]:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return train_by_tokens(job)


ENDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "exit 3": lambda job: sys.exit(3),
    "exit in words": lambda job: sys.exit("no GPU for me"),
    "exit speechless": lambda job: _raise(SystemExit(_Speechless())),
    "exit 255": lambda job: os._exit(255),
    "exit 77": lambda job: os._exit(77),
    "exit 0": lambda job: os._exit(0),
    "interrupt": lambda job: _raise(KeyboardInterrupt()),
    "generator": lambda job: _raise(GeneratorExit()),
    "error that cannot be read": lambda job: _raise(_TwoArgumentsError(1, 2)),
    "error without text": lambda job: _raise(RuntimeError(_Speechless())),
    "search error": lambda job: _raise(SearchError("stop all of it")),
    "answer of code": lambda job: {"status": lambda: 1},
    "answer without text": lambda job: _Speechless(),
    "answer too large": lambda job: "x" * 70_000_000,
    "answer too deep": lambda job: functools.reduce(lambda inner, _: [inner], range(100_000), []),
    "half an answer": _write_half_an_answer,
    "killed": kill_itself,
    "killed in the answer": _die_in_the_answer,
    "pipes closed": lambda job: os.closerange(3, 64),
    "helper": _leave_a_helper,
    "thread": _leave_a_thread,
}


def hold_the_interpreter(job: dict[str, Any]) -> None:
    """Starts another process, tells both ids (see `NAS_TEST_TRAININGS`) and hangs in C code with the lock."""
    helper = subprocess.Popen(["sleep", "300"])
    _note(f"pids {os.getpid()} {helper.pid}")
    ctypes.PyDLL(None).sleep(300)


def print_for_ever(job: dict[str, Any]) -> None:
    print("the beginning")
    subprocess.run(["yes", "and on"], check=False)


def hang(job: dict[str, Any]) -> dict[str, Any]:
    """Never ends, and tells its process id first (see `NAS_TEST_TRAININGS`)."""
    _note(f"pid {os.getpid()}")
    while True:
        time.sleep(1)


def eat_memory(job: dict[str, Any]) -> dict[str, Any]:
    eaten = []
    while True:
        eaten.append(bytearray(32 * 2**20))
        time.sleep(0.02)


def fail_odd_seeds(job: dict[str, Any]) -> dict[str, Any]:
    """Every child with an odd seed dies, the others train: neighbours must not suffer."""
    return kill_itself(job) if job["seed"] % 2 else train_by_tokens(job)


def tell_surroundings(job: dict[str, Any]) -> dict[str, Any]:
    """Reports its process, its main module and what it was given, in the message."""
    import multiprocessing
    import sys

    facts = {
        "pid": os.getpid(),
        "main": getattr(sys.modules.get("__mp_main__"), "__file__", None),
        "start_method": multiprocessing.get_start_method(),
        "device": job["device"],
        "log": job["log"],
    }
    return ChildResult(Status.OK, message=json.dumps(facts), seed=job["seed"]).to_json()


def wait_for_go(job: dict[str, Any]) -> dict[str, Any]:
    """Trains as `train_by_tokens`, but ends only when the file `go` lies beside `NAS_TEST_TRAININGS`."""
    _note(f"pid {os.getpid()}")
    while not os.path.exists(os.path.join(os.path.dirname(os.environ["NAS_TEST_TRAININGS"]), "go")):
        time.sleep(0.02)
    return train_by_tokens(job)


class Served:
    """Stands in for what a session holds: counts its requests, and ends or fails in many ways."""

    def __init__(self, start: int = 0, way: str = "") -> None:
        if way:
            self.end_in_a_way(way)
        self.count = start

    def add(self, amount: int = 1) -> int:
        self.count += amount
        return self.count

    def facts(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "count": self.count}

    def echo(self, value: Any) -> Any:
        return value

    def end_in_a_way(self, way: str) -> Any:
        print("before the end")
        return ENDS[way]({"recipe": {"way": way}, "architecture": 1, "seed": 0})

    def eat(self) -> None:
        eat_memory({})

    def hang(self) -> None:
        hang({})

    def hold_the_interpreter(self) -> None:
        hold_the_interpreter({})

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def print_much(self) -> None:
        for _ in range(200):
            print("x" * 100_000)

    def print_later(self) -> None:
        threading.Thread(target=self.print_much, daemon=True).start()

    def answer_twice(self) -> None:
        for pipe in range(3, 64):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(pipe).st_mode):
                    os.write(pipe, (len(b'{"value": 1}')).to_bytes(8, "big") + b'{"value": 1}')

    def _hidden(self) -> int:
        return 1
