from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets import (
    ImageSource,
    Places,
    PreparedText,
    Progress,
    RawText,
    Source,
    TextSource,
    load,
    prepare,
    verify,
)
from nas.datasets.prepared import tokens
from nas.datasets.text import split_off
from nas.errors import DataError, InputError, TemporaryError
from nas.experiment import Data
from nas.testing.datasets import TextSourceContract
from nas.workspace import Workspace
from tests.datasets.factories import Stripes

VERSES = "tests.datasets.factories:Verses"


class TestVersesByWord(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source=VERSES)


class TestVersesByWordLimited(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source=VERSES, vocabulary=4)


class TestVersesByCharacter(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source=VERSES, level="character")


@pytest.fixture
def verses(tmp_path: Path) -> Callable[..., PreparedText]:
    """Prepares the verses with these options."""

    def prepared(**options: Any) -> PreparedText:
        found = prepare(Data(source=VERSES, **options), Workspace(tmp_path))
        assert isinstance(found, PreparedText)
        return found

    return prepared


def words(prepared: PreparedText, split: str) -> str:
    return " ".join(prepared.vocabulary[number] for number in prepared.split(split))


def test_what_was_prepared_says_what_it_is(verses: Callable[..., PreparedText]) -> None:
    prepared = verses()
    assert (prepared.name, prepared.kind, prepared.level) == ("verses", "text", "word")
    assert prepared.vocabulary == ("<eos>", "the", "cat", "mat", "on", "ran", "sat", "<unk>")
    assert prepared.eos == 0
    assert prepared.sizes == {"train": 13, "validation": 4, "test": 4}
    assert prepared.unknown == {"train": 0, "validation": 1, "test": 1}
    train = prepared.split("train")
    assert isinstance(train, np.memmap)
    assert (train.shape, train.dtype) == ((13,), np.int32)
    assert words(prepared, "train") == "the cat sat <eos> on the mat <eos> <eos> the cat ran <eos>"
    assert words(prepared, "validation") == "the <unk> sat <eos>"
    assert words(prepared, "test") == "<unk> cat <eos> <eos>"


def test_a_limit_makes_the_rarest_words_unknown(verses: Callable[..., PreparedText]) -> None:
    prepared = verses(vocabulary=4)
    assert prepared.vocabulary == ("<eos>", "<unk>", "the", "cat")
    assert words(prepared, "train") == ("the cat <unk> <eos> <unk> the <unk> <eos> <eos> the cat <unk> <eos>")
    assert prepared.unknown == {"train": 4, "validation": 2, "test": 1}


def test_by_characters_a_space_is_a_token(verses: Callable[..., PreparedText]) -> None:
    prepared = verses(level="character")
    assert prepared.sizes == {"train": 36, "validation": 12, "test": 7}
    assert [prepared.vocabulary[number] for number in prepared.split("test")] == [
        *("a", " ", "c", "a", "t", "<eos>", "<eos>")
    ]
    assert prepared.unknown == {"train": 0, "validation": 2, "test": 0}, "d and g of dog"


