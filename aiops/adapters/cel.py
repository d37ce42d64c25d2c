"""A condition in the Common Expression Language, which every repair must fulfil: an expression that can neither loop nor reach out.

It knows one name, `repair`, with `plan`, `mode`, `requester` and `approvers`; https://cel.dev tells the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cel

from aiops.errors import ConfigError, Refused


class Expression:
    """Compiled once. ConfigError for a text that is none."""

    def __init__(self, text: str, setting: str) -> None:
        try:
            self._program = cel.compile(text)
        except Exception as error:  # the library names no class of its own for a text that it can't parse
            raise ConfigError(f"{setting}: no expression of CEL: {error}") from error

    def __call__(self, repair: Mapping[str, Any]) -> bool:
        """Refused where it can't be evaluated, or says neither true nor false."""
        try:
            said = self._program.execute({"repair": dict(repair)})
        except Exception as error:  # as above
            raise Refused(f"it ends with {error}") from error
        if not isinstance(said, bool):
            raise Refused(f"it says {said!r}, neither true nor false")
        return said
