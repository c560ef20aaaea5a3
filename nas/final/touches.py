"""How often a winner was tested, and what was measured: kept in two places, so that losing one is no excuse.

The record of the finals counts a touch before it happens. It is local to a machine; `evaluation.json` is
what DVC carries to other clones. Where they differ, the larger count is the true one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from nas.errors import InputError
from nas.search.record import Record

SHARED = ("metric", "unit", "examples", "lower_is_better")
"""What the measurements of winner and baseline have in common."""


@dataclass(frozen=True)
class Touches:
    """What is known of the tests of one winner.

    Attributes:
        count: how often the test data was touched, touches that were cut short included.
        measured: by role (`winner`, `baseline`) a `nas.training.measured.Measured` as JSON; empty: nothing
            usable.
    """

    count: int = 0
    measured: Mapping[str, Any] = field(default_factory=dict)

    def joined(self, other: Self) -> Touches:
        """What two witnesses know together; they count the same touches, so the counts don't add up."""
        more, less = (other, self) if other.count > self.count else (self, other)
        return Touches(more.count, more.measured or less.measured)


def tested(final: Mapping[str, Any]) -> dict[str, Any]:
    """Which models were tested on which data, as it stands in `evaluation.json`.

    Returns:
        `final` (fingerprint of the finals and the winner's number: the same training, whatever file
        came of it), `winner` and `baseline` (SHA-256 of the models), `data_digest`.
    """
    return {
        "final": f"{final['fingerprint']}/{final['winner']['number']}",
        "winner": final["winner"]["sha256"],
        "baseline": final["baseline"]["sha256"] if final["baseline"] else None,
        "data_digest": final["data_digest"],
    }


def known(record: Record, final: Mapping[str, Any], evaluation: Path) -> Touches:
    """What the record of the finals and an earlier `evaluation.json` know of this winner's tests.

    Raises:
        InputError: `evaluation` can't be read, so that its touches would be forgotten.
    """
    kept = record.meta(_key(final))
    noted = Touches(kept["touches"], kept["measured"] or {}) if kept else Touches()
    return noted.joined(_told(evaluation, tested(final)))


def keep(record: Record, final: Mapping[str, Any], touches: Touches) -> None:
    """Notes in the record what is known of the winner's tests."""
    record.set_meta(_key(final), {"touches": touches.count, "measured": dict(touches.measured)})


def _key(final: Mapping[str, Any]) -> str:
    return f"test of final {final['winner']['number']}"


def _told(evaluation: Path, now: Mapping[str, Any]) -> Touches:
    """What `evaluation.json` tells of the winner `now`; of another winner it tells nothing.

    A winner that was trained again, e.g. because its record was lost, is still the same final: its
    touches count, but what was measured is that of other weights.
    """
    if not evaluation.is_file():
        return Touches()
    try:
        found = json.loads(evaluation.read_text(encoding="utf-8"))
        then, test = found.get("tested", {}), found["test"]
        if then == now:
            shared = {key: test[key] for key in SHARED}
            measured = {
                role: {**shared, **test[role], "details": found["details"][role]}
                for role in ("winner", "baseline")
                if test[role] is not None
            }
            return Touches(int(test["touches"]), measured)
        if now["final"] == then.get("final") or now["winner"] == then.get("winner"):
            return Touches(int(test["touches"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{evaluation} can't be read ({type(error).__name__}: {error}), and it tells how often the test "
            "data was touched: bring it back with `dvc checkout` or from git before testing"
        ) from error
    return Touches()
