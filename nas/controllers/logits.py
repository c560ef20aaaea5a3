"""From scores to logits: how sharp a policy may become."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.controllers.lstm import Array


@dataclass(frozen=True)
class Logits:
    """Logits c · tanh(u / τ) of scores u; u / τ without a tanh constant.

    Source: Bello et al. (2017, Neural Combinatorial Optimization, appendix A.1 and A.2) and Pham et al.
    (2018, ENAS), which keep a policy from being sure too early: no logit leaves ±c. ENAS has τ = 5 and
    c = 2.5 for recurrent cells.

    Attributes:
        temperature: τ.
        tanh_constant: c; None: no tanh.
    """

    temperature: float = 1.0
    tanh_constant: float | None = None

    def of(self, scores: Array) -> Array:
        """The logits, shaped like the scores."""
        if self.temperature == 1.0 and self.tanh_constant is None:
            return scores
        scaled = scores / self.temperature
        return scaled if self.tanh_constant is None else np.asarray(self.tanh_constant * np.tanh(scaled))

    def through(self, logits: Array, d_logits: Array) -> Array:
        """The gradient for the scores, by that for the logits which `of` made of them."""
        if self.temperature == 1.0 and self.tanh_constant is None:
            return d_logits
        if self.tanh_constant is None:
            return d_logits / self.temperature
        slope = self.tanh_constant / self.temperature * (1.0 - (logits / self.tanh_constant) ** 2)
        return np.asarray(d_logits * slope)
