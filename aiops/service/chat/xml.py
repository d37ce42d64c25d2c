"""The XML of WeCom and WeChat: a flat list of fields, read without a document type, so that there are no entities to expand."""

from __future__ import annotations

from collections.abc import Mapping
from xml.parsers import expat

from aiops.service.chat.signatures import Distrusted

LONGEST = 256 * 1024  # bytes; a message has 2 KiB of text, and some more for what surrounds it
DEEPEST = 8
FIELDS = 100


def read(body: bytes) -> dict[str, str]:
    """The text of each element right under the root; what elements inside these hold is left out.

    Distrusted for what is no XML in UTF-8, declares a document type, or names a field twice."""
    if len(body) > LONGEST:
        raise Distrusted("the message is too long")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = reader.text, reader.refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise Distrusted("the message is no XML") from error
    return {name: "".join(parts) for name, parts in reader.fields.items()}


def write(fields: Mapping[str, str | int]) -> str:
    """The inverse for answers; numbers stand as they are, as the platforms write them."""
    return "<xml>" + "".join(f"<{name}>{_value(value)}</{name}>" for name, value in fields.items()) + "</xml>"


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"


class _Reader:
    """What expat tells as it goes."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self._open: list[str] = []

    def start(self, name: str, _: object) -> None:
        self._open.append(name)
        if len(self._open) > DEEPEST or len(self.fields) > FIELDS:
            raise Distrusted("the message is no list of fields")
        if len(self._open) == 2:
            if name in self.fields:
                raise Distrusted("a field stands twice")
            self.fields[name] = []

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        if len(self._open) == 2:
            self.fields[self._open[1]].append(text)

    def refuse(self, *_: object) -> None:
        raise Distrusted("the message declares a document type")