def test_text_of_many_blocks_is_written_and_counted_whole(
    verses: Callable[..., PreparedText], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = verses(vocabulary=4)
    monkeypatch.setattr(tokens, "_BLOCK_TOKENS", 3)
    blocks = verses(vocabulary=4, name="blocks")
    assert (blocks.digest, blocks.unknown) == (whole.digest, whole.unknown)


def test_other_text_is_encoded_as_the_splits_were(verses: Callable[..., PreparedText]) -> None:
    prepared = verses()
    assert np.array_equal(
        prepared.encode("the cat sat\non the mat\n\nthe cat ran\n"), prepared.split("train")
    )
    assert prepared.encode("the wolf").tolist() == [1, 7, 0]
    assert prepared.encode("").tolist() == [0]
    assert prepared.encode("").dtype == np.int32


def test_the_digest_of_given_text_never_changes_and_knows_level_and_vocabulary(
    verses: Callable[..., PreparedText],
) -> None:
    digests = [
        verses().digest,
        verses(name="characters", level="character").digest,
        verses(name="few", vocabulary=4).digest,
        verses(name="other", test="a dog").digest,
    ]
    assert len(set(digests)) == 4
    assert digests[0] == "77b3155d7122cca832e1319305ba49470096d702c4b4fb3cca4fe04fd0316e7b"
    # The same numbers for other words are other data.
    renamed = verses(name="renamed", train=VERSES_WITH_A_DOG, validation="the cat sat\n", test="a dog\n\n")
    assert np.array_equal(renamed.split("train"), verses().split("train"))
    assert renamed.digest != digests[0]


VERSES_WITH_A_DOG = "the dog sat\non the mat\n\nthe dog ran\n"


def test_text_and_lines_are_the_same(verses: Callable[..., PreparedText]) -> None:
    lines = ["the cat sat", "on the mat", "", "the cat ran"]
    assert verses(name="lines", train=lines).digest == verses().digest


def test_prepared_text_is_found_by_its_folder_alone(
    verses: Callable[..., PreparedText], tmp_path: Path
) -> None:
    shutil.copytree(verses().folder, tmp_path / "moved")
    moved = load(tmp_path / "moved", PreparedText)
    verify(moved)
    assert (moved.name, moved.digest, moved.vocabulary) == ("moved", verses().digest, verses().vocabulary)


def test_an_unknown_split_names_the_nearest(verses: Callable[..., PreparedText]) -> None:
    with pytest.raises(DataError, match=r"no split is named 'valid': did you mean 'validation'"):
        verses().split("valid")


@pytest.mark.parametrize("file", ["train_tokens.npy", "test_tokens.npy", "vocabulary.json"])
def test_a_missing_file_is_named(verses: Callable[..., PreparedText], file: str) -> None:
    folder = verses().folder
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"{file} can't be read .*prepare it again"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '["a", "<unk>"]', '["a", "<eos>"]'])
def test_a_damaged_vocabulary_is_named(verses: Callable[..., PreparedText], text: str) -> None:
    folder = verses().folder
    (folder / "vocabulary.json").write_text(text)
    with pytest.raises(DataError, match=r"vocabulary\.json .*prepare it again"):
        load(folder)


@pytest.mark.parametrize("key", ["level", "unknown", "sizes", "digest"])
def test_a_description_without_one_of_its_keys_is_damaged(
    verses: Callable[..., PreparedText], key: str
) -> None:
    file = verses().folder / "prepared.json"
    description = json.loads(file.read_text())
    del description[key]
    file.write_text(json.dumps(description))
    with pytest.raises(DataError, match=rf"prepared\.json is damaged \(KeyError: '{key}'\)"):
        load(file.parent)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_one_changed_token_is_found_by_verify_only(verses: Callable[..., PreparedText], split: str) -> None:
    file = verses().folder / f"{split}_tokens.npy"
    data = bytearray(file.read_bytes())
    data[-4] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="were changed: their digest"):
        verify(load(file.parent))


def test_another_word_of_the_vocabulary_is_found_by_verify(verses: Callable[..., PreparedText]) -> None:
    file = verses().folder / "vocabulary.json"
    file.write_text(file.read_text().replace("cat", "dog"))
    with pytest.raises(DataError, match="were changed"):
        verify(load(file.parent))


def test_any_character_survives_in_the_vocabulary(verses: Callable[..., PreparedText]) -> None:
    strange = 'a\u2028\x00\x85\t\u200b\ud7ff\U0001f600"\\é'
    prepared = verses(level="character", train=f"{strange}b\n")
    assert set(prepared.vocabulary) == {*strange, "b", "<eos>", "<unk>"}


