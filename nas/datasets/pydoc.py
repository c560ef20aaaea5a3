"""The language reference that Python itself carries: real text that needs no download."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.datasets.prepared.base import SPLITS
from nas.datasets.source import Places, Progress
from nas.datasets.text import RawText, TextSource, words_of
from nas.errors import DataError

_HELD_OUT = 0.1
_RULE = re.compile(r"[-=*~^+]{4,}")
_RULE_VERSION = 1
"""Of the rule for words: another would part the curly apostrophes otherwise, and change the digest."""
_BLANK_LINES = re.compile(r"\n\s*\n")


@dataclass(frozen=True, kw_only=True)
class Pydoc(TextSource):
    """The topics of `help()` in Python (`pydoc_data.topics`), one paragraph a line.

    Topics go as a whole to the training, the validation or the test split, by the SHA-256 of their
    names, so that no choice of a seed is behind it. Some topics repeat others; a paragraph is kept
    once, in the longest topic that has it, so that no split has text of another.

    Rules under headings and around tables are left out. By words, text is lower-case, with words and
    punctuation apart; by characters it stays as it is.
    The documentation differs between versions of Python, and so does the digest: a search belongs to
    the Python it began on.

    Attributes:
        vocabulary: 2,000 tokens by default.
    """

    vocabulary: Any = 2000

    def read(self, places: Places, progress: Progress) -> RawText:
        """The paragraphs of each split, topic after topic in the order of their names."""
        topics = _paragraphs(_topics())
        splits = _dealt({topic: sum(map(len, lines)) for topic, lines in topics.items()})
        progress(len(topics), len(topics), "read Python's documentation")
        parts = {name: [line for topic in splits[name] for line in topics[topic]] for name in SPLITS}
        if self.level == "character":
            return RawText(**parts, words="spaced")
        spaced = {name: words_of(lines, "plain", _RULE_VERSION) for name, lines in parts.items()}
        return RawText(**spaced, words="plain", words_version=_RULE_VERSION)


def _topics() -> Mapping[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "this Python comes without its documentation (the module pydoc_data.topics); take another "
            "source of text, or another Python"
        ) from error
    return topics


def _paragraphs(topics: Mapping[str, str]) -> dict[str, list[str]]:
    """The paragraphs of each topic, each as one line and in one topic only: the longest that has it."""
    kept: dict[str, list[str]] = {}
    seen: set[str] = set()
    for topic in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        found = _BLANK_LINES.split(_RULE.sub(" ", topics[topic]))
        lines = dict.fromkeys(" ".join(paragraph.split()) for paragraph in found)
        kept[topic] = [line for line in lines if line and line not in seen]
        seen.update(kept[topic])
    return {topic: kept[topic] for topic in sorted(kept) if kept[topic]}


def _dealt(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The topics of each split: validation and test get at most a tenth of the text each.

    Topics are dealt out in the order of their names' hashes, to the first that has room: test, else
    validation, else train.
    """
    room = {name: _HELD_OUT * sum(sizes.values()) for name in ("test", "validation")}
    splits: dict[str, list[str]] = {name: [] for name in SPLITS}
    for topic in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        name = next((name for name, left in room.items() if sizes[topic] <= left), "train")
        if name in room:
            room[name] -= sizes[topic]
        splits[name].append(topic)
    return {name: sorted(topics) for name, topics in splits.items()}
