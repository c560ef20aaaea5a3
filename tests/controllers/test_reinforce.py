"""REINFORCE learns what its equations say, and finds what is there to find."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nas.controllers.controller import Controller
from nas.controllers.decisions import Entropy
from nas.controllers.ppo import Ppo
from nas.controllers.random import RandomController
from nas.controllers.reinforce import Reinforce
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make
from nas.search.rewards import AccuracyReward
from nas.spaces import Choice, Links, Point, Step, StepList
from nas.spaces.conv import ConvSpace
from nas.testing.controllers import asked, results, same
from nas.testing.step_space import StepSpace, every_step


def layers(depth: int) -> StepList:
    """The paper's kind of space: choices that share a head, and links."""
    steps: list[Step] = []
    for layer in range(depth):
        steps.append(Choice(f"{layer}.filters", "filters", (24, 36, 48, 64)))
        steps.append(Choice(f"{layer}.size", "size", (1, 3, 5, 7)))
        steps.append(Links(f"{layer}.links", "links", "network") if layer else Point("0.links", "network"))
    return StepList(tuple(steps))


def told(proposals: list[Proposal], *rewards: float) -> list[tuple[Proposal, ChildResult]]:
    return [(p, ChildResult(Status.OK, reward=r)) for p, r in zip(proposals, rewards, strict=True)]


# --- the update's numbers ---------------------------------------------------------------------------


def test_the_first_updates_baseline_is_the_mean_of_its_own_rewards():
    controller = Reinforce(StepSpace(layers, 2))
    statistics = controller.learn(told(asked(controller, 4), 0.2, 0.4, 0.6, 0.8))
    assert statistics["baseline"] == pytest.approx(0.5)
    assert statistics["advantage/mean"] == pytest.approx(0.0, abs=1e-15)
    assert statistics["advantage/std"] == pytest.approx(np.sqrt(0.05))
    assert controller.baseline == pytest.approx(0.5)


def test_advantages_are_formed_before_the_rewards_move_the_baseline():
    controller = Reinforce(StepSpace(layers, 2), baseline_decay=0.75)
    controller.learn(told(asked(controller, 2), 0.2, 0.6))
    statistics = controller.learn(told(asked(controller, 2), 1.0, 0.5))
    assert statistics["reward/mean"] == pytest.approx(0.75)
    assert statistics["reward/best"] == pytest.approx(1.0)
    assert statistics["baseline"] == pytest.approx(0.4)
    assert statistics["advantage/mean"] == pytest.approx(0.35)
    assert statistics["advantage/std"] == pytest.approx(0.25)
    after_one = 0.75 * 0.4 + 0.25 * 1.0
    assert controller.baseline == pytest.approx(0.75 * after_one + 0.25 * 0.5)


def test_statistics_are_those_of_the_policy_before_the_step():
    """All parameters 0: every option of 4 has the probability ¼, every link ½."""
    controller = Reinforce(StepSpace(layers, 3))
    for parameter in controller.policy.parameters.values():
        parameter[...] = 0.0
    gradient, statistics = controller.gradient(told(asked(controller, 3), 0.0, 0.5, 1.0))
    bits = 2 * 6 + 3  # six choices of four options and three links
    assert statistics["log_probability/mean"] == pytest.approx(-bits * np.log(2))
    assert statistics["entropy"] == pytest.approx(bits * np.log(2))
    flat = np.concatenate([array.ravel() for array in gradient.values()])
    assert statistics["gradient_norm"] == pytest.approx(np.linalg.norm(flat))


def test_the_gradient_of_a_lone_softmax_is_that_of_the_equation():
    """With zero parameters only the softmax' bias learns: −(1/m) Σ (R − b)([i = a] − p_i)."""
    controller = Reinforce(StepSpace(lambda _: StepList((Choice("one", "digit", (0, 1)),))))
    for parameter in controller.policy.parameters.values():
        parameter[...] = 0.0
    proposals = [replace(asked(controller, 1, token)[0], tokens=(token,)) for token in (0, 1)]
    gradient, _ = controller.gradient(told(proposals, 1.0, 0.0))
    np.testing.assert_allclose(gradient["head/digit/bias"], [-0.25, 0.25])


