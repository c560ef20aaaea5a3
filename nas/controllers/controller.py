"""The interface of controllers, which are asked for proposals and told results, and what all of them use."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.evaluation import UNNUMBERED, ChildResult, Proposal
from nas.spaces import Space, Tokens

State = dict[str, Any]
"""Nested dictionaries and lists of JSON values and NumPy arrays; never anything to unpickle."""

Told = Sequence[tuple[Proposal, ChildResult]]
"""Numbered proposals with their results, in any order, failures included; rewards are filled in."""

Gradient = dict[str, np.ndarray]
"""Gradient of the loss by parameter name, shaped like the parameters."""


class Controller(ABC):
    """Algorithm of a search: decides what to try next.

    A controller is built as `Class(space, seed=…, **options)`, its options being those of the
    experiment's YAML. It may not survive between two calls: everything that it needs to go on is in
    `state()`, and a controller built afresh and restored must propose and learn exactly as the old one
    would have. It knows steps and nothing of convolutions, and computes on the CPU.

    Its state has two halves. The *policy* is what proposals depend on and learning changes (parameters,
    optimiser, population, observations): replicas that search together share it. The *sampler* is what each
    replica holds for itself (random generator, baseline, recent rewards). So K replicas are K controllers,
    each with its own sampler, that take up the policy of another one before they propose; proposing changes
    the sampler alone.

    A controller numbers nothing: it is told how many children the whole search has proposed, and the record
    gives its proposals their numbers.

    Args:
        space: the search space.
        seed: for all its randomness.
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self.space = space
        self.random = np.random.default_rng(seed)
        self.updates = 0
        """The policy version: how many updates were made."""

    def _proposal(self, depth: int, tokens: Tokens, log_probability: float) -> Proposal:
        """A proposal, made of a token string as sampled, that the record will number."""
        return Proposal(
            number=UNNUMBERED,
            depth=depth,
            tokens=tokens,
            architecture=self.space.decode(tokens, depth),
            overrides=self.space.overrides(tokens, depth),
            log_probability=log_probability,
            policy_version=self.updates,
        )

    @abstractmethod
    def propose(self, count: int, begun: int) -> list[Proposal]:
        """The next `count` proposals, without numbers, all of the depth that the space's schedule gives now.

        Args:
            count: how many.
            begun: how many children the whole search has proposed so far, other replicas' included. What
                counts proposals (a schedule of depths, a first population) counts these.
        """

    @abstractmethod
    def learn(self, told: Told) -> dict[str, float]:
        """Takes results in and returns statistics of the update, by name (at least `reward/mean`).

        A result whose reward is not a finite number, or a proposal without a number, raises `InputError`
        and changes nothing.
        """

    def policy_state(self) -> State:
        """The half of the state that replicas share; a subclass adds its own to it."""
        return {"updates": self.updates}

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        """Takes up the `policy_state()` of a controller of the same class, space and options.

        Raises:
            InputError: it doesn't fit this controller; nothing was changed.
        """
        try:
            self.updates = int(state["updates"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(error) from error

    def sampler_state(self) -> State:
        """The half of the state that one replica holds; a subclass adds its own to it."""
        return {"random": self.random.bit_generator.state}

    def restore_sampler(self, state: Mapping[str, Any]) -> None:
        """Takes up the `sampler_state()` of a controller of the same class, space and options.

        Raises:
            InputError: it doesn't fit this controller; nothing was changed.
        """
        before = self.random.bit_generator.state
        try:
            self.random.bit_generator.state = state["random"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self.random.bit_generator.state = before  # NumPy may have taken up a part of it
            raise self._unfit(error) from error

    def state(self) -> State:
        """All that a restored controller needs: both halves."""
        return {"policy": self.policy_state(), "sampler": self.sampler_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state()` that a controller of the same class, space and options gave.

        Earlier versions wrote both halves side by side; such a state is taken up too.

        Raises:
            InputError: the state doesn't fit this controller; nothing was changed.
        """
        if not isinstance(state, Mapping):
            raise self._unfit(f"it is a {type(state).__name__}")
        try:
            flat = not {"policy", "sampler"} & state.keys()
            policy, sampler = (state, state) if flat else (state["policy"], state["sampler"])
        except KeyError as error:
            raise self._unfit(error) from error
        before = self.policy_state()
        self.restore_policy(policy)
        try:
            self.restore_sampler(sampler)
        except InputError:
            self.restore_policy(before)
            raise

    def _unfit(self, reason: object) -> InputError:
        """The error of a state that doesn't fit."""
        shown = repr(reason) if isinstance(reason, Exception) else reason
        return InputError(f"not a valid state for {type(self).__name__}: {shown}")


class PolicyGradientController(Controller):
    """A controller that learns by gradients, split so that replicas can send them to a server.

    A replica takes up the policy of the server before it proposes and again before `gradient` (or computes
    it under the policy that it sampled with); the server calls `apply`. `learn` is at least both; it may go
    on with more steps over the same results (PPO's epochs), which is still one update.
    """

    @abstractmethod
    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        """The gradient of the loss to minimise, averaged over `told`, and its statistics.

        Changes nothing but the baseline, which is this replica's own.
        """

    @abstractmethod
    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        """One optimiser step; raises the policy version. Changes nothing but the policy."""

    def learn(self, told: Told) -> dict[str, float]:
        gradient, statistics = self.gradient(told)
        self.apply(gradient)
        return statistics


# --- results ----------------------------------------------------------------------------------------


def in_order(told: Told) -> tuple[list[Proposal], np.ndarray]:
    """The proposals by their number, and their rewards in the same order, with shape `(len(told),)`.

    Learning mustn't depend on who finished first.

    Raises:
        InputError: nothing was told, a proposal has no number, or a reward is not a finite number.
    """
    if not told:
        raise InputError("a controller needs at least one result to learn from")
    pairs = sorted(told, key=lambda pair: pair[0].number)
    if pairs[0][0].number < 0:
        raise InputError(
            "proposals that are learnt from must carry the numbers that the record gave them. "
            f"Received: number={pairs[0][0].number}"
        )
    for proposal, result in pairs:
        if result.reward is None or not math.isfinite(result.reward):
            raise InputError(
                f"the reward of proposal {proposal.number} must be a finite number. Received: {result.reward}"
            )
    rewards = np.array([result.reward for _, result in pairs], dtype=np.float64)
    return [proposal for proposal, _ in pairs], rewards


def reward_statistics(rewards: np.ndarray) -> dict[str, float]:
    """Mean and best of one update's rewards, by the names under which all controllers report them."""
    return {"reward/mean": float(rewards.mean()), "reward/best": float(rewards.max())}


# --- checks of options, as they come from an experiment's YAML --------------------------------------


def whole(name: str, value: object) -> int:
    """A whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1. Received: {value!r}")
    return value


def natural(name: str, value: object) -> int:
    """A whole number of at least 0."""
    if type(value) is not int or value < 0:
        raise InputError(f"{name} must be a whole number of at least 0. Received: {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false. Received: {value!r}")
    return value


def positive(name: str, value: object, *, zero: bool = False) -> float:
    """A finite number above 0, or 0 too if `zero`."""
    number = _number(name, value)
    if number < 0 or (number == 0 and not zero):
        raise InputError(f"{name} must be {'at least' if zero else 'above'} 0. Received: {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """A number from 0 to below 1."""
    number = _number(name, value)
    if not 0 <= number < 1:
        raise InputError(f"{name} must lie between 0 and 1 (1 excluded). Received: {value!r}")
    return number


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond all floats
        pass
    hint = ""
    if isinstance(value, str) and "e" in value.lower():
        hint = " (YAML reads 6e-4 as text; write 6.0e-4)"
    raise InputError(f"{name} must be a number{hint}. Received: {value!r}")
