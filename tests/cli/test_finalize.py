"""`nas finalize` hands over to the finals and says who won."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import NETS, FakeTracker, Nas, Write


@pytest.mark.usefixtures("finals")
def test_finals_are_shown_as_validation_and_followed(nas: Nas, write: Write, tracker: FakeTracker) -> None:
    write(budget={"children": 2})
    ended = nas("finalize", "tiny")
    assert ended.code == 0
    assert ended.out.count("(validation)  ") == 2
    assert "proxy" not in ended.out
    assert f"winner  {NETS[0]}\nscore   0.9000 (validation)\n" in ended.out
    assert "judged  by the weights" in ended.out
    assert "before  final 1, conv:old: its weights were not kept\n" in ended.out
    assert tracker.calls == [("follow", "tiny.final")]
    state = json.loads(nas("status", "--json").out)["searches"][0]
    assert (state["experiment"], state["best"]["proxy"]) == ("tiny.final", False)
    assert "networks retrained from scratch" in nas("top", "tiny.final").out
    assert "reward (validation)" in nas("show", "0", "tiny.final").out


@pytest.mark.usefixtures("finals")
def test_finals_need_not_be_followed(nas: Nas, write: Write, tracker: FakeTracker) -> None:
    write(budget={"children": 1})
    nas("finalize", "tiny", "--no-track")
    assert tracker.calls == []


@pytest.mark.usefixtures("finals", "tracker")
def test_the_stack_that_a_winning_cell_was_trained_in_is_told(nas: Nas, write: Write) -> None:
    write(
        budget={"children": 1},
        space={"name": "nasnet"},
        controller={"name": "random"},
        recipe={"name": "image", "upsample": None, "crop": None, "stack": {"name": "cifar", "filters": 4}},
    )
    assert f"winner  {NETS[0]}\nstack   cifar 6@4\n" in nas("finalize", "tiny").out
