"""The controllers of this package keep to the contract that users' own must keep to."""

from __future__ import annotations

from nas.controllers.random import RandomController
from nas.controllers.reinforce import Reinforce
from nas.spaces import Space
from nas.testing.controllers import ControllerContract, PolicyGradientContract


class TestRandomController(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> RandomController:
        return RandomController(space, seed=seed)


class TestReinforce(PolicyGradientContract):
    def make_controller(self, space: Space, seed: int) -> Reinforce:
        return Reinforce(space, seed=seed, units=8, learning_rate=0.01, entropy_weight=0.01)


class TestReinforceAsInThePaper(PolicyGradientContract):
    def make_controller(self, space: Space, seed: int) -> Reinforce:
        return Reinforce(space, seed=seed)
