"""The policy's probabilities, samples and gradients are right for every kind of step."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from nas.controllers.decisions import Bernoullis, BoundedLogits, Distribution, Entropy, Integers, Logits
from nas.controllers.lstm import Array
from nas.controllers.policy import LstmPolicy
from nas.errors import InputError
from nas.spaces import Choice, Links, Pick, Point, Step, StepList, Tokens
from nas.testing.spaces import all_tokens
from nas.testing.step_space import StepSpace, every_step

ENTROPY = Entropy()


def make_policy(space: StepSpace, init_scale: float = 1.0, units: int = 5, layers: int = 2) -> LstmPolicy:
    """A small policy; its large parameters make it far from uniform."""
    random = np.random.default_rng(5)
    return LstmPolicy(space, layers=layers, units=units, init_scale=init_scale, random=random)


def links_only(depth: int) -> StepList:
    """Three layers, each with one choice and its links, as in Zoph & Le."""
    steps: list[Step] = []
    for layer in range(depth):
        steps.append(Choice(f"{layer}.filters", "filters", (24, 36, 48)))
        steps.append(Links(f"{layer}.links", "links", "network") if layer else Point("0.links", "network"))
    return StepList(tuple(steps))


@pytest.mark.parametrize("make_steps", [every_step, links_only])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_probabilities_of_all_token_strings_sum_to_one(make_steps, depth, layers):
    space = StepSpace(make_steps, {"start": 1, "grow": 1, "every": 1, "stop": 2})
    policy = make_policy(space, layers=layers)
    strings = list(all_tokens(space.steps(depth)))
    assert len(strings) == space.size(depth)
    probabilities = np.exp(policy.follow([(depth, tokens) for tokens in strings]).log_probabilities)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    if len(strings) > 1:
        assert probabilities.max() > 1.5 * probabilities.min(), "a uniform policy would prove little"


def test_the_conditional_entropies_add_up_to_the_entropy_of_the_whole():
    """Chain rule: the entropy of all decisions is the mean of the sampled paths' entropies."""
    space = StepSpace(every_step, 2)
    strings = list(all_tokens(space.steps(2)))
    rollouts = make_policy(space).follow([(2, tokens) for tokens in strings])
    probabilities = np.exp(rollouts.log_probabilities)
    whole = -(probabilities * rollouts.log_probabilities).sum()
    assert (probabilities * rollouts.value(ENTROPY)).sum() == pytest.approx(whole, rel=1e-12)


def test_samples_are_as_frequent_as_their_probabilities_say():
    space, count = StepSpace(every_step, 2), 20_000
    policy = make_policy(space)
    rollout = policy.sample(2, count, np.random.default_rng(0))
    strings = list(all_tokens(space.steps(2)))
    expected = count * np.exp(policy.follow([(2, tokens) for tokens in strings]).log_probabilities)
    counts = Counter(rollout.tokens)
    assert set(counts) <= set(strings)
    observed = np.array([counts[tokens] for tokens in strings])
    assert expected.min() > 5
    chi_square = ((observed - expected) ** 2 / expected).sum()
    degrees = len(strings) - 1
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees), "beyond 4 standard deviations"


def test_sampling_reports_the_probability_that_following_finds():
    space = StepSpace(every_step, 3)
    policy = make_policy(space)
    rollout = policy.sample(3, 50, np.random.default_rng(1))
    followed = policy.follow([(3, tokens) for tokens in rollout.tokens])
    np.testing.assert_allclose(rollout.log_probabilities, followed.log_probabilities, rtol=1e-13)
    np.testing.assert_allclose(rollout.value(ENTROPY), followed.value(ENTROPY), rtol=1e-13)


