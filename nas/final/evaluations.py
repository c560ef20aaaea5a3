"""Test evaluations: how often a winner was measured on test data, and what came out, kept twice.

The record of the finals counts an evaluation before it happens. It is local to a machine; `evaluation.json`
is what DVC carries to other clones. Where they differ, the larger count is the true one.

A winner is chosen on validation data, but whoever tests winner after winner on one test set chooses by the
test. So the evaluations of all winners of all experiments on the same data are told beside those of one. They
are counted for each winner, and nothing that all share has to be written: what all witnesses in the
workspace know is joined winner by winner, the larger count each, and summed. Each witness also keeps what
was known of the others when it was written, so that the count outlives the records, the reports, an
experiment that is gone, and finals that a larger budget or another seed replaced.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from nas.errors import InputError, NasError
from nas.evaluation import harmless
from nas.experiment import fingerprint
from nas.final.rings import correlation_lines
from nas.search.folders import read_json
from nas.search.record import Record
from nas.workspace import Workspace

logger = logging.getLogger("nas")

SHARED = ("metric", "unit", "examples", "lower_is_better")
"""What the measurements of winner and baseline have in common."""


@dataclass(frozen=True)
class KnownTests:
    """What is known of the tests of one winner.

    Attributes:
        count: how many evaluations on the test data began, those that were cut short included.
        measured: by role (`winner`, `baseline`) a `nas.training.measured.Measured` as JSON; empty: nothing
            usable.
        carried: how many of `count` were counted for another final, whose model was the same file.
    """

    count: int = 0
    measured: Mapping[str, Any] = field(default_factory=dict)
    carried: int = 0

    def joined(self, other: Self) -> KnownTests:
        """What two witnesses know together; they count the same evaluations, so the counts don't add up."""
        more, less = (other, self) if other.count > self.count else (self, other)
        return KnownTests(more.count, more.measured or less.measured, more.carried)


def checked_final(path: Path) -> dict[str, Any]:
    """What `final.json` holds.

    Raises:
        InputError: it can't be read, or isn't what `nas finalize` writes.
    """
    final = read_json(path)
    try:
        tested(final)
        kept = [final["winner"]] if final["baseline"] is None else [final["winner"], final["baseline"]]
        for one in [*final["finalists"], *kept]:
            _ = {key: one[key] for key in ("number", "role", "architecture", "status", "score", "reward")}
            if one["search"] is not None:
                _ = {key: one["search"][key] for key in ("child", "reward", "proxy_score")}
            _ = {ring["ring"]: (ring["place"], ring["score"]) for ring in one.get("rings", ())}
        correlation_lines(final.get("rank_correlations", {}))
        for one in kept:
            path.with_name(one["model"])
            if not isinstance(one["score"], int | float):
                raise TypeError(f"the score is {one['score']!r:.60}")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = harmless(f"{type(error).__name__}: {error}")
        raise InputError(
            f"{path} is not what `nas finalize` writes ({why}): `nas finalize` or "
            "`dvc checkout` makes it again"
        ) from error
    return final


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


def is_of_winner(evaluation: Mapping[str, Any], final: Mapping[str, Any]) -> bool:
    """Whether an `evaluation.json` tells of the winner in `final.json`, not of one that was chosen before."""
    then = evaluation.get("tested")
    if not then or "fingerprint" not in final:
        return True  # of a version that didn't say
    now = f"{final['fingerprint']}/{final['winner']['number']}"
    return bool(then["final"] == now or then["winner"] == final["winner"]["sha256"])


def known(record: Record, final: Mapping[str, Any], evaluation: Path) -> KnownTests:
    """What the record of the finals and an earlier `evaluation.json` know of this winner's tests.

    Raises:
        InputError: `evaluation` can't be read, so that its evaluations would be forgotten.
    """
    kept = record.meta(_key(final))
    noted = (
        KnownTests(kept["touches"], kept["measured"] or {}, kept.get("carried", 0)) if kept else KnownTests()
    )
    return noted.joined(_told(evaluation, tested(final)))


def keep(record: Record, final: Mapping[str, Any], tests: KnownTests) -> None:
    """Notes in the record what is known of the winner's tests."""
    values = {"touches": tests.count, "measured": dict(tests.measured), "carried": tests.carried}
    record.set_meta(_key(final), values)


def _key(final: Mapping[str, Any]) -> str:
    return f"{_TEST_OF}{final['winner']['number']}"


_TEST_OF = "test of final "
_OF_OTHERS = "touches of the same data"


