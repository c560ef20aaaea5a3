"""What every controller offers: it is asked for proposals and told their results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal
from nas.spaces import Space, Tokens

State = dict[str, Any]
"""Nested dictionaries and lists of JSON values and NumPy arrays; never anything to unpickle."""

Told = Sequence[tuple[Proposal, ChildResult]]
"""Proposals with their results, in any order, failures included; rewards are filled in."""


def rewards_of(told: Told) -> np.ndarray:
    """The rewards, `(len(told),)`.

    Raises:
        InputError: there is none, or one is not a finite number.
    """
    if not told:
        raise InputError("a controller needs at least one result to learn from")
    for proposal, result in told:
        if result.reward is None or not np.isfinite(result.reward):
            raise InputError(
                f"the reward of proposal {proposal.number} must be a finite number. Received: {result.reward}"
            )
    return np.array([result.reward for _, result in told], dtype=np.float64)


class Controller(ABC):
    """Decides what to try next.

    A controller is built as `Class(space, seed=…, **options)`, its options being those of the
    experiment's YAML. It may not survive between two calls: everything that it needs to go on,
    its random generator and the counter of its proposals included, is in `state()`, and a
    controller built afresh and restored must propose and learn exactly as the old one would have.
    It knows steps and nothing of convolutions, and computes on the CPU.

    Args:
        space: the search space.
        seed: for all its randomness.
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self.space = space
        self.random = np.random.default_rng(seed)
        self.proposed = 0
        """How many proposals were made: the number of the next one."""
        self.updates = 0
        """The policy version: how many updates were made."""

    def _proposal(self, depth: int, tokens: Tokens, log_probability: float) -> Proposal:
        """The next proposal, made of a token string as sampled."""
        proposal = Proposal(
            number=self.proposed,
            depth=depth,
            tokens=tokens,
            architecture=self.space.decode(tokens, depth),
            overrides=self.space.overrides(tokens, depth),
            log_probability=log_probability,
            policy_version=self.updates,
        )
        self.proposed += 1
        return proposal

    @abstractmethod
    def propose(self, count: int) -> list[Proposal]:
        """The next `count` proposals, all of the depth that the space's schedule gives now."""

    @abstractmethod
    def learn(self, told: Told) -> dict[str, float]:
        """Takes results in and returns statistics of the update, by name (at least `reward/mean`).

        A result whose reward is not a finite number raises `InputError` and changes nothing.
        """

    def state(self) -> State:
        """All that a restored controller needs."""
        return {
            "random": self.random.bit_generator.state,
            "proposed": self.proposed,
            "updates": self.updates,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state()` that a controller of the same class, space and options gave.

        Raises:
            InputError: the state doesn't fit this controller.
        """
        try:
            self.random.bit_generator.state = state["random"]
            self.proposed, self.updates = int(state["proposed"]), int(state["updates"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is no state of a {type(self).__name__}: {error!r}") from error


Gradient = dict[str, np.ndarray]
"""Gradient of the loss by parameter name, shaped like the parameters."""


class PolicyGradientController(Controller):
    """A controller that learns by gradients, split so that replicas can send them to a server.

    `learn` is at least `gradient` and `apply`; it may go on with more steps over the same results (PPO's
    epochs), which is still one update.
    """

    @abstractmethod
    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        """The gradient of the loss to minimise, averaged over `told`, and its statistics.

        Changes nothing but the baseline, which is this replica's own.
        """

    @abstractmethod
    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        """One optimiser step; raises the policy version."""

    def learn(self, told: Told) -> dict[str, float]:
        gradient, statistics = self.gradient(told)
        self.apply(gradient)
        return statistics
