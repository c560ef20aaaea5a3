"""What to try next: controllers, asked for proposals and told their results.

Public are the names below. Each is imported when it is first asked for, so that a program that needs only one
controller loads only that one.

* `Controller`, `PolicyGradientController`: what one's own controller inherits (its contract, as tests, is in
  `nas.testing.controllers`).
* `Reinforce`, `Ppo`, `Evolution`, `Predictor`, `RandomController`, `ListController`: those of this package.
* `LstmController`, `PolicyGradientOptions`: what another policy gradient on an LSTM's decisions inherits;
  `Term` and `Logits`: the pieces of its objective and of its policy that it may add.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.controllers.controller import Controller, PolicyGradientController
    from nas.controllers.decisions import Logits, Term
    from nas.controllers.evolution import Evolution
    from nas.controllers.listed import ListController
    from nas.controllers.policy_gradient import LstmController, PolicyGradientOptions
    from nas.controllers.ppo import Ppo
    from nas.controllers.predictor import Predictor
    from nas.controllers.random import RandomController
    from nas.controllers.reinforce import Reinforce

__all__ = [
    "Controller",
    "Evolution",
    "ListController",
    "Logits",
    "LstmController",
    "PolicyGradientController",
    "PolicyGradientOptions",
    "Ppo",
    "Predictor",
    "RandomController",
    "Reinforce",
    "Term",
]

_MODULES = {
    "controller": ("Controller", "PolicyGradientController"),
    "decisions": ("Logits", "Term"),
    "evolution": ("Evolution",),
    "listed": ("ListController",),
    "policy_gradient": ("LstmController", "PolicyGradientOptions"),
    "ppo": ("Ppo",),
    "predictor": ("Predictor",),
    "random": ("RandomController",),
    "reinforce": ("Reinforce",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
