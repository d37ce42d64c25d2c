"""Text from outside where it is shown: in a cell, as a link, in lines of a width."""

from __future__ import annotations

import unicodedata

from aiops.plain import JOINERS, clean, link

__all__ = ("FORMULA", "cell", "clean", "link", "width", "wrap")

FORMULA = tuple("=+-@＝＋－＠")  # the wide ones begin a formula, too, where people write with them


def cell(text: str, limit: int = 2000) -> str:
    """`clean`, and never the start of a formula, should the table be pasted into a spreadsheet."""
    line = clean(text, limit)
    return f"'{line}" if line.startswith(FORMULA) else line


def width(text: str) -> int:
    """Columns in a terminal: wide East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) or c in JOINERS else 2 if unicodedata.east_asian_width(c) in "WF" else 1
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
