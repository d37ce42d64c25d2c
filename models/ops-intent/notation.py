"""How frames are written: `(a|b|)` is a choice, lines are frames, and each part of the data keeps its own wording."""

from __future__ import annotations

import hashlib
import random
import re

HELD_OUT = 12  # percent of the frames, and of the complaints


def parts(text: str) -> list[str]:
    """`a|(b|c)|d` -> a, (b|c), d."""
    found, depth, last = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "|" and not depth:
            found.append(text[last:at])
            last = at + 1
    return [*found, text[last:]]


def lines(text: str) -> list[str]:
    """The frames of a section."""
    return [line for line in text.strip().split("\n") if line]


def held(text: str) -> bool:
    """Whether a frame or a phrase is held out of training."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 100 < HELD_OUT


_CHOICE = re.compile(r"\(([^()]*)\)")


def expanded(text: str, rng: random.Random) -> str:
    """Every choice of the notation made."""
    while found := _CHOICE.search(text):
        text = text[: found.start()] + rng.choice(found.group(1).split("|")) + text[found.end() :]
    return text
