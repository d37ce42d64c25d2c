r"""JSON schema -> GBNF, for the small subset that is enforced to the letter; anything else is refused, never ignored.

llama.cpp's own converter drops min/max, lets any JSON through for an unanchored pattern and crashes the process on `\d`.
Here: objects with all properties required in their order, enums of strings, arrays with maxItems, anchored patterns of
literals, classes, groups, alternatives, `?` and `{m,n}`. No blanks between tokens, so that a model spends none on them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiops.errors import ModelError

MAX_CHARS = 1 << 20


def gbnf(schema: Mapping[str, Any]) -> str:
    """The grammar whose language is exactly the compact JSON texts that satisfy `schema`. ModelError outside the subset."""
    text = f"root ::= {_rule(schema, 0)}\n"
    if len(text) > MAX_CHARS:
        raise ModelError(f"the grammar has {len(text)} characters, more than {MAX_CHARS}: the catalog is too large")
    return text


def literal(text: str) -> str:
    """A GBNF string literal of any text: quotes and backslashes escaped, control characters as hex."""
    escaped = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            escaped.append("\\" + char)
        elif code < 0x20 or code == 0x7F:
            escaped.append(f"\\x{code:02X}")
        else:
            escaped.append(char)
    return f'"{"".join(escaped)}"'


def _rule(schema: Mapping[str, Any], depth: int) -> str:
    if depth > 8:
        raise ModelError("the schema is nested too deeply for a grammar")
    keys = set(schema) - {"type", "description"}
    if keys == {"enum"} and schema["enum"] and all(isinstance(v, str) for v in schema["enum"]):
        return _either(literal(json.dumps(value, ensure_ascii=False)) for value in dict.fromkeys(schema["enum"]))
    kind = schema.get("type")
    if kind == "object" and keys == {"properties", "required", "additionalProperties"}:
        return _object(schema, depth)
    if (
        kind == "array"
        and keys == {"items", "maxItems"}
        and isinstance(schema["maxItems"], int)
        and schema["maxItems"] > 0
    ):
        item = _rule(schema["items"], depth + 1)
        more = f'("," {item}){{0,{schema["maxItems"] - 1}}}' if schema["maxItems"] > 1 else ""
        return f'"[" ({item} {more})? "]"'
    if kind == "string" and keys == {"pattern"}:
        return f'"\\"" {_Pattern(schema["pattern"]).whole()} "\\""'
    raise ModelError(f"the schema {json.dumps(dict(schema), ensure_ascii=False)[:120]} can't be enforced by a grammar")


def _object(schema: Mapping[str, Any], depth: int) -> str:
    names = list(schema["properties"])
    if list(schema["required"]) != names or schema["additionalProperties"] is not False or not names:
        raise ModelError("an object's properties must all be required, in order, and no others allowed")
    fields = [f"{literal(json.dumps(name) + ':')} {_rule(schema['properties'][name], depth + 1)}" for name in names]
    return '"{" ' + ' "," '.join(fields) + ' "}"'


def _either(choices: Any) -> str:
    return f"({' | '.join(choices)})"


class _Pattern:
    """Recursive descent over an anchored regular expression without classes that JSON would have to escape."""

    def __init__(self, pattern: str) -> None:
        if not (pattern.startswith("^") and pattern.endswith("$")):
            raise ModelError(f"the pattern {pattern!r} is not anchored")
        self.text, self.at = pattern[1:-1], 0

    def whole(self) -> str:
        rule = self._alternatives()
        if self.at != len(self.text):
            raise self._refused()
        return rule

    def _refused(self) -> ModelError:
        return ModelError(f"the pattern {self.text!r} can't be enforced: position {self.at}")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _alternatives(self) -> str:
        choices = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            choices.append(self._sequence())
        return _either(choices)

    def _sequence(self) -> str:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._atom() + self._count())
        return " ".join(parts) or '""'

    def _atom(self) -> str:
        if self.text.startswith("(?:", self.at):
            self.at += 3
            inner = self._alternatives()
            if self._peek() != ")":
                raise self._refused()
            self.at += 1
            return inner
        found = re.compile(r"\[[A-Za-z0-9_.: -]+\]|[A-Za-z0-9_:;,/ -]").match(self.text, self.at)
        if not found:
            raise self._refused()
        self.at = found.end()
        return found.group() if found.group().startswith("[") else literal(found.group())

    def _count(self) -> str:
        found = re.compile(r"\?|\{\d{1,2}(?:,\d{1,2})?\}").match(self.text, self.at)
        if not found:
            if self._peek() in {"*", "+", "?", "{"}:
                raise self._refused()
            return ""
        self.at = found.end()
        return found.group()
