"""Records of earlier schemas are read as they are, and brought up only by who goes on with them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nas.search.migrations import MIGRATIONS, SCHEMA, TABLES, VIEWS
from nas.search.record import Record
from nas.search.states import files_folder

KEPT = Path(__file__).parents[1] / "kept_records"


@pytest.fixture(params=["images/search.sql", "text/search.sql", "images/finals.sql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A record in schema 1."""
    path = tmp_path / "abc" / "record.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript((KEPT / request.param).read_text())
    return path


def schema_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        (value,) = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return str(value)


def test_readers_change_nothing(old: Path) -> None:
    before = old.read_bytes()
    with Record.read(old) as record:
        children, batches = record.children(), record.batches()
        assert len(children) == record.count() == record.count("ok")
        assert [batch.replica for batch in batches] == [0] * record.count_batches()
        assert record.open_batches() == []
        assert [c.number for c in record.children(batch=0)] == [c.number for c in children if c.batch == 0]
        assert record.best(1)[0].reward == max(child.reward for child in children)
        assert record.cost_seconds() > 0
        assert record.last_update() == batches[-1]
    assert old.read_bytes() == before
    assert sorted(path.name for path in old.parent.iterdir()) == ["record.sqlite"]


def test_who_holds_a_record_brings_it_up_after_a_copy_was_set_aside(old: Path) -> None:
    with Record.read(old) as record:
        definition, children, batches = record.definition, record.children(), record.batches()
    with Record.hold(old, definition) as record:
        assert record.children() == children
        assert record.batches() == batches
        policy, sampler = record.state("policy"), record.state("replica 0")
        assert policy["updates"] == len(batches)
        assert "random" in sampler
        assert not sampler.keys() & policy.keys()
        assert record.state("evaluator") == {}
        assert record.state_versions("policy") == [len(batches)]
    assert schema_of(old) == str(SCHEMA)
    aside = old.with_name("record-schema-1.sqlite")
    assert schema_of(aside) == "1"
    with Record.read(aside) as copy:
        assert copy.children() == children
    assert not files_folder(old).exists()


def test_a_migration_that_is_killed_leaves_the_record_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Record.read(old) as record:
        definition, children = record.definition, record.children()

    class Killed(BaseException):
        pass

    def half(db: sqlite3.Connection) -> None:
        MIGRATIONS_2(db)
        raise Killed

    MIGRATIONS_2 = MIGRATIONS[2]  # noqa: N806
    with monkeypatch.context() as patch:
        patch.setitem(MIGRATIONS, 2, half)
        with pytest.raises(Killed):
            Record.hold(old, definition)
    assert schema_of(old) == "1"
    with Record.hold(old, definition) as record:
        assert record.children() == children


def test_a_migrated_record_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    with Record.read(old) as record:
        definition = record.definition
    Record.hold(old, definition).close()
    fresh = tmp_path / "new" / "record.sqlite"
    Record.hold(fresh, definition).close()

    def shape(path: Path) -> dict[str, object]:
        with closing(sqlite3.connect(path)) as db:
            names = db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
            found: dict[str, object] = {name: kind for kind, name in names}
            for name in [name for name, kind in found.items() if kind == "table"]:
                found[f"columns of {name}"] = {row[1:6] for row in db.execute(f"PRAGMA table_info({name})")}
            return found

    assert shape(old) == shape(fresh)


def test_each_schema_can_be_read_and_brought_up() -> None:
    assert set(VIEWS) == set(range(1, SCHEMA))
    assert set(MIGRATIONS) == set(range(2, SCHEMA + 1))
    assert "states" in TABLES
