"""REINFORCE, the controller of Zoph & Le (2017)."""

from __future__ import annotations

from nas.controllers.lstm import Array
from nas.controllers.lstm_controller import LstmController
from nas.spaces import Space


class Reinforce(LstmController):
    """Learns a policy by REINFORCE (Williams, 1992; Zoph & Le, 2017, §3.2).

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
        units, layers: of the LSTM (§4.1).
        init_scale: parameters begin uniformly in ± this (§4.1).
        learning_rate: of Adam (§4.1: 6e-4 on CIFAR-10; §4.2: 5e-4 on Penn Treebank).
        baseline_decay: from 0 (the last reward alone) to below 1.
        entropy_weight: how much a nat of entropy is worth in rewards.
        temperature, tanh_constant: limits of the logits, as in ENAS (see `Logits`); off as in the paper.
        normalize_advantages, rank_rewards: see `Advantages`; off as in the paper.

    Raises:
        InputError: an option is not allowed, or the space's steps can't share parameters.

    Example:
        >>> from nas.spaces.conv import ConvSpace
        >>> controller = Reinforce(ConvSpace(depth=2), seed=1)
        >>> [proposal.number for proposal in controller.propose(2)]
        [0, 1]
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        units: int = 35,
        layers: int = 2,
        init_scale: float = 0.08,
        learning_rate: float = 6e-4,
        baseline_decay: float = 0.95,
        entropy_weight: float = 0.0,
        temperature: float = 1.0,
        tanh_constant: float | None = None,
        normalize_advantages: bool = False,
        rank_rewards: int = 0,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            units=units,
            layers=layers,
            init_scale=init_scale,
            learning_rate=learning_rate,
            baseline_decay=baseline_decay,
            entropy_weight=entropy_weight,
            temperature=temperature,
            tanh_constant=tanh_constant,
            normalize_advantages=normalize_advantages,
            rank_rewards=rank_rewards,
        )

    def _slopes(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        return -advantages