@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_the_gradient_is_that_of_the_loss(entropy_weight):
    """Finite differences of the loss as its equation writes it, over two depths, along one direction."""
    space = StepSpace(every_step, {"start": 2, "grow": 1, "every": 3})
    controller = Reinforce(space, seed=1, units=6, init_scale=0.5, entropy_weight=entropy_weight)
    controller.learn(results(asked(controller, 3)))
    pairs = results(asked(controller, 3, begun=3)) + results(asked(controller, 3, begun=6))
    assert len({proposal.depth for proposal, _ in pairs}) == 2
    written = [(proposal.depth, proposal.tokens) for proposal, _ in pairs]
    advantages = np.array([result.reward for _, result in pairs]) - controller.baseline

    def loss() -> float:
        followed = controller.policy.follow(written)
        entropies = followed.value(Entropy())
        return float(-(advantages @ followed.log_probabilities + entropy_weight * entropies.sum()) / 6)

    gradient, _ = controller.gradient(pairs)
    random = np.random.default_rng(0)
    direction = {name: random.normal(size=array.shape) for name, array in gradient.items()}
    losses = []
    for step in (1e-5, -2e-5):  # to the one side, then to the other
        for name, parameter in controller.policy.parameters.items():
            parameter += step * direction[name]
        losses.append(loss())
    expected = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(expected, rel=1e-6)


def test_a_better_than_expected_architecture_becomes_more_likely():
    controller = Reinforce(StepSpace(every_step, 3), seed=2)
    proposals = asked(controller, 2)
    controller.learn(told(proposals, 1.0, 0.0))
    better, worse = controller.policy.follow([(p.depth, p.tokens) for p in proposals]).log_probabilities
    assert better > proposals[0].log_probability
    assert worse < proposals[1].log_probability


@pytest.mark.parametrize("options", [{}, {"rank_rewards": 10}, {"normalize_advantages": True}])
def test_the_first_update_of_a_round_of_one_child_only_sets_the_baseline(options):
    controller = Reinforce(StepSpace(every_step, 2), seed=3, **options)
    before = controller.policy.state()
    statistics = controller.learn(told(asked(controller, 1), 0.7))
    assert statistics["advantage/mean"] == statistics["gradient_norm"] == 0.0
    assert all((before[name] == array).all() for name, array in controller.policy.state().items())
    assert controller.baseline == (0.5 if "rank_rewards" in options else 0.7)  # a lone rank is the middle


@pytest.mark.parametrize("controller", [Reinforce, Ppo])
def test_with_an_entropy_weight_the_first_update_of_one_child_follows_the_entropy_alone(controller):
    after = []
    for reward in (0.1, 0.9):
        made = controller(StepSpace(layers, 2), seed=3, init_scale=0.5, entropy_weight=1e-5)
        (proposal,) = asked(made, 1)
        first = made.learn(told([proposal], reward))
        walks = made.policy.follow([(proposal.depth, proposal.tokens)])
        assert walks.value(Entropy())[0] > first["entropy"]
        after.append(made.policy.state())
    assert all((after[0][name] == array).all() for name, array in after[1].items())  # whatever the reward


def test_the_second_update_of_one_child_compares_it_with_the_first():
    controller = Reinforce(StepSpace(every_step, 2), seed=3)
    controller.learn(told(asked(controller, 1), 0.2))
    (better,) = asked(controller, 1)
    statistics = controller.learn(told([better], 0.5))
    assert statistics["advantage/mean"] == pytest.approx(0.3)
    after = controller.policy.follow([(better.depth, better.tokens)]).log_probabilities[0]
    assert after > better.log_probability


