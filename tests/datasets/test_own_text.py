from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.datasets import PreparedText, prepare
from nas.datasets.own_text import Lines
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.testing.datasets import TextSourceContract
from nas.workspace import Workspace

TEXT = "\n".join(f"line {number} of ten" for number in range(10)) + "\n"


class TestOneFile(TextSourceContract):
    def data(self, root: Path) -> Data:
        (root / "all.txt").write_text(TEXT)
        return Data(source="text", train="all.txt")


class TestThreeFilesByCharacter(TextSourceContract):
    def data(self, root: Path) -> Data:
        for name, text in {"train": TEXT, "valid": "line of seven\n", "test": "Öl\n\n"}.items():
            (root / f"{name}.txt").write_text(text, encoding="utf-8")
        return Data(
            source="text", train="train.txt", validation="valid.txt", test="test.txt", level="character"
        )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "all.txt").write_text(TEXT)
    return Workspace(tmp_path)


def text(workspace: Workspace, **options: Any) -> PreparedText:
    prepared = prepare(Data(source="text", **{"train": "all.txt", **options}), workspace)
    assert isinstance(prepared, PreparedText)
    return prepared


def written(prepared: PreparedText, split: str) -> str:
    return " ".join(prepared.vocabulary[number] for number in prepared.split(split))


def test_a_single_file_loses_its_last_lines_to_the_other_splits(workspace: Workspace) -> None:
    prepared = text(workspace)
    assert prepared.sizes == {"train": 40, "validation": 5, "test": 5}
    assert written(prepared, "train").endswith("line 7 of ten <eos>")
    assert written(prepared, "validation") == "line <unk> of ten <eos>"
    assert text(workspace, name="more", validation=3, test=0.2).sizes == {
        "train": 25,
        "validation": 15,
        "test": 10,
    }


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, ["a b a b a b a b <eos>", "a <eos>", "b <eos>"]),
        ({"validation": 0.2, "test": 0.3}, ["a b a b a <eos>", "b a <eos>", "b a b <eos>"]),
        ({"test": "own.txt"}, ["a b a b a b a b a <eos>", "b <eos>", "b <eos>"]),
        ({"level": "character", "test": "own.txt"}, ["a b a b a b a b a <eos>", "b <eos>", "b <eos>"]),
    ],
)
def test_a_text_of_a_single_line_is_cut_inside_the_line(
    workspace: Workspace, options: dict[str, Any], parts: list[str]
) -> None:
    line = "ababababab" if "level" in options else " a b a\tb a b a b  a b \r\n"
    (workspace.root / "line.txt").write_text(line)
    (workspace.root / "own.txt").write_text("b")
    prepared = text(workspace, train="line.txt", **options)
    assert [written(prepared, name) for name in ("train", "validation", "test")] == parts


def test_a_text_of_few_lines_is_cut_over_all_of_them(workspace: Workspace) -> None:
    (workspace.root / "two.txt").write_text("a b a b\na b a b a b\n")
    prepared = text(workspace, train="two.txt", validation=0.2, test=0.2)
    assert written(prepared, "train") == "a b a b <eos> a b <eos>"
    assert written(prepared, "test") == "a b <eos>"
    for wrong in ({"validation": 1}, {"train": "own.txt"}):
        (workspace.root / "own.txt").write_text("a b")
        with pytest.raises(DataError, match="one at least must stay"):
            text(workspace, name="wrong", **{"train": "two.txt", "validation": 0.5, "test": 0.5, **wrong})


def test_a_split_with_a_file_of_its_own_is_not_taken_from_the_training_file(workspace: Workspace) -> None:
    (workspace.root / "test.txt").write_text("ten of line")
    prepared = text(workspace, test="test.txt")
    assert prepared.sizes == {"train": 45, "validation": 5, "test": 4}
    assert written(prepared, "test") == "ten of line <eos>"


def test_plain_words_are_lower_case_and_apart_from_punctuation_in_other_text_too(
    workspace: Workspace,
) -> None:
    raw = """"Isn't it LATE?" said Zoë,\n<unk> and Zoë's cat -- 7:30!\n"""
    (workspace.root / "raw.txt").write_text(raw * 4, encoding="utf-8")
    prepared = text(workspace, train="raw.txt", words="plain", validation=2, test=2)
    first = """" isn't it late ? " said zoë , <eos>"""
    assert written(prepared, "train").startswith(f"{first} <unk> and zoë's cat - - 7 : 30 ! <eos>")
    assert prepared.words == "plain"
    assert "apart from punctuation" in prepared.facts["level"]
    typed = prepared.encode("""" ISN'T it\tlate?"  Said zoë ,""")
    assert " ".join(prepared.vocabulary[number] for number in typed) == first


