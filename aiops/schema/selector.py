"""Plain selectors, `name{label="value", ...}`: the part of PromQL that every source of metrics understands.

What is more than that (a function, an operator, a range, `offset`, `@`) is an expression, and only a server evaluates one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiops.domain import Labels

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPERATOR = re.compile(r"=~|!~|!=|=")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`')
_ESCAPE = re.compile(r"\\(?:[abfnrtv\\'\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(.?))", re.DOTALL)
_CONTROLS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_NUMBERS = {"inf", "nan"}  # are numbers where a metric could stand


class Matcher(NamedTuple):
    """`name operator "value"`; the operator is one of = != =~ !~, and a regular expression fits the whole value."""

    name: str
    operator: str
    value: str


def parse(text: str) -> tuple[Matcher, ...] | None:
    """The matchers of a plain selector, in its order; None for what is none, or is no valid one."""
    text = text.strip()
    matchers, at = [], 0
    if name := _NAME.match(text):
        if name[0].lower() in _NUMBERS:
            return None
        matchers, at = [Matcher("__name__", "=", name[0])], name.end()
    rest = text[at:].strip()
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            return None
        inside = _matchers(rest[1:-1].strip())
        if inside is None:
            return None
        matchers += inside
    return tuple(matchers) or None


def chooser(matchers: Sequence[Matcher]) -> Callable[[Labels], bool]:
    """Whether a series is meant; a label that it lacks is "". ValueError for a regular expression that is none."""
    try:
        checks = [
            (name, operator, re.compile(value, re.DOTALL) if "~" in operator else value)
            for name, operator, value in matchers
        ]
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error

    def fits(labels: Labels) -> bool:
        for name, operator, wanted in checks:
            value = labels.get(name, "")
            same = value == wanted if isinstance(wanted, str) else wanted.fullmatch(value) is not None
            if same == operator.startswith("!"):
                return False
        return True

    return fits


def _matchers(text: str) -> list[Matcher] | None:
    """`a="b", c=~"d"`, with or without a comma at the end."""
    found: list[Matcher] = []
    at = 0
    while at < len(text):
        parts = []
        for form in (LABEL, _OPERATOR, _STRING):
            part = form.match(text, at)
            if part is None:
                return None
            parts.append(part[0])
            at = _skip(text, part.end())
        value = _unquoted(parts[2])
        if value is None:
            return None
        found.append(Matcher(parts[0], parts[1], value))
        if at < len(text):
            if text[at] != ",":
                return None
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _unquoted(literal: str) -> str | None:
    """The text of a PromQL string, whose escapes are Go's; None for an escape that is none."""
    inside = literal[1:-1]
    if literal[0] == "`" or "\\" not in inside:
        return inside
    wrong = False

    def character(escape: re.Match[str]) -> str:
        nonlocal wrong
        code = escape[0][1:]
        if escape[1] is not None:
            wrong = True
            return ""
        if code[0] in "01234567xuU":
            number = int(code, 8) if code[0].isdigit() else int(code[1:], 16)
            # Three digits or \\x name a byte, which is a character only in ASCII.
            wrong = wrong or number > (0x10FFFF if code[0] in "uU" else 0x7F) or 0xD800 <= number < 0xE000
            return "" if wrong else chr(number)
        return _CONTROLS.get(code, code)

    told = _ESCAPE.sub(character, inside)
    return None if wrong else told
