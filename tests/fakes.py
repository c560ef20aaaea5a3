"""Stand-ins for trainings: functions that an experiment's evaluator can name as its trainer."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from typing import Any

from nas.evaluation import ChildResult, Status


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
