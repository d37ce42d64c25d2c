"""Words that stand where a service's name would, and are none of the catalog's: so that the question back can name them.

Only what plainly is one counts: in a row with a known service ("compare gateway and frontend"), or, where no service is known
in the whole text, a word that services are commonly called by, or what stands behind "of" and the like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiops.stages.interpret.service_words import spoken_of
from aiops.stages.interpret.vocabulary import GENERIC, KNOWN_WORDS, TRADE_WORDS

_NAME = r"[a-z][a-z0-9_.-]{2,}[a-z0-9]"
_JOINED = r"(?:,|&|\+|/|\b(?:and|or|vs\.?|versus|with|than|to)\b|和|与|跟|、|以及)"
# A known name is blanked, so a row is a blank beside a word, or the other way round.
_ROW = re.compile(
    rf"(?a)\x00\s*{_JOINED}\s*(?:the\s+)?(?P<after>{_NAME})\b|\b(?P<before>{_NAME})\s*{_JOINED}\s*(?:the\s+)?\x00"
)
_BEFORE, _AFTER = re.compile(rf"(?a)\x00\s*{_JOINED}\s*$"), re.compile(rf"(?a)\s*{_JOINED}\s*\x00")
_COMPARING = re.compile(r"(?a)\b(?:compare|comparison|vs\.?|versus|between|difference)\b|对比|比较|相比|比一")
_BEHIND = re.compile(
    rf"(?a)\b(?:of|for|on|in|at|from|with|is|are|does|did|has|was)\s+(?:the\s+|my\s+|our\s+)?(?P<word>{_NAME})\b"
)
_LATIN_IN_CHINESE = re.compile(rf"(?a)(?<![a-z0-9_.-]){_NAME}(?![a-z0-9_.-])")
_ORDINARY = KNOWN_WORDS | TRADE_WORDS | GENERIC


def in_a_row(blank: str) -> tuple[str, ...]:
    """Strangers beside a known service. `blank`: the text with known names, times, metrics and conditions blanked."""
    found = []
    for row in _ROW.finditer(blank):
        word = row["after"] or row["before"]
        if _common(word) or (_COMPARING.search(blank) and word not in _ORDINARY):
            found.append(word)
    return tuple(dict.fromkeys(found))


def joined(blank: str, start: int, end: int) -> bool:
    """Whether what stands there is in a row with a known name."""
    return bool(_BEFORE.search(blank[:start]) or _AFTER.match(blank[end:]))


def alone(blank: str, *, chinese: bool) -> str:
    """The stranger that a text without any known service is about; "" where no word is taken for one."""
    word = spoken_of(blank)
    if word:
        return word
    pattern = _LATIN_IN_CHINESE if chinese else _BEHIND
    groups: Sequence[str] = [m["word"] if "word" in m.groupdict() else m.group() for m in pattern.finditer(blank)]
    return next((word for word in groups if word not in _ORDINARY and not word.isdecimal()), "")


def _common(word: str) -> bool:
    return spoken_of(word) == word
