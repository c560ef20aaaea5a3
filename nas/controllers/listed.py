"""A controller that proposes a given list once: the finals are a search over such a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas import plugins
from nas.controllers.controller import Controller, Told, in_order, reward_statistics
from nas.errors import InputError
from nas.evaluation import UNNUMBERED, Proposal
from nas.spaces import Architecture, Space, parse_architecture


class ListController(Controller):
    """List of entries that are proposed in order, each once; it learns nothing.

    Args:
        space: only names the family; entries may lie outside it (a hand-made baseline does).
        seed: unused; nothing here is random.
        entries: mappings with the text form `architecture` and, optionally, recipe `overrides`.
    """

    def __init__(self, space: Space, *, seed: int = 0, entries: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(space, seed=seed)
        if not entries:
            raise InputError("a list of entries to train must not be empty")
        wrong = (
            [entry for entry in entries if not _is_entry(entry)]
            if isinstance(entries, list | tuple)
            else entries
        )
        if wrong:
            raise InputError(
                "each of a list's entries has the text of an architecture, and may have overrides of the "
                "recipe, as in entries: [{architecture: 'conv:3x3x24@0', overrides: {epochs: 5}}]. Received: "
                f"{wrong!r}"
            )
        self._entries = [
            (parse_architecture(entry["architecture"]), dict(entry.get("overrides", {}))) for entry in entries
        ]

    @classmethod
    def canonical_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The entries, with architectures of built-in kinds as these write themselves."""
        entries = [
            {
                **({"overrides": overrides} if (overrides := entry.get("overrides")) else {}),
                "architecture": _canonical_text(str(entry["architecture"])),
            }
            for entry in options["entries"]
        ]
        return {"entries": entries}

    @property
    def entries(self) -> tuple[tuple[Architecture, Mapping[str, Any]], ...]:
        """Architecture and overrides of all entries, in order."""
        return tuple(self._entries)

    def propose(self, count: int, begun: int) -> list[Proposal]:
        """The next `count` entries, or as many as are left."""
        return [
            Proposal(UNNUMBERED, 1, (), architecture, overrides, 0.0, self.updates)
            for architecture, overrides in self._entries[begun : begun + count]
        ]

    def learn(self, told: Told) -> dict[str, float]:
        _, rewards = in_order(told)
        self.updates += 1
        return reward_statistics(rewards)


def _canonical_text(text: str) -> str:
    kind, _, _ = text.strip().rpartition(":")
    if kind not in plugins.BUILT_IN["architecture"]:
        return text.strip()  # one of the user's own: others who read this don't import it
    return parse_architecture(text).text()


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("architecture"), str)
        and isinstance(value.get("overrides", {}), Mapping)
    )
