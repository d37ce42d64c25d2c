"""What a small model is shown of an utterance: the words, with what the rules are sure to have found marked in them.

    why is checkout p99 up since twenty past ten  ->  why is [checkout] p99 <latency_p99> up {since:10:20}

A catalog service stands in brackets under its own name, a time as its slot; a metric's name follows the words that were
taken for it. What is not marked is not in the catalog. So a model that reads neither Chinese clocks nor the catalog can
copy names and times, and its own part is what the rules can't do: the intent, and metrics that no known word names.
"""

from __future__ import annotations

from aiops.stages.interpret.heard import Heardings
from aiops.stages.interpret.slots import Slots

NOTHING = "-"


def marked(heard: Heardings) -> str:
    """The text of `heard` with its services, metrics and times marked; spans that overlap keep the first."""
    spans = [(m.start, m.end, f"[{m.name}]") for m in heard.services.services]
    spans += [(h.start, h.end, f"{{{h.text}}}") for h in heard.times]
    spans += [(m.start, m.end, f"{heard.text[m.start : m.end]} <{m.name}>") for m in heard.metrics]
    parts, at = [], 0
    for start, end, shown in sorted(spans):
        if start < at:
            continue
        parts += [_plain(heard.text[at:start]), shown]
        at = end
    return "".join([*parts, _plain(heard.text[at:])])


def before(context: Slots | None) -> str:
    """The turn before on one line in the same marks, `-` when there was none."""
    if context is None:
        return NOTHING
    services = " ".join(f"[{name}]" for name in context.services) or NOTHING
    metrics = " ".join(f"<{name}>" for name in context.metrics) or NOTHING
    return f"{context.intent} {services} {metrics} {{{context.time}}} {context.action} {context.output}"


def _plain(text: str) -> str:
    """The speaker's own brackets mark nothing, and no control token of a model can be spelt."""
    return text.translate(_BRACKETS)


_BRACKETS = str.maketrans("[]<>{}|", "()()()/")