def test_the_baseline_averages_rewards_not_the_accuracies_that_they_are_made_of():
    controller, rule = Reinforce(StepSpace(layers, 2), baseline_decay=0.5), AccuracyReward(power=3)
    accuracies = (0.5, 0.9)
    rewards = [rule(ChildResult(Status.OK, ({"val_accuracy": value},))) for value in accuracies]
    controller.learn(told(asked(controller, 1), rewards[0]))
    controller.learn(told(asked(controller, 1), rewards[1]))
    assert controller.baseline == pytest.approx((0.5**3 + 0.9**3) / 2)


def test_equal_rewards_teach_nothing():
    controller = Reinforce(StepSpace(every_step, 2))
    before = controller.policy.state()
    controller.learn(told(asked(controller, 3), 0.7, 0.7, 0.7))
    assert all(np.abs(before[name] - array).max() < 1e-6 for name, array in controller.policy.state().items())


def test_the_entropy_bonus_keeps_the_policy_open():
    entropies = []
    for weight in (0.0, 1.0):
        controller = Reinforce(StepSpace(layers, 2), learning_rate=0.02, entropy_weight=weight)
        for _ in range(60):
            proposals = asked(controller, 4)
            rewards = [float(np.mean(np.equal(p.tokens, 1))) for p in proposals]
            statistics = controller.learn(told(proposals, *rewards))
        entropies.append(statistics["entropy"])
    full = 4 * np.log(4) + np.log(2)
    assert entropies[0] < 0.3 * full
    assert entropies[1] > 0.9 * full


# --- learning ---------------------------------------------------------------------------------------

BANDIT = StepSpace(layers, 4)
OPTIMUM = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1)
"""Every layer 36 filters of size 5, linked to all before it: one of 4,194,304."""


def play(controller: Controller, updates: int = 200) -> tuple[float, float]:
    """Best reward of all, and mean reward over the last 20 updates, of 8 proposals each."""
    means, best = [], 0.0
    for _ in range(updates):
        proposals = asked(controller, 8)
        rewards = [float(np.mean(np.equal(p.tokens, OPTIMUM))) for p in proposals]
        controller.learn(told(proposals, *rewards))
        means.append(float(np.mean(rewards)))
        best = max(best, *rewards)
    return best, float(np.mean(means[-20:]))


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_optimum_that_random_search_does_not(seed):
    """With the paper's settings; measured: mean 0.95 against 0.35, random's best 0.86 at most."""
    best, late = play(Reinforce(BANDIT, seed=seed))
    random_best, random_late = play(RandomController(BANDIT, seed=seed))
    assert best == 1.0
    assert late > 0.85
    assert random_best < 1.0
    assert random_late < 0.45


# --- being told, going on ---------------------------------------------------------------------------


def test_it_learns_on_convolutional_networks_whose_depth_grows():
    space = ConvSpace(depth={"start": 6, "grow": 2, "every": 16}, strides=(1, 2, 3))
    controller = Reinforce(space, seed=0)
    depths = []
    for begun in range(0, 40, 8):
        proposals = asked(controller, 8, begun)
        depths.append(proposals[0].depth)
        controller.learn(results(proposals))
    assert depths == [6, 6, 8, 8, 10]
    assert controller.updates == 5


def test_it_learns_from_tokens_as_sampled_not_as_repaired():
    """Two token strings of one architecture are told apart."""
    space = ConvSpace(depth=1, image_size=1, strides=(1, 2))
    controller = Reinforce(space, seed=0)
    first, second = (replace(p, tokens=t) for p, t in zip(asked(controller, 2), TWINS, strict=True))
    assert space.decode(first.tokens, 1) == space.decode(second.tokens, 1)
    gradient, _ = controller.gradient(told([first, second], 1.0, 0.0))
    assert np.abs(gradient["head/stride_height/bias"]).max() > 0.1


