from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.datasets.prepared import tokens
from nas.errors import DataError, InputError

lines = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20))
SCRIPTS = {
    "Hindi": "मैं हिन्दी में किताबें पढ़ता हूँ",
    "Tamil": "தமிழ் மொழி பேசுகிறேன்",
    "Bengali": "বাংলা ভাষা আমার মাতৃভাষা",
    "Telugu": "తెలుగు భాష",
    "Malayalam, with a joiner": "അവന്‍ വന്നു",
    "Sinhala, with a joiner": "ක්‍ෂණික ප්‍රශ්නය",
    "Arabic with vowels": "السَّلَامُ عَلَيْكُمْ",
    "Persian, with a non-joiner": "می‌خواهم کتاب‌ها",
    "Hebrew with vowels": "שָׁלוֹם עוֹלָם",
    "Hebrew abbreviations": 'צה״ל וצה"ל',
    "Thai": "ผู้ใหญ่ ที่นี่",
    "Burmese": "မြန်မာ ဘာသာ",
    "Korean": "안녕하세요 세계",
    "French": "café élève garçon",
    "Vietnamese": "tiếng việt",
    "Greek": "καλημέρα κόσμος",
    "Russian": "всё ещё йод",
    "Armenian": "հայոց լեզու",
    "Georgian": "ქართული ენა",
    "Amharic": "አማርኛ ቋንቋ",
    "Catalan": "col·lecció paral·lel",
}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_words_of_every_script_stay_whole_however_they_are_encoded(script: str, form: str) -> None:
    text = SCRIPTS[script]
    typed = unicodedata.normalize(form, text).replace(" ", ", ")
    expected = unicodedata.normalize("NFC", text).replace(" ", " , ")
    assert tokens.rule("plain").spaced(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Don’t don't donʼt don＇t", "don't don't don't don't"),
        ("п’ять пʼять п'ять l’été", "п'ять п'ять п'ять l'été"),
        ("O‘zbek ג׳ירפה don´t", "o'zbek ג'ירפה don't"),
        ("the dogs’ tails", "the dogs ' tails"),
        ("co\u00adoperate \u200fשלום\u200e", "cooperate שלום"),
        ("ก\u200bข", "ก ข"),
        ("ΟΔΟΣ, İstanbul", "οδος , i̇stanbul"),
        ("❤️! 👍🏽 👨‍👩‍👧", "❤️ ! 👍🏽 👨‍👩‍👧"),
        ("नमस्ते। አለ።", "नमस्ते । አለ ።"),
        ("<UNK> <unk>", "<unk> <unk>"),
    ],
)
def test_what_people_type_for_one_sign_is_one_sign(typed: str, expected: str) -> None:
    assert tokens.rule("plain").spaced(typed) == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.characters(max_codepoint=127, exclude_characters="\n"), max_size=30))
def test_the_rule_for_words_leaves_ascii_text_as_the_first_one_left_it(line: str) -> None:
    assert tokens.rule("plain").spaced(line) == tokens.rule("plain", 1).spaced(line)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20))
def test_words_that_were_found_are_found_again(line: str) -> None:
    once = tokens.rule("plain").spaced(line)
    assert tokens.rule("plain").spaced(once) == once


def test_a_rule_that_is_unknown_is_refused() -> None:
    for words, version in (("plain", 3), ("spaced", 2), ("other", None)):
        with pytest.raises(ValueError, match="words_version"):
            tokens.rule(words, version)


levels = st.sampled_from(sorted(tokens.LEVELS))


def test_words_stand_between_any_white_space_and_every_line_ends() -> None:
    counts = tokens.count(["  a\tb  a ", "", "a\r"], "word", "text")
    assert counts == {"a": 3, "b": 1, "<eos>": 3}


def test_characters_include_inner_spaces_but_not_outer_ones() -> None:
    counts = tokens.count(["  a b a \r", " <eos> "], "character", "text")
    assert counts == {"a": 2, "b": 1, " ": 2, "<": 1, "e": 1, "o": 1, "s": 1, ">": 1, "<eos>": 2}


def test_a_text_that_has_the_end_of_a_line_as_a_word_is_refused_with_its_line() -> None:
    with pytest.raises(DataError, match=r"the test text, line 2 has the word <eos>"):
        tokens.count(["a", "b <eos> c"], "word", "the test text")
    assert tokens.count(["a<eos>b"], "word", "the test text")["a<eos>b"] == 1


def test_a_text_without_lines_is_refused() -> None:
    with pytest.raises(DataError, match="the train text has no lines"):
        tokens.count([], "word", "the train text")


def test_the_vocabulary_goes_by_frequency_then_by_code_point() -> None:
    counts = {"é": 2, "b": 2, "B": 2, "z": 5, "<eos>": 3}
    assert tokens.vocabulary(counts) == ("z", "<eos>", "B", "b", "é", "<unk>")


def test_a_limit_counts_both_special_tokens_and_gives_the_rest_to_unk() -> None:
    counts = {"a": 5, "b": 3, "c": 2, "d": 2, "<eos>": 1}
    assert tokens.vocabulary(counts, 5) == ("a", "b", "<unk>", "c", "<eos>")
    assert tokens.vocabulary(counts, 4) == ("a", "<unk>", "b", "<eos>")
    assert tokens.vocabulary(counts, 3) == ("<unk>", "a", "<eos>")


def test_an_unk_that_stands_in_the_text_is_the_same_token() -> None:
    counts = tokens.count(["the <unk> of <unk>"], "word", "text")
    assert tokens.vocabulary(counts) == ("<unk>", "<eos>", "of", "the")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lines, levels)
def test_decoding_gives_the_tokens_back(text: list[str], level: str) -> None:
    vocabulary = tokens.vocabulary(tokens.count([*text, "a"], level, "text"))
    blocks = list(tokens.encode(text, level, vocabulary))
    decoded = [vocabulary[number] for block in blocks for number in block]
    assert decoded == [token for line in text for token in (*tokens.LEVELS[level](line), "<eos>")]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lines, levels, st.none() | st.integers(3, 8))
def test_the_vocabulary_is_the_most_frequent_and_counts_what_is_written(
    text: list[str], level: str, limit: int | None
) -> None:
    counts = tokens.count([*text, "a"], level, "text")
    vocabulary = tokens.vocabulary(counts, limit)
    written = Counter(
        vocabulary[number] for block in tokens.encode([*text, "a"], level, vocabulary) for number in block
    )
    assert list(vocabulary) == sorted(vocabulary, key=lambda token: (-written[token], token))
    assert written.total() == counts.total()
    assert limit is None or len(vocabulary) <= limit
    left_out = set(counts) - set(vocabulary)
    kept = set(vocabulary) - {"<eos>", "<unk>"}
    assert not left_out or max(counts[token] for token in left_out) <= min(counts[token] for token in kept)


def test_long_text_comes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_BLOCK_TOKENS", 5)
    blocks = list(tokens.encode(["a b"] * 4, "word", ("a", "b", "<eos>", "<unk>")))
    assert [len(block) for block in blocks] == [6, 6]
    assert np.concatenate(blocks).tolist() == [0, 1, 2] * 4
    assert blocks[0].dtype == np.int32


@pytest.mark.parametrize("level", ["words", "char", None, 1, ["word"]])
def test_another_level_is_refused(level: object) -> None:
    with pytest.raises(InputError, match="level can't be"):
        tokens.check_level(level)
