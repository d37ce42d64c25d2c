"""What several platforms need of text: markup that does nothing, and messages no longer than they take."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiops.plain import clean

ELLIPSIS = "…"

# WeCom and DingTalk have no way to quote a character of their markup, so each gives way to one that looks like it.
_LIKE = str.maketrans("<>[]*`|\\!", "＜＞［］∗ˋ｜＼！")
_EDGE = re.compile(r"(?<![^\W_])[_~]+|[_~]+(?![^\W_])")  # inside a word they are no markup
_START = re.compile(r"^(?:[-+=#>]+|\d+[.)])(?=\s|$)|^[-=#]{3,}")


def harmless(text: str, limit: int = 2000) -> str:
    """Text from outside, on one line, in which nothing is a format, a link or a mention on platforms that know no escape."""
    line = clean(text, limit).translate(_LIKE)
    line = _EDGE.sub(lambda found: found[0].replace("_", "＿").replace("~", "∼"), line)
    line = line.replace("://", "：//").replace("@", "＠")
    line = re.sub(r"(?i)(?<=\bwww)\.", "．", line)
    return _START.sub(lambda found: "\u2060" + found[0], line)


def target(url: str) -> str:
    """An address of ours where `(...)` or quotes surround it."""
    return url.translate({ord(char): f"%{ord(char):02X}" for char in "()<>[]\"'\\ "})


def cut(text: str, most: int) -> str:
    """The text in at most `most` bytes of UTF-8, cut between two characters, with an ellipsis where something went."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return text
    room = max(0, most - len(ELLIPSIS.encode()))
    return encoded[:room].decode("utf-8", "ignore").rstrip() + (ELLIPSIS if room else "")


def fitted(lines: Sequence[str], most: int, between: str = "\n", last: str = "") -> str:
    """The lines and then `last`, which is never cut, in at most `most` bytes: of the lines, the latest give way."""
    end = f"{between}{last}" if last else ""
    room = most - len(end.encode())
    if room <= 0:
        return cut(between.join(lines), most)
    return cut(between.join(lines), room) + end
