"""Log template mining: mask what varies, then merge what differs in a few words (after Drain, He et al., ICWS 2017).

A line is masked (numbers, ids, quoted and bracketed values become `*`), split at blanks and led down a fixed-depth tree by
its token count and first tokens; among the templates of that leaf the most similar one takes it if at least `similarity` of
its words agree, and words that disagree become `*`. Code positions such as `Service#451` are kept: they name the statement
that spoke. Lines seen before, raw or masked, cost one dictionary look-up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

WILDCARD = "*"
_TIME = re.compile(r"^\W*(\d{4}[-/.]\d\d[-/.]\d\d[T ,]*)?\d\d:\d\d:\d\d[.,]?\d*(Z|[+-]\d\d:?\d\d)?\s*")
_MASK = re.compile(
    r"#\d+"  # a code position: kept
    r"|\"[^\"]*\"|'[^']*'"  # quoted values
    r"|[({\[](?=[^(){}\[\]]*[\d=,:])[^(){}\[\]]*[)}\]]"  # bracketed values that hold data
    r"|(?<![A-Za-z])[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4,}){1,4}(?![A-Za-z])"  # uuids, trace ids
    r"|[\w.+-]+@[\w.-]+"  # addresses
    r"|[\w-]*\d[\w.:-]*"  # any word with a digit
)
_ERROR = re.compile(r"\b(error|fatal|severe|critical|panic|exception|traceback|fail(ed|ure)?)\b", re.IGNORECASE)


def mask(line: str) -> str:
    """The line without its leading time and with its variable parts as `*`."""
    return _MASK.sub(lambda m: m.group() if m.group()[0] == "#" else WILDCARD, _TIME.sub("", line, count=1))


def is_error(template: str) -> bool:
    """Whether a template speaks of an error, by its level or its words."""
    return _ERROR.search(template) is not None


@dataclass(slots=True)
class TemplateMiner:
    """Turns lines into template numbers. The state is plain data: `state()` and `from_state()` are JSON.

    `templates[k]` is the text of template k. Deterministic for a given order of *distinct* lines; `fit` sorts them first,
    so that the order of the input rows doesn't matter.
    """

    similarity: float = 0.7
    depth: int = 2
    capacity: int = 200_000
    templates: list[str] = field(default_factory=list)
    _words: list[list[str]] = field(default_factory=list)
    _leaves: dict[tuple[int | str, ...], list[int]] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)

    def fit(self, lines: Iterable[str]) -> list[int]:
        """Template number of every line. O(lines) plus O(distinct masked lines x templates in a leaf)."""
        raw = list(lines)
        masked = {line: mask(line) for line in dict.fromkeys(raw)}
        numbers = {text: self._place(text) for text in sorted(set(masked.values()))}
        return [numbers[masked[line]] for line in raw]

    def _place(self, text: str) -> int:
        known = self._known.get(text)
        if known is not None:
            return known
        words = text.split()
        leaf = self._leaves.setdefault((len(words), *(w for w in words[: self.depth] if WILDCARD not in w)), [])
        number = self._most_similar(words, leaf)
        if number is None:
            number = len(self.templates)
            self.templates.append(" ".join(words))
            self._words.append(words)
            leaf.append(number)
        else:
            merged = [a if a == b else WILDCARD for a, b in zip(self._words[number], words, strict=True)]
            self._words[number] = merged
            self.templates[number] = " ".join(merged)
        if len(self._known) < self.capacity:
            self._known[text] = number
        return number

    def _most_similar(self, words: list[str], leaf: list[int]) -> int | None:
        best, best_share = None, self.similarity
        for number in leaf:
            known = self._words[number]
            if any("#" in a and a != b for a, b in zip(known, words, strict=True)):
                continue  # another statement of the program
            share = sum(a == b for a, b in zip(known, words, strict=True)) / max(len(words), 1)
            if share > best_share or (share == best_share and best is None):
                best, best_share = number, share
        return best

    def state(self) -> dict[str, object]:
        return {"similarity": self.similarity, "depth": self.depth, "templates": list(self.templates)}

    @staticmethod
    def from_state(state: dict[str, object]) -> TemplateMiner:
        miner = TemplateMiner(similarity=float(str(state["similarity"])), depth=int(str(state["depth"])))
        templates = state["templates"]
        for text in templates if isinstance(templates, list) else ():
            miner._restore(str(text))
        return miner

    def _restore(self, text: str) -> None:
        words = text.split()
        number = len(self.templates)
        self.templates.append(text)
        self._words.append(words)
        self._leaves.setdefault((len(words), *(w for w in words[: self.depth] if WILDCARD not in w)), []).append(number)
        self._known[text] = number
