"""The Prometheus text format, version 0.0.4: what /metrics of a program says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """One metric: `rows` are (labels as `labels` writes them, value)."""

    name: str
    kind: str  # gauge or counter
    about: str
    rows: Sequence[tuple[str, float]]


def page(families: Iterable[Family]) -> str:
    """The whole page; a family without rows is left out."""
    lines: list[str] = []
    for name, kind, about, rows in families:
        if rows:
            lines += (
                f"# HELP {name} {about.replace(chr(92), chr(92) * 2).replace(chr(10), chr(92) + 'n')}",
                f"# TYPE {name} {kind}",
            )
            lines += [
                f"{name}{{{told}}} {number(value)}" if told else f"{name} {number(value)}" for told, value in rows
            ]
    return "\n".join(lines) + "\n"


def labels(**pairs: str) -> str:
    """`a="b",c="d"`, in the order given."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def escape(value: str) -> str:
    """A label value between its quotes: backslash, quote and newline are all that the format escapes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """Ten significant digits, or `NaN`, `+Inf`, `-Inf`."""
    if math.isfinite(value):
        return f"{value:.10g}"
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
