"""nasflow: neural architecture search by reinforcement learning, as a versioned pipeline."""

__version__ = "0.1.0"
