"""One request, several questions: where a text asks more than one thing, each clause and on what it hangs.

Only what says so is taken apart: "then", "and if it is worse ...", a semicolon, or "and" before another order; 然后, 接着, 如果.
A clause edits what the clause before it asked, as a follow-up does. Where any part is unclear on its own, the text is one
question as before. Quoted text is gone before anything is split, so that what is quoted adds no question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from aiops.stages.interpret import guards, rules
from aiops.stages.interpret.kinds import GUESSES
from aiops.stages.interpret.match import Matcher
from aiops.stages.interpret.slots import Reading, Slots
from aiops.stages.interpret.text import MAX_CHARS, RAW_CHARS, normalise, strip_quoted

MOST = 8  # clauses of one request; who asks more writes the YAML

_ORDERS = (
    r"(?:show|list|compare|plot|get|give me|tell me|forecast|predict|project|find out|figure out|work out|check (?:whether|if|for)"
    r"|diagnose|investigate|explain|write|draft|summari[sz]e|restart|reboot|bounce|scale|roll(?: it| that| them)? ?back|revert|why|detect)\b"
)
_ORDERS_ZH = (
    r"(?:帮我|请|给我)?(?:查|看|预测|诊断|分析|排查|定位|写|生成|重启|扩容|回滚|对比|比较|检查|检测|总结|出一?份)"
)
_THEN = r"(?:then|after (?:that|this|which)|afterwards?|next,|finally|subsequently|once (?:that is|that's|this is) done|when done),?"
_THEN_ZH = rf"(?:然后|接着|随后|之后再?(?={_ORDERS_ZH})|再(?={_ORDERS_ZH})|最后(?={_ORDERS_ZH}))"
_SPLIT = re.compile(
    rf"(?a)\s*(?P<then>[,;.]?\s*(?:\band )?\b{_THEN}\s|[,;。]?\s*(?:并且?)?{_THEN_ZH}[,]?)\s*"
    rf"|\s*(?P<also>;|。|\.\s+(?={_ORDERS})|,?\s*\b(?:and|plus) (?:also )?(?={_ORDERS})|,?\s*(?:并且?|同时|另外)(?={_ORDERS_ZH}))\s*"
    r"|(?:\s*[,;.?。]\s*|\s+(?=and|but|then))(?P<if>\b(?:(?:and|but|then) )?(?=(?:only )?(?:if|in case|when) (?:so|not|it|that|they|this|one|any|either|the|\S+) )|(?:并且?|而且|但)?(?=如果|要是|假如|若是?))"
)
_IF = re.compile(
    r"(?a)^(?:only )?(?:if|in case|when) (?P<subject>.{0,60}?)\b(?:is|are|was|were|looks?|looked|seems?|gets?|got|has|have|turns? out(?: to be)?|did|does|do|runs?|will)?\s*"
    r"(?P<said>worse|better|slower|faster|higher|lower|so|not|abnormal|anomalous|anomal(?:y|ies)|unusual|weird|strange|off|odd|not normal|normal|fine|ok(?:ay)?|healthy|found|known|runs? out|full|fills? up|overflow\w*)\b"
    r"(?: than [^,;.]{1,40}?(?=,|;| then | find| tell| show| restart| scale| roll| forecast| diagnose| why|$))?\s*(?:,|:)?\s*(?:then |please |pls )?(?P<rest>.+)$"
    r"|^(?:如果|要是|假如|若是?)(?P<subject_zh>.{0,40}?)(?:的)?(?:更|比较|还|变|有点|是|有|会|确实|真的|要)*(?P<said_zh>差|糟|坏|慢|好|快|高|低|不正常|异常|有问题|不对|正常|满|爆|写满|用完|耗尽|找到|查到)(?:的话|了)?\s*[,]?\s*(?:就|再|那就|那么|请|则)*\s*(?P<rest_zh>.+)$"
)
_AND_IF = re.compile(
    r"(?a)^(?:and|but|then) (?=(?:only )?(?:if|in case|when) )|^(?:并且?|而且|但)(?=如果|要是|假如|若)"
)
_STARTS_IF = re.compile(r"(?a)(?:only )?(?:if|in case|when) |如果|要是|假如|若")
_HOLDS = (
    ("abnormal", r"abnormal|anomal\w*|unusual|weird|strange|off|odd|not normal|不正常|异常|有问题|不对"),
    ("worse", r"worse|slower|差|糟|坏|慢|so"),
    ("better", r"better|faster|好|快"),
    ("higher", r"higher|高"),
    ("lower", r"lower|低"),
    ("normal", r"normal|fine|ok(?:ay)?|healthy|正常"),
    ("found", r"found|known|找到|查到"),
    ("full", r"runs? out|full|fills? up|overflow\w*|满|爆|写满|用完|耗尽"),
)


_NORMAL = re.compile(r"(?a)\b(?:normal|ok(?:ay)?|fine|healthy|alright|stable)\b")


@dataclass(frozen=True, slots=True)
class Clause:
    """One question of several: `after` counts clauses from 0, `holds` (with `subject`) is what the last of them must show."""

    reading: Reading
    after: tuple[int, ...] = ()
    holds: str = ""
    subject: str = ""


def clauses(text: str, matcher: Matcher, now: datetime, context: Slots | None = None) -> tuple[Clause, ...]:
    """The questions of `text` in the order spoken; () where it asks one thing, or a part of it is unclear. Linear."""
    if len(text) > RAW_CHARS:
        return ()
    said, _ = strip_quoted(normalise(text), matcher.is_name, guards.is_order, matcher.speaks)
    if len(said) > MAX_CHARS or guards.refusal(said):
        return ()
    parts = tuple(_parts(said))
    if not 2 <= len(parts) <= MOST:
        return ()
    found: list[Clause] = []
    for joint, words in parts:
        clause = _clause(joint, words, matcher, now, found, context)
        if clause is None:
            return ()
        found.append(clause)
    asked = {(c.reading.slots.intent, c.reading.slots.services, c.reading.slots.metrics) for c in found}
    return tuple(found) if len(asked) == len(found) else ()


def _parts(said: str) -> Iterator[tuple[str, str]]:
    """(how it is joined to what stands before: "", then, also or if; the words)."""
    start, joint = 0, ""
    for found in _SPLIT.finditer(said):
        if found.start() == 0 or (found.end() == found.start() and found.lastgroup != "if"):
            continue
        words = said[start : found.start()].strip(" ,;.。")
        if words:
            yield joint, words
            joint = found.lastgroup or "also"
        start = found.end()
    rest = said[start:].strip(" ,;.。")
    if rest:
        yield joint, rest


def _clause(
    joint: str, words: str, matcher: Matcher, now: datetime, before: list[Clause], context: Slots | None
) -> Clause | None:
    """The next clause; None where it is unclear."""
    last = before[-1].reading.slots if before else context
    words = _AND_IF.sub("", words) if before else words
    if last is not None and before and _STARTS_IF.match(words):
        return _conditional(words, matcher, now, before, last)
    reading = _read(words, matcher, now, last)
    waits = (len(before) - 1,) if joint == "then" else ()
    return Clause(reading, waits) if reading else None


def _conditional(words: str, matcher: Matcher, now: datetime, before: list[Clause], last: Slots) -> Clause | None:
    """What hangs on what the clause before shows. The condition of a repair ("restart it, if ...") is the repair's own."""
    condition = _IF.match(words)
    if last.intent == "remediate" or condition is None:
        return None if last.intent == "remediate" else _threshold(words, matcher, now, before, last)
    groups = condition.groupdict()
    named = matcher.services(groups["subject"] or groups["subject_zh"] or "")
    holds = _holds(groups["said"] or groups["said_zh"] or "", last, before[-1].reading.said)
    subject = named.names[0] if named.names else ""
    if named.unknown or not holds or len(named.names) > 1 or subject not in ("", *last.services):
        return None
    about = replace(last, services=(subject,)) if subject else last
    reading = _read(groups["rest"] or groups["rest_zh"] or "", matcher, now, about)
    return Clause(reading, (len(before) - 1,), holds, subject) if reading else None


