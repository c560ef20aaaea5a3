"""What others wrote into a record is shown, and never decides which code runs here or what else is shown."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nas.evaluation import ChildResult
from nas.experiment import load
from nas.search.opening import open_search
from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import ENTRIES, Nas, Write
from tests.factories import write_experiment

EVIL = "evil:boom"


@pytest.fixture
def searched(nas: Nas, write: Write, workspace: Workspace) -> Path:
    """A finished search of 4 children; returns its record."""
    write(budget={"children": 4}, search__children_per_round=2)
    assert nas("search", "tiny", "--no-track").code == 0
    (path,) = workspace.state.glob("*/record.sqlite")
    return path


@pytest.fixture
def imported(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Modules `evil` in the workspace and in its folders, and whether one of them was imported."""
    trace = workspace.root / "imported"
    for folder in (workspace.root, workspace.root / "data", workspace.state):
        folder.mkdir(exist_ok=True)
        (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w').close()\ndef boom(*_): ...\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(workspace.root)])
    yield trace.exists
    for name in ("evil", "data.evil", "data"):
        sys.modules.pop(name, None)


def changed(path: Path, *commands: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for sql in commands:
            db.execute(sql)


def named_by_the_record(path: Path, kind: str) -> None:
    """Lets all children have an architecture of another kind, as one who makes a record may write it."""
    form = json.dumps({"kind": kind, "a": 1})
    changed(
        path,
        f"UPDATE children SET architecture = '{kind}:[red]x', "
        f"proposal = json_set(proposal, '$.architecture', json('{form}'))",
    )


def parts_of_the_record(path: Path, name: str, **parts: str) -> None:
    """Renames the record's experiment, so that no YAML file has it, and some of its parts."""
    with closing(sqlite3.connect(path)) as db, db:
        value = json.loads(db.execute("SELECT value FROM meta WHERE key = 'experiment'").fetchone()[0])
        for kind, part in parts.items():
            value[kind] = {"source" if kind == "data" else "name": part}
        db.execute(
            "UPDATE meta SET value = ? WHERE key = 'experiment'", (json.dumps({**value, "name": name}),)
        )
        db.execute("UPDATE meta SET value = ? WHERE key = 'names'", (json.dumps([name]),))


@pytest.mark.parametrize("kind", [EVIL, "data.evil:boom", "evil:boom.x", "nope", "conv"])
def test_no_reader_imports_the_kind_of_a_records_architecture(
    nas: Nas, searched: Path, imported: Callable[[], bool], kind: str
) -> None:
    named_by_the_record(searched, kind)
    for command in (
        ("status",),
        ("status", "--json"),
        ("top", "tiny"),
        ("top", "tiny", "--json"),
        ("top", "tiny", "--pareto"),
        ("show", "1", "tiny"),
        ("show", "1", "tiny", "--json"),
        ("summary", "tiny"),
        ("report", "tiny", "--no-track"),
        ("doctor",),
    ):
        ended = nas(*command)
        assert ended.code in (0, 1 if command == ("doctor",) else 0), (command, ended.err)
        assert not imported(), command
        if command[0] in ("top", "show"):
            assert f"{kind}:[red]x" in ended.out


def test_tracking_sends_an_unknown_architecture_as_text(
    nas: Nas, searched: Path, imported: Callable[[], bool]
) -> None:
    named_by_the_record(searched, EVIL)
    assert "4 children added" in nas("track", "tiny").out
    assert not imported()


def test_an_unknown_architecture_is_not_trained(
    nas: Nas, write: Write, searched: Path, imported: Callable[[], bool]
) -> None:
    named_by_the_record(searched, EVIL)
    changed(
        searched,
        "UPDATE children SET result = NULL, status = NULL, reward = NULL WHERE number = 3",
        "UPDATE batches SET updated_at = NULL, statistics = NULL WHERE number = 1",
    )
    ended = nas("search", "tiny", "--no-track")
    assert (ended.code, imported()) == (1, False)
    assert "child 3 can't be trained" in ended.err
    ended = nas("finalize", "tiny", "--no-track")
    assert (ended.code, imported()) == (1, False)
    assert "can't be retrained" in ended.err


@pytest.mark.parametrize("kind", ["reward", "recipe", "space", "controller", "evaluator", "data"])
def test_no_reader_imports_the_parts_that_a_records_experiment_names(
    nas: Nas, searched: Path, imported: Callable[[], bool], kind: str
) -> None:
    parts_of_the_record(searched, "theirs", **{kind: EVIL})
    assert "theirs" in nas("status").out
    for command in (("top", "theirs"), ("show", "1", "theirs"), ("report", "theirs", "--no-track")):
        ended = nas(*command)
        assert not imported(), command
        assert ended.code == 1
        assert f"{kind} '{EVIL}'" in ended.err


@pytest.mark.parametrize("kind", ["stack", "loop"])
def test_no_reader_imports_what_the_options_of_a_records_parts_name(
    nas: Nas, searched: Path, imported: Callable[[], bool], kind: str
) -> None:
    path, named = {"stack": ("$.recipe.stack", {"name": EVIL}), "loop": ("$.search.loop", EVIL)}[kind]
    parts_of_the_record(searched, "theirs")
    for key in ("experiment", "definition"):
        put = f"json_set(value, '{path}', json('{json.dumps(named)}'))"
        changed(searched, f"UPDATE meta SET value = {put} WHERE key = '{key}'")
    assert "theirs" in nas("status").out
    for command in (("top", "theirs"), ("show", "1", "theirs"), ("report", "theirs", "--no-track")):
        ended = nas(*command)
        assert not imported(), command
        assert ended.code == 1
        assert f"{kind} '{EVIL}'" in ended.err


def test_parts_that_the_users_yaml_names_are_imported_for_a_record(
    nas: Nas, write: Write, searched: Path
) -> None:
    write("other", reward={"name": "nas.search.rewards:AccuracyReward"})
    parts_of_the_record(searched, "former", reward="nas.search.rewards:AccuracyReward")
    assert nas("top", "former").code == 0


OWN = """
from dataclasses import dataclass
from nas.spaces import Choice, Cost, DepthSchedule, Space, StepList, Architecture

@dataclass(frozen=True)
class Net(Architecture):
    kind = "ownkind:Net"
    size: int
    def body(self): return str(self.size)
    @classmethod
    def from_body(cls, body): return cls(int(body))
    def fields(self): return {"size": self.size}
    @classmethod
    def from_fields(cls, fields): return cls(**fields)
    def cost(self, input_shape, outputs): return Cost(self.size, self.size)
"""
OWN_SPACE = """
from nas.spaces import Choice, DepthSchedule, Space, StepList

class Sizes(Space):
    depth = DepthSchedule(1)
    def steps(self, depth): return StepList([Choice("size", "size", (1, 2, 3))])
    def decode(self, tokens, depth):
        from ownkind import Net  # as late as can be
        return Net(1 + tokens[0])
    def encode(self, architecture): return (architecture.size - 1,)
"""


def test_a_users_own_space_brings_its_own_kind(
    nas: Nas, write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "ownkind.py").write_text(OWN)
    (workspace.root / "ownspace.py").write_text(OWN_SPACE)
    monkeypatch.setattr(sys, "path", [*sys.path, str(workspace.root)])
    experiment = load(write("own", space={"name": "ownspace:Sizes"}, controller={"name": "random"}))
    with open_search(experiment.model_copy(update={"recipe": None}), workspace) as search:
        search.sample()
    for name in ("ownkind", "ownspace"):
        del sys.modules[name]
    experiment = load(workspace.experiments / "own.yaml")
    (path,) = workspace.state.glob("*/record.sqlite")
    with Record.read(path) as record:
        kinds = {type(child.proposal.architecture).__name__ for child in record.children()}
    assert kinds == {"Net"}
    for name in ("ownkind", "ownspace"):
        del sys.modules[name]


# Files that are no records


def zero(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"once upon a time " * 1000)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_database(path: Path) -> None:
    path.unlink()
    changed(path, "CREATE TABLE cooking(recipe TEXT)")


def newer_schema(path: Path) -> None:
    changed(path, "UPDATE meta SET value = '99' WHERE key = 'schema'")


def broken_json(path: Path) -> None:
    changed(path, "UPDATE meta SET value = '{' WHERE key = 'experiment'")


def deep_json(path: Path) -> None:
    changed(path, f"UPDATE meta SET value = '{'[' * 50_000}' WHERE key = 'names'")


def no_definition(path: Path) -> None:
    changed(path, "UPDATE meta SET value = '[1, 2]' WHERE key = 'definition'")


def no_seed(path: Path) -> None:
    changed(path, "UPDATE meta SET value = '{}' WHERE key = 'definition'")


def no_proposals(path: Path) -> None:
    changed(path, "UPDATE children SET proposal = '{}'")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def looping_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def damaged_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


BREAKS = [
    zero,
    no_database,
    truncated,
    another_database,
    newer_schema,
    broken_json,
    deep_json,
    no_definition,
    no_seed,
    no_proposals,
    folder,
    looping_link,
    damaged_pages,
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A workspace with a finished search."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(digits, Workspace(root).prepared("digits"))
    listed = {"name": "list", "entries": ENTRIES}
    path = write_experiment(root, controller=listed, budget={"children": 2}, search__children_per_round=2)
    with open_search(load(path), Workspace(root)) as search:
        search.advance(search.experiment.budget)
    return root


@pytest.fixture
def beside(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A copy of it with its record, and another record beside it, whose experiment is `other`."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    (own,) = Workspace(tmp_path).state.glob("*/record.sqlite")
    other = own.parents[1] / "other" / "record.sqlite"
    other.parent.mkdir()
    shutil.copyfile(own, other)
    changed(other, """UPDATE meta SET value = '["other"]' WHERE key = 'names'""")
    return own, other


@pytest.mark.parametrize("damage", BREAKS)
def test_a_record_that_cannot_be_read_is_named_and_breaks_nothing_else(
    nas: Nas, beside: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    own, other = beside
    damage(other)
    for command in (("status",), ("top", "tiny"), ("search", "tiny", "--no-track"), ("show", "0", "tiny")):
        ended = nas(*command)
        assert ended.code == 0, (command, ended.err)
        assert "tiny" in ended.out
        if command == ("status",) or damage is not no_proposals:
            assert ended.err.count(str(other)) >= 1, command
    told = json.loads(nas("status", "--json").out)
    assert [search["record"] for search in told["searches"]] == [str(own)]
    assert [one["record"] for one in told["unreadable"]] == [str(other)]


@pytest.mark.parametrize("damage", BREAKS)
def test_the_commands_on_a_record_that_cannot_be_read_say_so(
    nas: Nas, beside: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    own, _ = beside
    damage(own)
    for command in (("status", "tiny"), ("top", "tiny"), ("search", "tiny", "--no-track")):
        if damage in (no_proposals, broken_json, deep_json) and command[0] == "search":
            continue  # a search takes nothing of these
        ended = nas(*command)
        assert ended.code == 1, (command, ended.out)
        assert str(own) in ended.err


@pytest.mark.parametrize(
    ("said", "code", "advice"),
    [
        ("unable to open database file", 1, "readable"),
        ("attempt to write a readonly database", 1, "writable"),
        ("disk I/O error", 1, "disk"),
        ("database or disk is full", 75, "make room"),
        ("database is locked", 75, "try again later"),
        ("database disk image is malformed", 1, "Move its folder away"),
    ],
)
def test_what_hinders_a_search_is_said_with_what_to_do(
    nas: Nas, beside: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, said: str, code: int, advice: str
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError(said)

    monkeypatch.setattr(ChildResult, "to_json", fail)  # within the transaction that keeps a result
    ended = nas("search", "tiny", "--no-track", "--children", "4")
    assert ended.code == code
    assert advice in ended.err


def test_a_locked_record_is_left_out(nas: Nas, beside: tuple[Path, Path]) -> None:
    _, other = beside
    with closing(sqlite3.connect(other)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        ended = nas("top", "tiny")
    assert ended.code == 0
    assert "has locked" in ended.err


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"test": [], "rank_correlation": 1}', "[" * 100_000])
def test_a_damaged_evaluation_is_a_sentence(nas: Nas, beside: tuple[Path, Path], content: str) -> None:
    path = Workspace.here().reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    ended = nas("summary", "tiny")
    assert ended.code == 2
    assert str(path) in ended.err


def test_a_long_text_is_refused_with_its_advice(nas: Nas, beside: tuple[Path, Path]) -> None:
    ended = nas("show", "conv:" + "x" * 5000)
    assert ended.code == 2
    assert "HEIGHTxWIDTHxFILTERS@INPUTS" in ended.err
    assert len(ended.err) < 1000


@pytest.mark.parametrize("command", ["status", "top", "report", "search"])
def test_a_name_that_no_file_can_have_is_refused(nas: Nas, beside: tuple[Path, Path], command: str) -> None:
    ended = nas(command, "x" * 3000)
    assert ended.code == 2
    assert "at most 200 bytes" in ended.err