def of_all_experiments(workspace: Workspace, digest: str) -> dict[str, int]:
    """How often each winner of the workspace was evaluated on the test data of one digest.

    It reads what all records of finals and every `evaluation.json` tell; one that can't be read is named in
    a warning and left out.

    Args:
        workspace: whose records and reports are read.
        digest: of the prepared data.

    Returns:
        Evaluations by final (`tested(…)["final"]`), in the order of these names.
    """
    joined: dict[str, int] = {}
    for path in _witnesses(workspace):
        try:
            known = _of_record(path, digest) if path.suffix == ".sqlite" else _of_evaluation(path, digest)
        except (NasError, sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("%s can't be read, so its test evaluations don't count: %s", path, error)
            continue
        for final, count in known.items():
            joined[final] = max(count, joined.get(final, 0))
    return dict(sorted(joined.items()))


def keep_others(record: Record, counts: Mapping[str, int]) -> None:
    """Keeps in the record what is known of the test evaluations of all experiments on its data."""
    record.set_meta(_OF_OTHERS, dict(counts))


def summed(digest: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """The evaluations on one test set by all experiments, as they stand in `evaluation.json`."""
    by_final = [{"final": final, "touches": count} for final, count in counts.items()]
    return {"data_digest": digest, "touches": sum(counts.values()), "by_final": by_final}


def read_evaluation(path: Path, workspace: Workspace) -> dict[str, Any] | None:
    """What an `evaluation.json` holds, with the count for its test set as all witnesses know them now.

    None: there is none.

    Raises:
        InputError: it can't be read.
    """
    if not path.is_file():
        return None
    found = read_json(path)
    try:
        digest = found.get("tested", {}).get("data_digest")
    except AttributeError as error:
        raise InputError(
            f"{path} can't be read ({error}): bring it back with `dvc checkout` or from git"
        ) from error
    return found | {"test_set": summed(digest, of_all_experiments(workspace, digest))} if digest else found


def _witnesses(workspace: Workspace) -> Iterator[Path]:
    yield from sorted(workspace.state.glob("*/record.sqlite"))
    each = workspace.reports("*")
    yield from sorted(each.parent.glob(f"{each.name}/evaluation/evaluation.json"))


def _of_record(path: Path, digest: str) -> dict[str, int]:
    with Record.read(path) as record:
        definition = record.definition
        if definition.get("data", {}).get("digest") != digest:
            return {}
        known = {final: int(count) for final, count in record.meta(_OF_OTHERS, {}).items()}
        for key, test in record.metas(_TEST_OF).items():
            final = f"{fingerprint(definition)}/{key.removeprefix(_TEST_OF)}"
            known[final] = max(int(test["touches"]) - test.get("carried", 0), known.get(final, 0))
        return known


def _of_evaluation(path: Path, digest: str) -> dict[str, int]:
    found = read_json(path)
    tested = found.get("tested", {})
    if tested.get("data_digest") != digest:
        return {}
    others = found.get("test_set", {"by_final": []})["by_final"]  # an earlier version told of one winner
    known = {one["final"]: int(one["touches"]) for one in others}
    own, test = tested["final"], found["test"]
    return known | {own: max(int(test["touches"]) - test.get("carried", 0), known.get(own, 0))}


def _told(evaluation: Path, now: Mapping[str, Any]) -> KnownTests:
    """What `evaluation.json` tells of the winner `now`; of another winner it tells nothing.

    A winner that was trained again, e.g. because its record was lost, is still the same final: its
    evaluations count, but what was measured is that of other weights.
    """
    if not evaluation.is_file():
        return KnownTests()
    try:
        found = read_json(evaluation)
        then, test = found.get("tested", {}), found["test"]
        if then == now:
            shared = {key: test[key] for key in SHARED}
            measured = {
                role: {**shared, **test[role], "details": found["details"][role]}
                for role in ("winner", "baseline")
                if test[role] is not None
            }
            return KnownTests(int(test["touches"]), measured, test.get("carried", 0))
        if now["final"] == then.get("final"):
            return KnownTests(int(test["touches"]), carried=test.get("carried", 0))
        if now["winner"] == then.get("winner"):
            return KnownTests(int(test["touches"]), carried=int(test["touches"]))
    except (InputError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{evaluation} can't be read ({type(error).__name__}: {error}), and it tells how often the test "
            "data was touched: bring it back with `dvc checkout` or from git before testing"
        ) from error
    return KnownTests()
