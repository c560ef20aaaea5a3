"""Contract suites as pytest classes: whoever writes a part of their own inherits the one of its kind.

Public are the suites of `nas.testing.controllers`, `nas.testing.datasets` and `nas.testing.spaces`, and the
small space of `nas.testing.step_space`. They are imported by tests only.
"""
