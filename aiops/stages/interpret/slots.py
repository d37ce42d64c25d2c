"""What one utterance means, before it is a task: seven slots in the words of the speaker (relative times, catalog names)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiops.domain import Intent
from aiops.schema.task import FILTER, NAME

READ_ONLY = ("diagnose", "query", "forecast", "detect", "report")
ACTIONS = ("none", "restart", "scale", "rollback")
OUTPUTS = ("markdown", "json", "plaintext")
ORDERS = ("highest", "lowest")
SLOTS = ("intent", "services", "metrics", "time", "filters", "action", "output")

_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
TIME_PATTERN = (
    rf"none|(?:last|next):[1-9][0-9]{{0,4}}[smhdw]|since:{_CLOCK}|range:{_CLOCK}-{_CLOCK}|day:(?:today|yesterday)"
)
_TIME = re.compile(TIME_PATTERN)
MOST_NAMES = 32
_NAME = re.compile(NAME)
_FILTER = re.compile(FILTER)


@dataclass(frozen=True, slots=True)
class Slots:
    """Seven slots. `time` is `none`, `last:30m`, `next:6h`, `since:HH:MM`, `range:HH:MM-HH:MM` or `day:today|yesterday`.

    `day` (days before today) and `zone` (IANA name or offset) say more about a clock time than the slot can hold; `order` is
    "lowest" where the least values are to come first.
    """

    intent: str = "clarify"
    services: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    time: str = "none"
    filters: tuple[str, ...] = ()
    action: str = "none"
    output: str = "markdown"
    day: int = 0
    zone: str = ""
    order: str = "highest"

    def __post_init__(self) -> None:
        if self.intent not in set(Intent) or self.action not in ACTIONS or self.output not in OUTPUTS:
            raise ValueError(f"intent {self.intent!r}, action {self.action!r} or output {self.output!r} is not allowed")
        if not _TIME.fullmatch(self.time):
            raise ValueError(f"time {self.time!r} does not match {TIME_PATTERN}")

    def as_dict(self) -> dict[str, Any]:
        """The seven slots as plain JSON types, in their order."""
        values = {name: getattr(self, name) for name in SLOTS}
        return {name: list(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Slots:
        """The reverse of `as_dict`, with `day`, `zone` and `order` where they are there; unknown keys are ignored. `ValueError` for a value that is not allowed."""
        lists = ("services", "metrics", "filters")
        known = {
            n: tuple(map(str, values[n])) if n in lists else str(values[n]) for n in SLOTS if values.get(n) is not None
        }
        for listed, allowed in (("services", _NAME), ("metrics", _NAME), ("filters", _FILTER)):
            if wrong := [one for one in known.get(listed, ()) if not allowed.fullmatch(one)]:
                raise ValueError(f"{listed} {wrong[0]!r} does not match {allowed.pattern}")
            if len(known.get(listed, ())) > MOST_NAMES:
                raise ValueError(f"{listed} has more than {MOST_NAMES}")
        day, zone, order = values.get("day", 0), values.get("zone", ""), values.get("order", "highest")
        if not isinstance(day, int) or not isinstance(zone, str) or order not in ORDERS:
            raise ValueError(f"day {day!r}, zone {zone!r} or order {order!r} is not allowed")
        return replace(Slots(day=day, zone=zone, order=order), **known)  # type: ignore[arg-type]  # the keys were checked above


@dataclass(frozen=True, slots=True)
class Reading:
    """Slots with what a caller must know beside them.

    `origins`: per slot `said`, `default` or `session`. `doubts`: why the rules aren't sure (empty = sure).
    `question` and `choices`: what to ask back for `clarify`; for `reject`, `question` says why not.
    `said`: the text without what was quoted; `marked`: the same with what was found in it marked (see `marking`). `route`: rules | model | clarify. `wanted`: the intent that a clarification would complete.
    """

    slots: Slots
    route: str = "rules"
    origins: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    question: str = ""
    choices: tuple[str, ...] = ()
    wanted: str = ""
    note: str = ""
    said: str = ""
    marked: str = ""
    exact: Mapping[str, str] = field(default_factory=dict)  # conditions as spoken -> in the metric's own unit

    @property
    def sure(self) -> bool:
        return not self.doubts


@dataclass(frozen=True, slots=True)
class Names:
    """The live catalog as the parser sees it. `aliases`: service -> other names people use."""

    services: tuple[str, ...]
    metrics: tuple[str, ...]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
