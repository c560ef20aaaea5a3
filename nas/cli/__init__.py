"""The command `nas`. Nothing heavy is imported before a command needs it."""

from nas.cli.app import main

__all__ = ["main"]
