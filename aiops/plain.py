"""Text from outside, made fit to be shown: no escape sequences, no control or direction characters, no endless lines, and in
Markdown nothing that does anything."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

# CSI (colours, cursor), OSC (titles, links; ended by BEL or ST) and two-character escapes, in their 7- and 8-bit forms.
# The bodies are bounded by what may stand in them, so that an unfinished sequence eats no more than itself.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?"
)
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#$!{}])")
# Word joiner: invisible, and it keeps an @ from paging somebody and an address from becoming a link.
_BREAKER = "\u2060"
JOINERS = "\u200c\u200d"  # Persian and Indic words need them, and they reorder nothing


def clean(text: str, limit: int = 2000) -> str:
    """One line of visible characters: escape sequences, controls, bidi marks and surrogates go, white space becomes a blank.

    Longer than `limit` characters is cut and ends in an ellipsis. O(len(text)).
    """
    # Far more than any limit is never shown; cutting first keeps a hostile megabyte cheap.
    visible = "".join(_visible(c) for c in _ESCAPES.sub("", text[: 8 * limit]))
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    return "" if unicodedata.category(char)[0] == "C" and char not in JOINERS else char


def link(url: str) -> str:
    """The address if it is a plain web address, else "": `javascript:`, `data:` and relative ones are no links."""
    # What `clean` would change is not an address somebody meant.
    if not url or clean(url) != url or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.netloc else ""


def markdown(text: str, limit: int = 2000) -> str:
    """Text from outside as inline Markdown that shows exactly these characters and does nothing."""
    line = _SPECIAL.sub(r"\\\1", clean(text, limit))
    line = line.replace("@", f"@{_BREAKER}").replace("://", f":{_BREAKER}//")
    line = re.sub(r"(?i)www\.", lambda found: f"{found[0][:-1]}{_BREAKER}.", line)
    # At the start of a block these begin lists, headings, quotes and rules.
    return re.sub(r"^([-+=]|\d+(?=[.)]))", lambda found: f"{_BREAKER}{found[0]}", line)
