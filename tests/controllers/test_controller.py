"""What all controllers share: halves of state, states of earlier versions, what the package offers."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from nas import controllers
from nas.controllers import Controller, ListController
from nas.errors import InputError
from nas.plugins import make
from nas.spaces.conv import ConvSpace
from nas.testing.controllers import asked, results, same

ENTRIES = [{"architecture": f"conv:3x3x{4 * n}@0"} for n in range(1, 30)]
OPTIONS: list[dict[str, Any]] = [
    {"name": "reinforce", "units": 6, "rank_rewards": 7},
    {"name": "ppo", "units": 6, "epochs": 2},
    {"name": "evolution", "population": 6, "sample": 2},
    {"name": "predictor", "random": 4, "candidates": 5, "mutations": 5},
    {"name": "random"},
    {"name": "list", "entries": ENTRIES},
]


def built(options: dict[str, Any], seed: int) -> Controller:
    made = make("controller", options, space=ConvSpace(depth=2), seed=seed)
    assert isinstance(made, Controller)
    return made


def flat(controller: Controller, begun: int) -> dict[str, Any]:
    """The state as the version before halves wrote it."""
    state = {**controller.policy_state(), **controller.sampler_state(), "proposed": begun}
    if "waiting" in state:
        waiting = enumerate(state["waiting"], start=begun - len(state["waiting"]))
        state["waiting"] = [[number, depth, tokens] for number, (depth, tokens) in waiting]
    return state


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options["name"])
def test_a_state_of_an_earlier_version_is_gone_on_with(options: dict[str, Any]):
    """Both halves side by side, with a count of proposals; taken in the middle of a round."""
    old, new = built(options, 3), built(options, 4)
    for begun in (0, 4):
        old.learn(results(asked(old, 4, begun)))
    waiting = asked(old, 4, begun=8)
    new.restore(flat(old, begun=12))
    assert same(new.state(), old.state())
    assert old.learn(results(waiting)) == new.learn(results(waiting))
    assert asked(old, 4, begun=12) == asked(new, 4, begun=12)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options["name"])
@pytest.mark.parametrize(
    "wrong", [{}, [], None, {"policy": {}}, {"policy": None, "sampler": None}, {"updates": "x"}]
)
def test_what_is_not_a_state_is_refused_and_changes_nothing(options: dict[str, Any], wrong: Any):
    controller = built(options, 3)
    before = controller.state()
    with pytest.raises(InputError, match="not a valid state for"):
        controller.restore(wrong)
    assert same(controller.state(), before)


@pytest.mark.parametrize(
    ("name", "half", "key", "value"),
    [
        ("reinforce", "sampler", "baseline", math.nan),
        ("reinforce", "sampler", "recent_rewards", [math.inf]),
        ("reinforce", "policy", "updates", math.inf),
        ("evolution", "policy", "members", [[2, [0] * 7, math.nan]]),
        ("predictor", "policy", "told", [[2, [], 0.5]]),
        ("random", "sampler", "random", {"bit_generator": "PCG64", "state": {"state": 1, "inc": 3}}),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(name: str, half: str, key: str, value: Any):
    (options,) = (options for options in OPTIONS if options["name"] == name)
    controller, whole = built(options, 3), built(options, 4).state()
    before = controller.state()
    with pytest.raises(InputError, match=r"not a valid state for|tokens"):
        controller.restore({**whole, half: {**whole[half], key: value}})
    assert same(controller.state(), before)


def test_a_list_is_proposed_from_where_the_search_stands():
    controller = ListController(ConvSpace(depth=2), entries=ENTRIES)
    texts = [proposal.architecture.text() for proposal in asked(controller, 3, begun=27)]
    assert texts == [entry["architecture"] for entry in ENTRIES[27:]]
    assert controller.propose(3, begun=29) == []


def test_what_the_package_offers_is_there():
    for name in controllers.__all__:
        assert getattr(controllers, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Reinforcement'"):
        controllers.Reinforcement  # noqa: B018


def test_the_package_loads_nothing_until_it_is_asked_for():
    heavy = "{'numpy', 'keras', 'nas.controllers.policy'}"
    script = f"import sys, nas.controllers; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "entries",
    [
        ["conv:3x3x4@0"],
        [{"architecture": 3}],
        [ENTRIES[0], {"architecture": "conv:3x3x4@0", "overrides": [1]}],
        {"a": 1},
    ],
)
def test_entries_that_are_no_architectures_with_overrides_are_refused(entries: Any) -> None:
    with pytest.raises(InputError, match="each of a list's entries has the text of an architecture"):
        ListController(ConvSpace(depth=2), entries=entries)