def test_probabilities_do_not_depend_on_the_rest_of_the_batch():
    space = StepSpace(every_step, {"start": 1, "grow": 1, "every": 1, "stop": 3})
    policy = make_policy(space)
    written = [
        (depth, tokens)
        for depth in (2, 1, 3)
        for tokens in policy.sample(depth, 4, np.random.default_rng(depth)).tokens
    ]
    written = [written[position] for position in np.random.default_rng(0).permutation(len(written))]
    together = policy.follow(written)
    for position, one in enumerate(written):
        alone = policy.follow([one])
        assert together.log_probabilities[position] == pytest.approx(alone.log_probabilities[0], rel=1e-12)
        assert together.value(ENTROPY)[position] == pytest.approx(alone.value(ENTROPY)[0], rel=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_gradient_equals_finite_differences(layers):
    """For every single parameter, with links, picks, steps off, entropy and three depths in one batch."""
    space = StepSpace(every_step, {"start": 1, "grow": 1, "every": 1, "stop": 3})
    policy = make_policy(space, init_scale=1.5, units=3, layers=layers)
    random = np.random.default_rng(2)
    written = [(depth, t) for depth in (3, 1, 2) for t in policy.sample(depth, 3, random).tokens]
    operations = {space.steps(depth).chosen(tokens)["1.operation"] for depth, tokens in written}
    assert operations == {"conv", "pool", "none"}, "some steps must be off for some"
    by_log_probability, by_entropy = random.normal(size=(2, len(written)))

    def objective() -> float:
        rollouts = policy.follow(written)
        return float(by_log_probability @ rollouts.log_probabilities + by_entropy @ rollouts.value(ENTROPY))

    gradient = policy.gradient(policy.follow(written), by_log_probability, [(ENTROPY, by_entropy)])
    assert gradient.keys() == policy.parameters.keys()
    for name, parameter in policy.parameters.items():
        numeric = np.empty_like(parameter)
        for place in np.ndindex(parameter.shape):
            kept = parameter[place]
            values = []
            for step in (-1e-5, 1e-5):
                parameter[place] = kept + step
                values.append(objective())
            parameter[place] = kept
            numeric[place] = (values[1] - values[0]) / 2e-5
        np.testing.assert_allclose(gradient[name], numeric, rtol=1e-6, atol=1e-8, err_msg=name)
        assert np.abs(numeric).max() > 1e-4, f"{name} plays no part in this test"


def test_a_gradient_can_be_taken_twice_from_one_rollout():
    space = StepSpace(every_step, 2)
    policy = make_policy(space)
    rollouts = policy.follow([(2, tokens) for tokens in policy.sample(2, 4, np.random.default_rng(0)).tokens])
    ones, zeros = np.ones(4), np.zeros(4)
    first = policy.gradient(rollouts, ones)
    both = policy.gradient(rollouts, ones, [(ENTROPY, ones)])
    entropy = policy.gradient(rollouts, zeros, [(ENTROPY, ones)])
    for name in first:
        np.testing.assert_allclose(both[name], first[name] + entropy[name], rtol=1e-9, atol=1e-12)


def lstm_by_hand(policy: LstmPolicy, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Hidden states of a policy of one layer with 3 units that reads `inputs`."""
    p = policy.parameters
    h = c = np.zeros(3)
    hidden = []
    for x in inputs:
        gates = np.concatenate([x, h]) @ p["lstm/0/kernel"] + p["lstm/0/bias"]
        i, f, o = (1 / (1 + np.exp(-gates[k : k + 3])) for k in (0, 3, 6))
        c = f * c + i * np.tanh(gates[9:])
        h = o * np.tanh(c)
        hidden.append(h)
    return hidden


def linking_policy() -> LstmPolicy:
    """Two points, links to them, and a choice that reads what was linked."""
    steps = StepList((Point("1", "n"), Point("2", "n"), Links("3", "link", "n"), Choice("4", "c", (0, 1))))
    return make_policy(StepSpace(lambda _: steps), units=3, layers=1)


def test_links_follow_the_papers_formula():
    """P(link) = sigmoid(vᵀ tanh(W_prev h_j + W_curr h_i)), with the hidden states computed by hand."""
    policy = linking_policy()
    p = policy.parameters
    hidden = lstm_by_hand(policy, [p["start"]] * 3)
    chances = []
    for j in (0, 1):
        looked = np.tanh(hidden[j] @ p["attention/link/previous"] + hidden[2] @ p["attention/link/current"])
        chances.append(1 / (1 + np.exp(-looked @ p["attention/link/vector"])))
    expected = np.log([(1 - chances[0]) * (1 - chances[1]), chances[0] * (1 - chances[1])])
    either = np.exp(
        policy.follow([(1, (0, 0, 0)), (1, (0, 0, 1)), (1, (1, 0, 0)), (1, (1, 0, 1))]).log_probabilities
    )
    np.testing.assert_allclose(np.log([either[:2].sum(), either[2:].sum()]), expected, rtol=1e-12)


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_after_links_the_mean_of_the_linked_anchors_is_read(bits):
    """The start vector if nothing was linked."""
    policy = linking_policy()
    p = policy.parameters
    anchors = np.array(lstm_by_hand(policy, [p["start"]] * 3))[:2]
    read = np.average(anchors, axis=0, weights=bits) if any(bits) else p["start"]
    logits = lstm_by_hand(policy, [*[p["start"]] * 3, read])[3] @ p["head/c/kernel"] + p["head/c/bias"]
    zero, one = policy.follow([(1, (*bits, 0)), (1, (*bits, 1))]).log_probabilities
    assert one - zero == pytest.approx(logits[1] - logits[0], rel=1e-10)


def test_parameters_begin_uniformly_within_the_scale():
    space = StepSpace(every_step, 2)
    policy = make_policy(space, init_scale=0.08, units=35)
    for name, parameter in policy.parameters.items():
        assert np.abs(parameter).max() <= 0.08, name
        assert parameter.std() > 0, name
    everything = np.concatenate([parameter.ravel() for parameter in policy.parameters.values()])
    assert everything.std() == pytest.approx(0.08 / np.sqrt(3), rel=0.02)
    assert everything.mean() == pytest.approx(0.0, abs=0.002)


def test_kinds_share_their_parameters_over_the_layers():
    shallow, deep = (make_policy(StepSpace(every_step, depth)).parameters for depth in (2, 6))
    assert {name: array.shape for name, array in shallow.items()} == {
        name: array.shape for name, array in deep.items()
    }


def test_choices_of_one_kind_with_different_options_are_refused():
    steps = StepList((Choice("1", "filters", (24, 36)), Choice("2", "filters", (24, 36, 48))))
    with pytest.raises(InputError, match="'2' of kind 'filters' has 3, others have 2"):
        make_policy(StepSpace(lambda _: steps))


def test_a_scope_whose_initial_points_depend_on_the_depth_is_refused():
    def make_steps(depth: int) -> StepList:
        return StepList((Pick("1", "input", "cell"),), {"cell": depth})

    with pytest.raises(InputError, match="'cell' has 2 and 1"):
        make_policy(StepSpace(make_steps, {"start": 1, "grow": 1, "every": 1}))


def test_a_kind_that_appears_late_in_the_schedule_is_there_from_the_start():
    """At depth 1 there are no links yet."""
    policy = make_policy(StepSpace(links_only, {"start": 1, "grow": 1, "every": 1600}))
    assert "attention/links/vector" in policy.parameters


def test_a_kind_that_appears_beyond_the_looked_at_depths_is_refused_by_name():
    def make_steps(depth: int) -> StepList:
        return links_only(1) if depth < 20 else links_only(depth)

    policy = make_policy(StepSpace(make_steps, {"start": 1, "grow": 1, "every": 1}))
    with pytest.raises(InputError, match="attention/links/current"):
        policy.sample(20, 1, np.random.default_rng(0))


def test_extreme_parameters_give_finite_numbers():
    """Probabilities of almost 0 and 1 lose no precision in their logarithms."""
    space = StepSpace(every_step, 2)
    policy = make_policy(space, init_scale=300.0)
    rollout = policy.sample(2, 20, np.random.default_rng(0))
    rollouts = policy.follow([(2, tokens) for tokens in all_tokens(space.steps(2))])
    gradient = policy.gradient(rollouts, np.ones(280), [(ENTROPY, np.ones(280))])
    assert np.isfinite(rollouts.log_probabilities).all()
    assert np.isfinite(rollouts.value(ENTROPY)).all()
    assert np.isfinite(rollout.log_probabilities).all()
    assert all(np.isfinite(array).all() for array in gradient.values())
    assert rollouts.log_probabilities.min() < -500


def test_tokens_are_plain_integers():
    tokens: tuple[Tokens, ...] = (
        make_policy(StepSpace(every_step, 2)).sample(2, 5, np.random.default_rng(0)).tokens
    )
    assert {type(token) for token in chain(*tokens)} == {int}


# --- pieces that plug in: logits for each kind of step, terms of the objective --------------------


class Biased:
    """Logits with a fixed bias for the first of them, behind others."""

    def __init__(self, inner: Logits, bias: float) -> None:
        self.inner, self.bias = inner, bias

    def of(self, scores: Array) -> Array:
        return self.inner.of(scores) + self._biases(scores)

    def backward(self, logits: Array, d_logits: Array) -> Array:
        return self.inner.backward(logits - self._biases(logits), d_logits)

    def _biases(self, scores: Array) -> Array:
        return self.bias * (np.arange(scores.shape[1]) == 0)


class LinkPrior:
    """A term that no shipped objective has: KL(ρ ‖ p) of every link, as ENAS keeps links sparse."""

    name = "link_prior"

    def __init__(self, rho: float) -> None:
        self.rho = rho

    def value(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        if not isinstance(step, Links) or not isinstance(distribution, Bernoullis):
            return np.zeros(len(value))
        rho, p = self.rho, distribution.p
        return (rho * np.log(rho / p) + (1 - rho) * np.log((1 - rho) / (1 - p))).sum(axis=1)

    def derivative(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        if not isinstance(step, Links) or not isinstance(distribution, Bernoullis):
            return np.zeros_like(distribution.d_entropy())
        return distribution.p - self.rho


def by_kind(step: Step) -> Logits:
    """Other limits for operations than for links, a bias on skips, and the scores for all the rest."""
    kinds: dict[str, Logits] = {
        "operation": Biased(BoundedLogits(5.0, 2.5), 0.25),
        "links": BoundedLogits(3.0, 1.5),
        "skip": Biased(BoundedLogits(), -1.0),
    }
    return kinds.get(getattr(step, "kind", ""), BoundedLogits())


@pytest.mark.parametrize(
    "logits_of",
    [
        *(lambda step, one=one: one for one in (BoundedLogits(3.0), BoundedLogits(1.0, 1.5))),
        lambda step: BoundedLogits(5.0, 2.5),
        by_kind,
    ],
)
def test_the_gradient_is_that_of_an_objective_with_any_logits_and_terms(logits_of):
    """Central differences of Σ a_k log P_k + b_k H_k + c_k KL_k along a random direction."""
    random = np.random.default_rng(3)
    space = StepSpace(every_step, 3)
    policy = LstmPolicy(space, layers=1, units=5, init_scale=1.0, random=random, logits=logits_of)
    written = [(3, tokens) for tokens in policy.sample(3, 8, random).tokens]
    a, b, c = random.normal(size=(3, 8))
    prior = LinkPrior(0.2)

    def objective() -> float:
        rollouts = policy.follow(written)
        own = a @ rollouts.log_probabilities + b @ rollouts.value(ENTROPY)
        return float(own + c @ rollouts.value(prior))

    gradient = policy.gradient(policy.follow(written), a, [(ENTROPY, b), (prior, c)])
    without = policy.gradient(policy.follow(written), a, [(ENTROPY, b)])
    assert np.abs(gradient["attention/links/vector"] - without["attention/links/vector"]).max() > 1e-3
    direction = {name: random.normal(size=array.shape) for name, array in gradient.items()}
    values = []
    for step in (1e-5, -2e-5):
        for name, parameter in policy.parameters.items():
            parameter += step * direction[name]
        values.append(objective())
    expected = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(expected, rel=1e-5)


def test_logits_are_chosen_for_each_kind_of_step():
    """A bias of 30 on the first operation decides every operation and nothing else."""

    def first_operation(step: Step) -> Logits:
        return Biased(BoundedLogits(), 30.0 if getattr(step, "kind", "") == "operation" else 0.0)

    space = StepSpace(every_step, 2)
    random = np.random.default_rng(0)
    policy = LstmPolicy(space, layers=1, units=5, init_scale=0.1, random=random, logits=first_operation)
    chosen = [space.steps(2).chosen(tokens) for tokens in policy.sample(2, 50, random).tokens]
    assert {one["1.operation"] for one in chosen} == {one["2.operation"] for one in chosen} == {"conv"}
    assert {one["1.filters"] for one in chosen} == {8, 16}
