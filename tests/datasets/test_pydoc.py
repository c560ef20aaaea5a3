from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from nas.datasets import Places, PreparedText, prepare
from nas.datasets.pydoc import Pydoc
from nas.datasets.source import silent
from nas.errors import DataError
from nas.experiment import Data
from nas.testing.datasets import TextSourceContract
from nas.workspace import Workspace


class TestPydocByWord(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source="pydoc")


class TestPydocByCharacter(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source="pydoc", level="character")


def lines(topics: dict[str, str], monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, list[str]]:
    """What the source makes of other topics."""
    monkeypatch.setattr("pydoc_data.topics.topics", topics)
    raw = Pydoc(**options).read(Places(Path(), Path(), Path()), silent)
    return {name: list(part) for name, part in raw.parts.items()}


def test_there_is_enough_text_in_every_split(tmp_path: Path) -> None:
    prepared = prepare(Data(source="pydoc"), Workspace(tmp_path))
    assert isinstance(prepared, PreparedText)
    total = sum(prepared.sizes.values())
    assert total > 50_000
    for name in ("validation", "test"):
        assert 0.06 < prepared.sizes[name] / total < 0.16, name
        assert prepared.unknown[name] / prepared.sizes[name] < 0.15, name
    assert len(prepared.vocabulary) == 2000
    assert {"the", "def", "class", "<unk>", "<eos>", "(", "."} < set(prepared.vocabulary)
    assert not [token for token in prepared.vocabulary if token != token.lower()]
    assert not [token for token in prepared.vocabulary[:500] if "--" in token or "==" in token]


def test_no_paragraph_is_in_two_splits() -> None:
    raw = Pydoc(level="character").read(Places(Path(), Path(), Path()), silent)
    every = [line for part in raw.parts.values() for line in part]
    assert len(set(every)) == len(every)


def test_a_paragraph_becomes_a_line_and_rules_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = (
        'The "del"\nstatement\n****\n\n   del_stmt ::= "del" x...\n  \nIsn\'t a.b_c2 --- it?\n\n+----+----+\n'
    )
    whole = {"a": topic, "b": "x" * 100}
    found = lines(whole, monkeypatch, level="character")["train"]
    assert found == ['The "del" statement', 'del_stmt ::= "del" x...', "Isn't a.b_c2 --- it?", "x" * 100]
    assert lines(whole, monkeypatch)["train"][:3] == [
        'the " del " statement',
        'del_stmt : : = " del " x . . .',
        "isn't a . b_c2 - - - it ?",
    ]


def test_a_repeated_paragraph_stays_in_the_longest_topic_only(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = {"part": "same\n\nown", "whole": "first\n\nsame\n\nlast", "copy": "same"}
    found = [line for part in lines(topics, monkeypatch).values() for line in part]
    assert sorted(found) == ["first", "last", "own", "same"]
    assert "first same last" in " ".join(found)


def test_topics_go_whole_to_a_split_that_only_their_names_and_lengths_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = {f"topic{number}": f"{number:02} one\n\n{number:02} two" for number in range(40)}
    found = lines(topics, monkeypatch)
    assert {name: len(part) for name, part in found.items()} == {"train": 64, "validation": 8, "test": 8}
    for part in found.values():
        assert all(first[:2] == second[:2] for first, second in zip(part[::2], part[1::2], strict=True))
    assert lines(dict(reversed(topics.items())), monkeypatch) == found
    assert [line[:2] for line in found["test"][::2]] == ["13", "21", "07", "09"]


def test_a_python_without_its_documentation_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python comes without its documentation"):
        prepare(Data(source="pydoc"), Workspace(tmp_path))