def _threshold(words: str, matcher: Matcher, now: datetime, before: list[Clause], last: Slots) -> Clause | None:
    """With a number in it ("... and if lag > 10k restart it"): it stays with the repair, where whoever approves reads it."""
    reading = _read(words, matcher, now, last)
    if reading is None or not reading.slots.filters or reading.slots.intent != "remediate":
        return None
    return Clause(reading, (len(before) - 1,))


def _read(words: str, matcher: Matcher, now: datetime, context: Slots | None) -> Reading | None:
    """A clause that is clear by itself or as an edit of the one before, else None."""
    reading = rules.read(words, matcher, now, context)
    clear = set(reading.doubts) <= set(GUESSES) and reading.slots.intent not in {"clarify", "reject"}
    return reading if clear and reading.slots.services else None


def _holds(said: str, asked: Slots, question: str) -> str:
    """What the words of a condition mean; "if so" and "if not" turn on what the question before asked."""
    if said == "so":
        return {"detect": "abnormal", "forecast": "full", "diagnose": "found"}.get(asked.intent, "")
    if said == "not":
        return "abnormal" if asked.intent == "detect" and _NORMAL.search(question) else ""
    return next((name for name, pattern in _HOLDS if re.fullmatch(f"(?a)(?:{pattern})", said)), "")
