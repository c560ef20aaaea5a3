"""The controllers of this package keep to the contract that users' own must keep to."""

from __future__ import annotations

from nas.controllers.evolution import Evolution
from nas.controllers.ppo import Ppo
from nas.controllers.predictor import Predictor
from nas.controllers.random import RandomController
from nas.controllers.reinforce import Reinforce
from nas.spaces import Space
from nas.spaces.nasnet_space import NasNetSpace
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


class TestReinforceWithEveryOption(PolicyGradientContract):
    def make_controller(self, space: Space, seed: int) -> Reinforce:
        return Reinforce(
            space,
            seed=seed,
            units=8,
            learning_rate=0.01,
            entropy_weight=0.01,
            temperature=2.0,
            tanh_constant=1.5,
            normalize_advantages=True,
            rank_rewards=7,
        )


class TestPpoOfOneEpoch(PolicyGradientContract):
    def make_controller(self, space: Space, seed: int) -> Ppo:
        return Ppo(space, seed=seed, units=8, learning_rate=0.01, epochs=1)


class TestPpoAsInThePaper(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> Ppo:
        return Ppo(space, seed=seed)


class TestEvolution(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> Evolution:
        return Evolution(space, seed=seed, population=6, sample=3)


class TestEvolutionAsInThePaper(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> Evolution:
        return Evolution(space, seed=seed)


class TestPredictor(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> Predictor:
        return Predictor(space, seed=seed, random=6, candidates=10, mutations=10)


class TestPredictorThatForgets(ControllerContract):
    def make_controller(self, space: Space, seed: int) -> Predictor:
        return Predictor(space, seed=seed, random=2, candidates=3, mutations=0, memory=7)


class _OfCells:
    """The space of pairs of cells, as small as it may be with blocks that may use one another."""

    def spaces(self) -> list[Space]:
        return [NasNetSpace(blocks=2, operations=["identity", "sep3x3", "max3x3"], outputs="slim")]


class TestRandomCells(_OfCells, TestRandomController):
    pass


class TestReinforceOfCells(_OfCells, TestReinforce):
    pass


class TestPpoOfCells(_OfCells, TestPpoOfOneEpoch):
    pass


class TestEvolutionOfCells(_OfCells, TestEvolution):
    pass


class TestPredictorOfCells(_OfCells, TestPredictor):
    pass
