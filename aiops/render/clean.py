"""Text from outside, made fit to be shown: no escape sequences, no control or direction characters, no endless lines."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

# CSI (colours, cursor), OSC (titles, links; ended by BEL or ST) and two-character escapes, in their 7- and 8-bit forms.
# The bodies are bounded by what may stand in them, so that an unfinished sequence eats no more than itself.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?"
)
_JOINERS = "\u200c\u200d"  # Persian and Indic words need them, and they reorder nothing
_FORMULA = ("=", "+", "-", "@")


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
    return "" if unicodedata.category(char)[0] == "C" and char not in _JOINERS else char


def cell(text: str, limit: int = 2000) -> str:
    """`clean`, and never the start of a formula, should the table be pasted into a spreadsheet."""
    line = clean(text, limit)
    return f"'{line}" if line.startswith(_FORMULA) else line


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


def width(text: str) -> int:
    """Columns in a terminal: wide East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) or c in _JOINERS else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most `columns` terminal columns, broken at blanks, inside a word only where it alone is too long.

    `textwrap` counts characters, which makes Chinese twice too wide.
    """
    lines, line = [], ""
    for word in text.split():
        rest = word
        while rest:
            glued = f"{line} {rest}" if line else rest
            if width(glued) <= columns:
                line, rest = glued, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                head = _fitting(rest, columns)
                lines.append(rest[:head])
                rest = rest[head:]
    return [*lines, line] if line else lines


def _fitting(word: str, columns: int) -> int:
    """How many leading characters fit; at least one."""
    used = 0
    for index, char in enumerate(word):
        used += width(char)
        if used > columns:
            return max(index, 1)
    return len(word)
