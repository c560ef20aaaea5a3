"""Proximal policy optimisation, the controller of NASNet (Zoph et al., 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nas.controllers.controller import positive, whole
from nas.controllers.lstm import Array
from nas.controllers.policy_gradient import LstmController, PolicyGradientOptions


@dataclass(frozen=True, kw_only=True)
class PpoOptions(PolicyGradientOptions):
    """Options of `Ppo`: those of `PolicyGradientOptions`, with the defaults of NASNet, and its own two.

    Source: Zoph et al. (2018, NASNet), appendix A.2 and A.3: one layer of 100 units, parameters in ±0.1,
    learning rate 0.00035, entropy weight 0.00001, baseline decay 0.95.

    Attributes:
        clip: ε (Schulman et al., 2017, table 1: 0.2 is best).
        epochs: steps made over the results of one update (table 3: 10).
    """

    units: int = 100
    layers: int = 1
    init_scale: float = 0.1
    learning_rate: float = 3.5e-4
    entropy_weight: float = 1e-5
    clip: float = 0.2
    epochs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("clip", self.clip)
        whole("epochs", self.epochs)


class Ppo(LstmController):
    """Policy learnt by PPO with the clipped objective (Schulman et al., 2017, eq. 7).

    Minimises, over the m architectures of an update with advantages A_k and entropies H_k,

        −(1/m) Σ_k min(r_k A_k, clip(r_k, 1 − ε, 1 + ε) A_k) − entropy_weight · (1/m) Σ_k H_k,
        r_k = P(tokens_k) / P(tokens_k) when they were sampled,

    by Adam, `epochs` steps for each update. An architecture is one action, its probability the product of
    its decisions' (NASNet, appendix A.2). A_k = R_k − b with the baseline of `Advantages`. `LstmController`
    tells the rest, and the statistics of an update.

    Since r_k is taken to the probability at sampling, results of an older policy are corrected for it. A
    parameter server's replica calls `gradient` and sends the result away: one step; `learn` makes all.

    Source: Zoph et al. (2018, NASNet), appendix A.3, with updates of 20 architectures
    (`search.children_per_round`).

    Differs from the paper: it states neither clip nor epochs; those here are Schulman et al.'s (2017,
    table 3: 10 epochs; table 1: ε = 0.2 is best). Nor does it say where the average of the baseline begins:
    here at the mean of the first update's own rewards, so that the first update of a round of one
    architecture follows the entropy alone.

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        **options: see `PpoOptions`.

    Raises:
        InputError: an option is unknown or not allowed, or the space's steps can't share parameters.
    """

    Options: ClassVar[type[PolicyGradientOptions]] = PpoOptions
    options: PpoOptions

    @property
    def epochs(self) -> int:
        return self.options.epochs

    def _derivatives(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        ratios, clip = np.exp(log_probabilities - sampled), self.options.clip
        pushed = np.where(advantages > 0, ratios > 1.0 + clip, ratios < 1.0 - clip)
        return np.asarray(np.where(pushed, 0.0, -ratios * advantages))
