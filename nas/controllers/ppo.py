"""Proximal policy optimisation, the controller of NASNet (Zoph et al., 2018)."""

from __future__ import annotations

import numpy as np

from nas.controllers.lstm import Array
from nas.controllers.lstm_controller import LstmController
from nas.controllers.options import positive
from nas.spaces import Space


class Ppo(LstmController):
    """Learns a policy by PPO with the clipped objective (Schulman et al., 2017, eq. 7).

    Minimises, over the m architectures of an update with advantages A_k and entropies H_k,

        −(1/m) Σ_k min(r_k A_k, clip(r_k, 1 − ε, 1 + ε) A_k) − entropy_weight · (1/m) Σ_k H_k,
        r_k = P(tokens_k) / P(tokens_k) when they were sampled,

    by Adam, `epochs` steps for each update. An architecture is one action, its probability the product of
    its decisions' (NASNet, appendix A.2). A_k = R_k − b with the baseline of `Advantages`. `LstmController`
    tells the rest, and the statistics of an update.

    Since r_k is taken to the probability at sampling, results of an older policy are corrected for it. A
    parameter server's replica calls `gradient` and sends the result away: one step; `learn` makes all.

    Source: Zoph et al. (2018, NASNet), appendix A.2: one layer of 100 units, parameters in ±0.1, learning
    rate 0.00035, entropy weight 0.00001, baseline decay 0.95, updates of 20 architectures
    (`search.children_per_round`).

    Differs from the paper: it states neither clip nor epochs; those here are Schulman et al.'s (2017,
    table 3: 10 epochs; table 1: ε = 0.2 is best). Nor does it say where the average of the baseline begins:
    here at the mean of the first update's own rewards, so that the first update of a round of one
    architecture follows the entropy alone.

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        units, layers: of the LSTM.
        init_scale: parameters begin uniformly in ± this.
        learning_rate: of Adam.
        baseline_decay: from 0 (the last reward alone) to below 1.
        entropy_weight: how much a nat of entropy is worth in rewards.
        clip: ε.
        epochs: steps made over the results of one update.
        temperature, tanh_constant: limits of the logits, as in ENAS (see `Logits`); off as in the paper.
        normalize_advantages, rank_rewards: see `Advantages`; off as in the paper.

    Raises:
        InputError: an option is not allowed, or the space's steps can't share parameters.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        units: int = 100,
        layers: int = 1,
        init_scale: float = 0.1,
        learning_rate: float = 3.5e-4,
        baseline_decay: float = 0.95,
        entropy_weight: float = 1e-5,
        clip: float = 0.2,
        epochs: int = 10,
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
            epochs=epochs,
        )
        self._clip = positive("clip", clip)

    def _slopes(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        ratios = np.exp(log_probabilities - sampled)
        pushed = np.where(advantages > 0, ratios > 1.0 + self._clip, ratios < 1.0 - self._clip)
        return np.asarray(np.where(pushed, 0.0, -ratios * advantages))