TWINS = ((1, 1, 0, 0, 0), (1, 1, 1, 0, 0))
"""On an image of one pixel the stride makes no difference."""


def test_a_proposal_of_another_space_is_refused():
    proposal = asked(RandomController(StepSpace(layers, 3)), 1)[0]
    controller = Reinforce(StepSpace(every_step, 3))
    with pytest.raises(InputError, match="tokens"):
        controller.learn(told([proposal], 1.0))


def test_a_state_of_other_options_is_refused_by_the_first_array_that_does_not_fit():
    state = Reinforce(StepSpace(layers, 2), units=35).state()
    with pytest.raises(InputError, match=r"'start' must have shape \(20,\). Received: \(35,\)"):
        Reinforce(StepSpace(layers, 2), units=20).restore(state)
    with pytest.raises(InputError, match="'anchors/cell' is unknown"):
        Reinforce(StepSpace(layers, 2)).restore(Reinforce(StepSpace(every_step, 2)).state())


def test_the_state_has_all_moments_of_the_optimiser():
    """Two controllers with equal parameters but other moments must go on differently."""
    one, other = (Reinforce(StepSpace(layers, 2), seed=5) for _ in range(2))
    one.learn(results(asked(one, 4)))
    state = one.state()
    other.restore_sampler(state["sampler"])
    other.restore_policy({**state["policy"], "optimizer": other.policy_state()["optimizer"]})
    for controller in (one, other):
        controller.learn(results(asked(controller, 4)))
    assert not same(one.policy_state()["parameters"], other.policy_state()["parameters"])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("units", 0, "units must be a whole number of at least 1. Received: 0"),
        ("layers", 1.5, "layers must be a whole number"),
        ("init_scale", 0.0, "init_scale must be above 0"),
        ("learning_rate", "6e-4", "YAML reads 6e-4 as text; write 6.0e-4"),
        ("learning_rate", float("nan"), "learning_rate must be a number"),
        ("baseline_decay", 1.0, "baseline_decay must lie between 0 and 1"),
        ("entropy_weight", -0.1, "entropy_weight must be at least 0"),
        ("learning_rat", 0.1, "did you mean 'learning_rate'"),
    ],
)
def test_wrong_options_are_refused(option, value, message):
    with pytest.raises(InputError, match=message):
        make("controller", {"name": "reinforce", option: value}, space=StepSpace(layers, 2), seed=0)


def test_the_defaults_are_the_papers():
    controller = Reinforce(ConvSpace(depth=15))
    parameters = controller.policy.parameters
    assert parameters["lstm/1/kernel"].shape == (70, 140)
    assert "lstm/2/kernel" not in parameters
    assert 0.079 < max(np.abs(array).max() for array in parameters.values()) <= 0.08
    before = controller.policy.state()
    controller.learn(results(asked(controller, 8)))
    moved = max(np.abs(before[name] - array).max() for name, array in parameters.items())
    assert moved == pytest.approx(6e-4, rel=1e-3), "the first step of Adam is as long as its learning rate"


# --- the process ------------------------------------------------------------------------------------

SCRIPT = """
import hashlib, sys
from nas.controllers.reinforce import Reinforce
from nas.spaces.conv import ConvSpace
from nas.testing.controllers import asked, results
controller = Reinforce(ConvSpace(depth=12), seed=1)
for _ in range(3):
    controller.learn(results(asked(controller, 8)))
digest = hashlib.sha256()
for name, array in sorted(controller.policy_state()["parameters"].items()):
    digest.update(name.encode() + array.tobytes())
print(digest.hexdigest(), *({"keras", "tensorflow", "jax"} & set(sys.modules)))
"""


def run(threads: int) -> str:
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(variables, str(threads))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_another_process_with_other_threads_learns_the_same_to_the_bit_and_without_keras():
    one, two = run(1), run(2)
    assert one == two
    assert len(one.split()) == 1, f"the controller imported {one.split()[1:]}"