def test_text_that_was_prepared_by_the_first_rule_for_words_keeps_it(workspace: Workspace) -> None:
    (workspace.root / "raw.txt").write_text("Don’t read हिन्दी.\n" * 4, encoding="utf-8")
    made = text(workspace, train="raw.txt", words="plain")
    assert (made.words_version, "words" in made.facts) == (2, False)
    description = made.folder / "prepared.json"
    told = json.loads(description.read_text())
    del told["words_version"]  # as the first version wrote it
    description.write_text(json.dumps(told))
    kept = text(workspace, train="raw.txt", words="plain")
    assert len(kept.encode("don’t")) == 4
    assert len(made.encode("don’t")) == 2
    assert "--again" in kept.facts["words"]
    told["words_version"] = 3
    description.write_text(json.dumps(told))
    with pytest.raises(DataError, match="words_version=3"):
        text(workspace, train="raw.txt", words="plain")


def test_text_without_spaces_between_words_is_better_read_by_characters(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    for name, line in {"ja": "今日は天気がいいですね。", "en": "the 天気 is fine today"}.items():
        (workspace.root / f"{name}.txt").write_text(f"{line}\n" * 4, encoding="utf-8")
    text(workspace, name="en", train="en.txt", words="plain", vocabulary=5)
    assert caplog.records == []
    text(workspace, name="ja", train="ja.txt", words="plain")
    assert "`level: character`" in caplog.text


def test_words_are_what_stands_between_white_space_unless_asked_otherwise(workspace: Workspace) -> None:
    (workspace.root / "raw.txt").write_text("It's LATE, Zoë!\n" * 3, encoding="utf-8")
    prepared = text(workspace, train="raw.txt")
    assert written(prepared, "train") == "It's LATE, Zoë! <eos>"
    assert prepared.words == "spaced"


def test_windows_line_ends_and_a_byte_order_mark_are_no_text(workspace: Workspace) -> None:
    plain = text(workspace)
    (workspace.root / "marked.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert text(workspace, name="marked", train="marked.txt").digest == plain.digest


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    file = tmp_path / "odd.txt"
    file.write_bytes("a\x0bb\u2028c\rd\n\nlast".encode())
    assert list(Lines(file)) == ["a\x0bb\u2028c\rd", "", "last"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"good\nb\xe4d\n", r"all\.txt, line 2: byte 6 of the file .*0xe4, is not UTF-8 .*save the file"),
        (b"\xef\xbb\xbfgood \xff\n", r"all\.txt, line 1: byte 8 of the file .*0xff"),
        ("utf-16".encode("utf-16"), r"all\.txt, line 1: byte 0 of the file .*0xff"),
        (b"a\xed\xa0\x80\n", r"line 1: byte 1 of"),
    ],
)
def test_what_is_not_utf8_is_named_with_its_line_and_byte(
    workspace: Workspace, content: bytes, told: str
) -> None:
    (workspace.root / "all.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        text(workspace)
    assert not workspace.prepared("text").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"train": "none.txt"}, r"no file is at .*none\.txt \(train='none\.txt'\)"),
        ({"test": "none.txt"}, r"no file is at .*none\.txt \(test='none\.txt'\)"),
        ({"validation": "."}, r"no file is at .* \(validation='\.'\)"),
        ({"test": "empty.txt"}, r"empty\.txt is empty \(test='empty\.txt'\)"),
        ({"train": ""}, "train must be a text"),
        ({"train": 3}, "train must be a text"),
        ({"validation": 0}, "validation must be a number of lines ≥ 1, or a fraction"),
        ({"test": 1.5}, "test must be a number of lines"),
        ({"validation": ""}, "validation must be a number of lines"),
        ({"validation": 9}, r"10 lines, 10 are to be split off \(validation=9 and test=0\.1\)"),
        ({"words": "plane"}, "words can't be 'plane' .*did you mean 'plain'"),
        ({"words": "plain", "level": "character"}, "words='plain' .* none with level='character'"),
        ({"valid": "empty.txt"}, "unknown option 'valid' .*did you mean 'validation'"),
    ],
)
def test_options_that_are_not_allowed_are_named(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    (workspace.root / "empty.txt").touch()
    with pytest.raises(InputError, match=told):
        text(workspace, **options)


def test_the_training_file_must_be_named(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="source 'text' needs the option 'train'"):
        prepare(Data(source="text"), workspace)


def test_changed_files_are_noticed(workspace: Workspace) -> None:
    text(workspace)
    with (workspace.root / "all.txt").open("a") as file:
        file.write("one more\n")
    with pytest.raises(InputError, match=r"files of 'text' changed .*1 files with 140 bytes then"):
        text(workspace)
