"""REINFORCE, the controller of Zoph & Le (2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nas.controllers.lstm import Array
from nas.controllers.policy_gradient import LstmController, PolicyGradientOptions


@dataclass(frozen=True, kw_only=True)
class ReinforceOptions(PolicyGradientOptions):
    """Options of `Reinforce`: those of `PolicyGradientOptions`, with the defaults of Zoph & Le (2017).

    Source: §4.1: 2 layers of 35 units, parameters in ±0.08, learning rate 6e-4 on CIFAR-10 (§4.2: 5e-4 on
    Penn Treebank). The paper doesn't state the decay of the baseline, nor an entropy term (0 here).
    """

    units: int = 35
    layers: int = 2
    init_scale: float = 0.08
    learning_rate: float = 6e-4
    entropy_weight: float = 0.0


class Reinforce(LstmController):
    """Policy learnt by REINFORCE (Williams, 1992; Zoph & Le, 2017, §3.2).

    Minimises, over the m architectures of an update with rewards R_k and entropies H_k,

        −(1/m) Σ_k (R_k − b) log P(tokens_k) − entropy_weight · (1/m) Σ_k H_k

    by Adam, one step for each update. b is the moving average of all rewards before this update (see
    `Advantages`). `LstmController` tells the rest, and the statistics of an update.

    A parameter server's replica calls `gradient` and sends the result away; `learn` applies it here.

    Differs from the paper: b averages the rewards, the paper's the accuracies of which it makes rewards
    (their cube, §4.1). It says neither where the average begins, here at the mean of the first update's own
    rewards, nor its decay, nor an entropy term (0 here). So the first update of a round of one architecture
    has no gradient but that of the entropy: without `entropy_weight` the policy stays as it is, with one,
    however small, Adam makes a whole step towards more entropy.

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        **options: see `ReinforceOptions`.

    Raises:
        InputError: an option is unknown or not allowed, or the space's steps can't share parameters.

    Example:
        >>> from nas.spaces.conv import ConvSpace
        >>> controller = Reinforce(ConvSpace(depth=2), seed=1)
        >>> [proposal.depth for proposal in controller.propose(2, begun=0)]
        [2, 2]
    """

    Options: ClassVar[type[PolicyGradientOptions]] = ReinforceOptions

    def _derivatives(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        return -advantages
