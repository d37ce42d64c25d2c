"""Which kind of question it is: what the words cue, what the cues add up to, and where that is but a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiops.stages.interpret.heard import Heardings
from aiops.stages.interpret.lexicon import COMPLAINT, DETECT, DIAGNOSE, FORECAST, LOOKING, QUERY, REPORT, WHY_STRONG
from aiops.stages.interpret.match import Mention
from aiops.stages.interpret.slots import READ_ONLY, Slots
from aiops.stages.interpret.text import blanked

_TELLING = re.compile(
    r"(?a)^(?:slow|slug|lagg|crawl|drag|tak|took|tim|hang|like|as )|treacle|molasses|snail|fail|reject|can'?t|unable|keep|kept|been|crash|pil|fall|fell|leak|oom|out of|behind|filling|eat|50\ds|慢|卡|转圈|半天|不[了上开]|崩|挂|溢出|泄[漏露]|堆[着了满成]"
)
_STATEMENT = re.compile(
    r"(?a)\w(?:'s| is| are| was| were| has| have| went| got| keeps| been)\b|\x00(?:'s)? (?:is|are|was|were|has|have|went|got|keeps|been)\b(?! (?:in|on|for)\b)|了$|了[,。!]"
)
_SERVICE, _METRIC = "\x02", "\x03"  # what stands for a name where only the words between the names count
_TIED = re.compile(
    rf"(?a){_METRIC}\s*(?:of|for|on|in|at|from)\s+(?:the\s+)?{_SERVICE}|{_SERVICE}(?:'s\s+|\s*的\s*){_METRIC}"
)
_NAMES_ONLY = re.compile(
    rf"(?a)(?:[{_SERVICE}{_METRIC}\s,&]|'s\b|\b(?:the|of|for|on|in|at|from|over|during|since|and|please|pls|as|json|markdown)\b|的|和|与|跟)+[.。?]?"
)
GUESSES = (
    "nothing says what kind of question it is",
    "nothing says what is wrong",
)  # good enough where nobody can be asked
UNEXPLAINED = "a statement without a known cue"
UNSAID = frozenset({GUESSES[0], UNEXPLAINED})  # doubts with which the kind of question is ours, not theirs


def cues(heard: Heardings) -> Mapping[str, bool]:
    """Which kinds of question the words cue; `why` is a cue no other question outweighs."""
    named = [(m.start, m.end) for m in heard.services.services]
    said = blanked(heard.text, [*named, *((c.start, c.end) for c in heard.conditions)])
    plain = blanked(said, [(m.start, m.end) for m in heard.metrics if not _TELLING.search(heard.text[m.start : m.end])])
    future_time = any(h.text.startswith("next:") for h in heard.times)
    return {
        "why": bool(WHY_STRONG.search(said)),
        "diagnose": bool(DIAGNOSE.search(said)),
        "forecast": bool(FORECAST.search(said)) or future_time,
        "detect": bool(DETECT.search(said)),
        "report": bool(REPORT.search(said)),
        "query": bool(QUERY.search(LOOKING.sub("\x00", blanked(said, [(h.start, h.end) for h in heard.times])))),
        "looking": bool(LOOKING.search(said)),
        # A metric's own name ("error rate") complains of nothing; what is told of it may.
        "complaint": bool(COMPLAINT.search(plain)) or any(_tells(heard, m) for m in heard.metrics),
        "statement": bool(_STATEMENT.search(plain)),
    }


def is_named_value(heard: Heardings) -> bool:
    """Whether the text only names a value, a metric tied to a service ("errors of cart", "cart 的错误率", with a time): it tells
    of nothing, though the metric's name may sound like a complaint."""
    if heard.action != "none" or any(h.text.startswith("next:") for h in heard.times):
        return False
    # A mention holds the "'s" or the 的 between the two, which is what ties them.
    services = [(m.start, m.end - 2 * heard.text.endswith("'s", m.start, m.end)) for m in heard.services.services]
    metrics = [(m.start + heard.text.startswith("的", m.start), m.end) for m in heard.metrics]
    marked = blanked(heard.text, [(h.start, h.end) for h in heard.times], " ")
    marked = blanked(blanked(marked, services, _SERVICE), metrics, _METRIC)
    return bool(_TIED.search(marked)) and bool(_NAMES_ONLY.fullmatch(marked))


def _tells(heard: Heardings, metric: Mention) -> bool:
    """Whether the words that name the metric say themselves that something is wrong: "takes forever", 打不开."""
    return bool(_TELLING.search(heard.text[metric.start : metric.end]))


def intent_of(cue: Mapping[str, bool], *, metrics: bool) -> str:  # noqa: PLR0911 - one reason, one line
    """The intent that the cues add up to, "" when they add up to none."""
    if cue["report"]:
        return "report"
    if cue["why"]:
        return "diagnose"
    if cue["forecast"]:
        return "forecast"
    if cue["diagnose"]:
        return "diagnose"
    if cue["detect"]:
        return "detect"
    if cue["query"]:
        return "query"
    if cue["complaint"] or (cue["statement"] and metrics):
        return "diagnose"  # "db-3 is drowning in connections": told, not asked, so something is wrong
    return "query" if metrics or cue["looking"] else ""


def guessed(slots: Slots, cue: Mapping[str, bool]) -> tuple[str, ...]:
    """Why a question that only looks is a guess: no word says which kind it is, or none what is wrong."""
    if slots.intent not in READ_ONLY:
        return ()
    told = cue["complaint"] and slots.metrics  # "search is slow": what is told of is wrong, and the cause is wanted
    if not told and not any(cue[kind] for kind in ("why", *READ_ONLY)):
        return GUESSES[:1]
    if slots.intent == "diagnose" and not slots.metrics:
        return GUESSES[1:]
    return ()
