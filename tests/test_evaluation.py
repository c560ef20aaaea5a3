"""What a record keeps of a child's result is plain, finite and harmless, whatever the child said."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from nas.evaluation import LONGEST_MESSAGE, ChildResult, Proposal, Status, harmless
from nas.spaces import parse_architecture

GOOD = ChildResult(
    Status.OK,
    ({"loss": 0.5, "epoch": 1, "val_accuracy": 0.25}, {"loss": 0.25, "epoch": 2, "val_accuracy": 0.5}),
    parameters=10,
    latency_seconds=0.001,
    train_seconds=1.5,
    device="cpu (1 thread)",
    message="all is well: 100 % – naïve café, हिन्दी, می\u200cخواهم",
    files={"model": ".state/abc/children/child-000001/model.keras"},
)


def test_a_good_result_is_kept_as_it_is() -> None:
    assert GOOD.checked() == GOOD
    assert ChildResult.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


def test_numbers_of_numpy_become_plain_ones() -> None:
    odd = ChildResult(
        Status.OK,
        [{"val_accuracy": np.float32(0.5), "epoch": np.int64(3), "loss": np.array(0.25)}],  # type: ignore[arg-type]
        parameters=np.int32(7),  # type: ignore[arg-type]
        train_seconds=np.float64(2.0),
        stopped_early=np.bool_(True),  # type: ignore[arg-type]
    )
    made = odd.checked()
    assert made.status is Status.OK, made.message
    assert json.loads(json.dumps(made.to_json()))["history"] == [
        {"val_accuracy": 0.5, "epoch": 3, "loss": 0.25}
    ]
    assert type(made.train_seconds) is float


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"history": ({"loss": 1.0}, {"loss": "0.9"})}, "crashed", "loss of epoch 2 is not a number"),
        ({"history": ({"loss": None},)}, "crashed", "Received: None"),
        ({"history": ({"loss": True},)}, "crashed", "Received: True"),
        ({"history": ({"loss": [0.5]},)}, "crashed", "not a number"),
        ({"history": ({"loss": np.array([1.0, 2.0])},)}, "crashed", "not a number"),
        ({"history": ({"loss": {"a": 1}},)}, "crashed", "not a number"),
        ({"history": ({"loss": math.nan},)}, "diverged", "its loss of epoch 1 is NaN"),
        ({"history": ({"loss": 1.0}, {"loss": -math.inf})}, "diverged", "its loss of epoch 2 is infinite"),
        ({"history": ({"loss": np.float32("nan")},)}, "diverged", "NaN"),
        ({"history": ({"loss": 10**400},)}, "diverged", "infinite"),
        ({"history": ({3: 1.0},)}, "crashed", "name in epoch 1 must be text"),
        ({"history": "loss"}, "crashed", "must be a list of epochs"),
        ({"history": {"loss": 1.0}}, "crashed", "must be a list of epochs"),
        ({"history": ([1.0],)}, "crashed", "must be a mapping"),
        ({"history": ({"loss": 1.0},) * 200_001}, "crashed", "more than 200000 values"),
        ({"parameters": -1}, "crashed", "its parameters must be a whole number of at least 0"),
        ({"parameters": 10**30}, "crashed", "parameters"),
        ({"multiply_adds": 2.5}, "crashed", "multiply_adds"),
        ({"peak_memory_bytes": "7"}, "crashed", "peak_memory_bytes"),
        ({"seed": None}, "crashed", "seed"),
        ({"train_seconds": -1.0}, "crashed", "train_seconds"),
        ({"train_seconds": math.nan}, "diverged", "train_seconds"),
        ({"latency_seconds": "fast"}, "crashed", "latency_seconds"),
        ({"stopped_early": "yes"}, "crashed", "stopped_early"),
        ({"status": "great"}, "crashed", "status must be one of ok, diverged"),
        ({"message": b"bytes"}, "crashed", "message must be text"),
        ({"device": 7}, "crashed", "device must be text"),
        ({"files": ["a"]}, "crashed", "files must be a mapping"),
        ({"files": {"model": "/etc/passwd"}}, "crashed", "inside the workspace"),
        ({"files": {"model": "a/../../b"}}, "crashed", "inside the workspace"),
        ({"files": {"model": "a\0b"}}, "crashed", "inside the workspace"),
        ({"files": {"model": 7}}, "crashed", "inside the workspace"),
    ],
)
def test_what_a_record_cannot_keep_makes_a_failed_child_with_a_sentence(
    changes: dict[str, Any], status: str, message: str
) -> None:
    made = ChildResult(**{"status": Status.OK, **changes}).checked()
    assert message in made.message
    assert made.status == status
    json.dumps(made.to_json(), allow_nan=False)
    assert made.checked() == made


def test_epochs_before_the_one_that_cannot_be_kept_stay() -> None:
    made = ChildResult(Status.OK, ({"loss": 1.0}, {"loss": math.nan}, {"loss": 2.0})).checked()
    assert made.history == ({"loss": 1.0},)


def test_a_failure_stays_the_cause_of_what_is_odd_about_it() -> None:
    made = ChildResult(Status.TIMEOUT, ({"loss": math.nan},), message="too slow").checked()
    assert made.status is Status.TIMEOUT
    assert made.message.startswith("too slow; its loss of epoch 1 is NaN")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x07", "a\\x1b[31mred\\x07"),
        ("two\r\nlines\tand\u2028more", "two  lines and more"),
        ("half \ud800", "half \\ud800"),
        ("nul \0", "nul \\x00"),
        ("\u202egnp.exe\u2066\ufeff", "\\u202egnp.exe\\u2066\\ufeff"),
        ("\x9b31m", "\\x9b31m"),
        ("नमस्\u200dते é\u0301 👩\u200d🔬", "नमस्\u200dते é\u0301 👩\u200d🔬"),
    ],
)
def test_texts_are_made_harmless_when_a_result_is_made_and_when_an_old_one_is_read(
    text: str, shown: str
) -> None:
    assert harmless(text) == shown
    dirty = ChildResult(Status.CRASHED, ({text: 1.0},), device=text, message=text)
    for made in (dirty.checked(), ChildResult.from_json(dirty.to_json())):
        assert (made.device, made.message, list(made.history[0])) == (shown, shown, [shown])
        str(made).encode()


def test_messages_of_megabytes_are_cut() -> None:
    made = ChildResult(Status.CRASHED, message="x" * 5_000_000).checked()
    assert len(made.message) == LONGEST_MESSAGE


def test_a_cell_is_another_network_in_each_stack_however_long_its_words_are() -> None:
    cell, name = parse_architecture("nasnet:nasnet-a"), "my.stacks:" + "Long" * 100
    stacks = [{"name": name, "cells": cells} for cells in (1, 2)]
    one, other = (Proposal(0, 1, (), cell, {"stack": stack}) for stack in stacks)
    again = Proposal(1, 1, (), cell, {"epochs": 3, "stack": dict(reversed(stacks[0].items()))})
    assert one.stack == other.stack, "too long to be shown whole"
    assert len({one.network, other.network, Proposal(2, 1, (), cell).network}) == 3
    assert one.network == again.network