def test_a_vocabulary_that_teaches_no_unk_is_said(verses: Callable[..., PreparedText]) -> None:
    assert verses().facts == {
        "level": "word, and <eos> at the end of each line",
        "vocabulary": "8 tokens, the most frequent: <eos> the cat mat on ran sat <unk>",
        "<unk>": "0.00% of train, 25.00% of validation, 25.00% of test (a smaller vocabulary would teach it)",
    }
    assert verses().summary == "13 train, 4 validation, 4 test tokens"
    limited = verses(name="limited", vocabulary=4)
    assert limited.facts["<unk>"] == "30.77% of train, 50.00% of validation, 25.00% of test"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"level": "words"}, "level can't be 'words' .*did you mean 'word'"),
        ({"vocabulary": 2}, r"vocabulary must be a number of tokens ≥ 3, or null for all\. Received: 2"),
        ({"vocabulary": "all"}, "vocabulary must be a number"),
        ({"vocabulary": True}, "vocabulary must be a number"),
        ({"seed": 1}, "unknown option 'seed'"),
        ({"train": "a <eos> b"}, "the train text, line 1 has the word <eos>"),
        ({"train": ""}, "the train text has no lines"),
        ({"test": []}, "the test text has no lines"),
        ({"train": " \n\n"}, "the train text has no words, only line ends"),
        ({"train": "\n", "level": "character"}, "the train text has no characters"),
    ],
)
def test_options_and_text_that_are_not_allowed_are_named(
    verses: Callable[..., PreparedText], tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        verses(**options)
    assert not Workspace(tmp_path).prepared("verses").exists()


def test_lines_that_can_be_gone_through_only_once_are_refused() -> None:
    with pytest.raises(DataError, match=r"the test lines must be a list.*Received: list_iterator"):
        RawText(["a"], ["a"], iter(["a"]))


@dataclass(frozen=True, kw_only=True)
class NoTextSource(Source):
    def read(self, places: Places, progress: Progress) -> RawText:
        return RawText("a\n", "a\n", "a\n")


@dataclass(frozen=True, kw_only=True)
class NoImageSource(Source):
    def read(self, places: Places, progress: Progress) -> Any:
        return Stripes().read(places, progress)


@dataclass(frozen=True, kw_only=True)
class Nothing(TextSource):
    def read(self, places: Places, progress: Progress) -> Any:
        return "a text"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("NoTextSource", "NoTextSource reads text, so it must be a nas.datasets.TextSource"),
        ("NoImageSource", "NoImageSource reads images, so it must be a nas.datasets.ImageSource"),
        ("Nothing", "must read RawImages or RawText of nas.datasets. Received: str"),
    ],
)
def test_a_source_is_of_the_kind_that_it_reads(tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        prepare(Data(source=f"{__name__}:{source}"), Workspace(tmp_path))


def test_options_of_one_kind_are_none_of_another() -> None:
    assert not {"level", "vocabulary"} & set(ImageSource.__dataclass_fields__)
    assert not {"seed", "validation", "test"} & set(TextSource.__dataclass_fields__)


def test_too_little_space_is_noticed_before_the_tokens_are_written(
    verses: Callable[..., PreparedText], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, 0))
    with pytest.raises(TemporaryError, match=r"to write the tokens: 16 MiB are needed, 0 MiB are free"):
        verses()


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"validation": 2, "test": 3}, {"train": 5, "validation": 2, "test": 3}),
        ({"validation": 0.1, "test": 0.1}, {"train": 8, "validation": 1, "test": 1}),
        ({"validation": 0.01}, {"train": 9, "validation": 1}),
        ({"test": 0.25}, {"train": 7, "test": 3}),
    ],
)
def test_what_is_split_off_are_whole_passages_in_their_order(
    amounts: dict[str, Any], expected: dict[str, int]
) -> None:
    lines = [str(number) for number in range(10)]
    passages = {name: list(passage) for name, passage in split_off(lines, **amounts).items()}
    assert {name: len(passage) for name, passage in passages.items()} == expected
    assert [line for passage in passages.values() for line in passage] == lines


def test_a_text_too_short_to_be_split_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        DataError, match=r"2 lines, 2 are to be split off \(validation=1 and test=0\.1\) and one at least"
    ):
        split_off("a\nb\n", validation=1, test=0.1)
