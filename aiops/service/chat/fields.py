"""JSON that comes in from a chat platform, read without trusting its shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from aiops.service.chat.signatures import Distrusted

Fields: TypeAlias = Mapping[str, Any]


def read(body: bytes) -> Fields:
    """An object. Distrusted for anything else: nobody who signs would send it."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Distrusted("the message is no JSON") from error
    if not isinstance(told, dict):
        raise Distrusted("the message is no object")
    return told


def part(told: Fields, name: str) -> Fields:
    """The object under a name; an empty one where there is none."""
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def text(told: Fields, name: str) -> str:
    """The text under a name, in characters that can be encoded; "" where there is none."""
    found = told.get(name)
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""
