"""Typing slips in the words of the trade: `eror`, `latancy`, `forcast`. Catalog names have their own correction in `match`."""

from __future__ import annotations

import re

from rapidfuzz.distance import OSA

from aiops.stages.interpret.lexicon import COMPLAINT, DETECT, DIAGNOSE, FORECAST, METRICS, QUERY, REPORT
from aiops.stages.interpret.vocabulary import CONFUSABLE, KNOWN_WORDS, NOT_TYPOS, TRADE_WORDS

_WORD = re.compile(r"(?<![a-z0-9_.@/=-])[a-z]{2,20}(?![a-z0-9_.@/=-])", re.ASCII)
_SHORT = {
    "y": "why",
    "wy": "why",
    "whys": "why is",
    "wats": "what is",
    "wat": "what",
    "wht": "what",
    "teh": "the",
    "hte": "the",
    "hrs": "hours",
    "pst": "past",
    "lst": "last",
    "rn": "right now",
}
# A word that any of our own patterns spells out is no slip.
_SPELT = frozenset(
    word
    for source in (
        *(phrases for _, _, phrases in METRICS),
        *(p.pattern for p in (COMPLAINT, DIAGNOSE, FORECAST, DETECT, REPORT, QUERY)),
    )
    for word in re.findall(r"(?<!\\)[a-z]{3,}", source)
)
_BUCKETS: dict[str, list[str]] = {}
for _known in sorted(TRADE_WORDS):
    _BUCKETS.setdefault(_known[0], []).append(_known)


def correct(text: str, names: frozenset[str]) -> str:
    """Normalised text with slips mended; `names` (words of the catalog) and ordinary words stay as they are."""

    def mend(found: re.Match[str]) -> str:
        word = found.group()
        if (
            word in names
            or word in KNOWN_WORDS
            or word in NOT_TYPOS
            or word in CONFUSABLE
            or word in TRADE_WORDS
            or _spelt(word)
        ):
            return word
        if word in _SHORT:
            return _SHORT[word]
        return _nearest(word)

    return _WORD.sub(mend, text)


def _spelt(word: str) -> bool:
    return any(word[:end] in _SPELT for end in {len(word), *range(5, len(word))})


def _nearest(word: str) -> str:
    if len(word) < 4:
        return word
    candidates = [*_BUCKETS.get(word[0], ()), *(w for w in _BUCKETS.get(word[1], ()) if w[1] == word[0])]
    slips = 2 if len(word) >= 8 else 1
    near = [(OSA.distance(word, w, score_cutoff=slips), w) for w in candidates if abs(len(w) - len(word)) <= slips]
    best = sorted(pair for pair in near if pair[0] <= slips and len(pair[1]) >= 4)
    if not best or (len(best) > 1 and best[0][0] == best[1][0]):
        return word
    chosen: str = best[0][1]
    return chosen
