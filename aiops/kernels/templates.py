"""Log template mining: mask what varies, then merge what differs in a few words (after Drain, He et al., ICWS 2017).

A line is masked (`kernels/masks.py`), split at blanks and led down a fixed-depth tree by its token count and first tokens; among
the templates of that leaf the most similar one takes it if at least `similarity` of its words agree, and words that disagree
become `*`. Lines of different code positions never merge. In one call every masked text is placed once; a line costs its mask and
one dictionary look-up.

Two bounds, as in Drain, keep a stream of ever new words from growing the tree without end: a node of it has at most `CROWD`
named children, and a leaf with `CROWD` templates takes a line to the most similar one however little that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import eq

from aiops.errors import DataError
from aiops.kernels.masks import CODE, mask_lines

STATE_VERSION = 1
WILDCARD = "*"
CROWD = 100  # children of a node, templates of a leaf
_ERROR = re.compile(
    r"\b(error|fatal|severe|critical|panic|exception|traceback|fail(ed|ure)?)\b"
    r"(?!\W{1,3}(nil|null|none|false)\b)",  # `error=null` reports that there was none
    re.IGNORECASE,
)
_POSITION = re.compile(rf"\w#\d|\.(?:{'|'.join(CODE)}):\d", re.IGNORECASE)
_Key = tuple[int | str, ...]


def mask(line: str) -> str:
    """The line without its leading time and with its variable parts as `*`."""
    return mask_lines([line])[0]


def is_error(template: str) -> bool:
    """Whether a template speaks of an error, by its level or its words."""
    return _ERROR.search(template) is not None


@dataclass(slots=True)
class TemplateMiner:
    """Turns lines into template numbers. The state is plain data: `state()` and `from_state()` are JSON.

    `templates[k]` is the text of template k. `fit` places the masked texts of its lines in sorted order, so that within one
    call the order of the lines doesn't matter; across calls it does, as in any stream.
    """

    similarity: float = 0.7
    depth: int = 2
    templates: list[str] = field(default_factory=list)
    _words: list[list[str]] = field(default_factory=list)
    _leaves: dict[_Key, list[int]] = field(default_factory=dict)
    _children: dict[_Key, set[str]] = field(default_factory=dict)

    def fit(self, lines: Iterable[str]) -> list[int]:
        """Template number of every line. O(characters) plus O(distinct masked texts x `CROWD`)."""
        raw = list(lines)
        distinct = list(dict.fromkeys(raw))
        masked = dict(zip(distinct, mask_lines(distinct), strict=True))
        numbers = {text: self._place(text) for text in sorted(set(masked.values()))}
        return [numbers[masked[line]] for line in raw]

    def _place(self, text: str) -> int:
        words = text.split()
        leaf = self._leaf(words)
        number = self._most_similar(words, leaf)
        if number is None:
            return self._add(words, leaf)
        merged = [a if a == b else WILDCARD for a, b in zip(self._words[number], words, strict=True)]
        self._words[number] = merged
        self.templates[number] = " ".join(merged)
        return number

    def _leaf(self, words: list[str]) -> list[int]:
        """Templates with as many words, the same first ones and the same code positions. A word that is masked or that comes
        too late to a crowded node goes by the wildcard; the key of a template never changes as it merges."""
        key: _Key = (len(words),)
        for word in words[: self.depth]:
            children = self._children.setdefault(key, set())
            if WILDCARD in word or (word not in children and len(children) >= CROWD):
                key = (*key, WILDCARD)
            else:
                children.add(word)
                key = (*key, word)
        return self._leaves.setdefault((*key, *(word for word in words if _POSITION.search(word))), [])

    def _most_similar(self, words: list[str], leaf: list[int]) -> int | None:
        """The template that shares most words, the oldest of equals; None when it shares too few and a new one has room."""
        best, most = None, -1
        for number in leaf:
            agree = sum(map(eq, self._words[number], words))
            if agree > most:
                best, most = number, agree
        return best if len(leaf) >= CROWD or most >= self.similarity * len(words) else None

    def _add(self, words: list[str], leaf: list[int]) -> int:
        number = len(self.templates)
        self.templates.append(" ".join(words))
        self._words.append(words)
        leaf.append(number)
        return number

    def state(self) -> dict[str, object]:
        return {
            "version": STATE_VERSION,
            "similarity": self.similarity,
            "depth": self.depth,
            "templates": list(self.templates),
        }

    @staticmethod
    def from_state(state: Mapping[str, object]) -> TemplateMiner:
        """A miner that goes on where `state` was taken: the same lines get the same numbers. DataError for no such state."""
        version, similarity, depth, templates = (state.get(k) for k in ("version", "similarity", "depth", "templates"))
        if version != STATE_VERSION:
            raise DataError(f"log templates of state version {version!r}; this program knows {STATE_VERSION}")
        if not (
            isinstance(similarity, int | float)
            and 0 <= similarity <= 1
            and isinstance(depth, int)
            and depth >= 0
            and isinstance(templates, list)
            and all(isinstance(text, str) for text in templates)
        ):
            raise DataError("log templates: similarity in [0, 1], depth >= 0 and a list of templates are needed")
        miner = TemplateMiner(similarity=float(similarity), depth=depth)
        for text in templates:
            words = text.split()
            miner._add(words, miner._leaf(words))
        return miner
