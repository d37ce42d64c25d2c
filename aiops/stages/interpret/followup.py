"""A follow-up is an edit: it keeps every slot of the turn before that it doesn't change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from aiops.domain import Catalog
from aiops.stages.interpret import questions
from aiops.stages.interpret.heard import Heardings
from aiops.stages.interpret.lexicon import EVERY, LOWEST
from aiops.stages.interpret.match import near
from aiops.stages.interpret.slots import Reading, Slots

_ADD = re.compile(
    r"(?a)\b(?:also|too|as well|add|plus|include|including|additionally|along with|together with|on top|append|throw in|with (?:the )?(?=\x00|cpu|mem|disk|qps|err|lat))\b|^(?:and|&)\s+(?!for|what|how|why|now|in|on|the same|as|make|restart)|再加|加上|加个|也(?:看|查|要|加|带|列|来|给)|还有|还要|还想|另外|同时|顺便|一并|一起|外加|补上|连同|再看看?(?!下)|并加"
)
_REPLACE = re.compile(
    r"(?a)\b(?:instead|rather|switch(?: to| it)?|change(?: it)?(?: to)?|replace|swap|make (?:it|that)|not\b|what about|how about|same (?:for|thing|but|question|on|again|with)|only|just)\b|换成|换|改成|改为|改|变成|而是|不是|只看|只要|呢[??]?$"
)
_REMOVE = re.compile(
    r"(?a)\b(?:drop|remove|without|exclude|excluding|except|minus|forget|lose|take out|leave out|no more|not?)\b(?: the| about)?\s*$|(?:去掉|不要|不看|别看|去除|除了|移除|删除|不用看|不含|排除|不是)\s*$"
)
_CONTINUES = re.compile(
    r"(?a)^(?:and|also|but|ok(?:ay)?|now|then|same|what about|how about|so|actually|no|nope|wait|sorry|i meant|instead|only|just|make|again|as|in|over|for|with|plus|add|the|switch|change|use|drop|remove|yes|yeah|plus|plz|please)\b|^(?:那|再|也|还|换|改|只|同样|一样|不|呢|就|顺便|另外|然后|加|去掉|把|用|按|是|对|嗯|好)|呢[??]?\s*$|\b(?:it|that|them|those|this one|the same|instead|too|as well)\b|它|同样|一样|刚才|上面|前面那"
)
_ALL_FILTERS = re.compile(
    r"(?a)\b(?:drop|remove|clear|without|no|forget|lose)\b.{0,12}\b(?:filters?|conditions?|env(?:ironment)?|restrictions?)\b|(?:去掉|不要|取消|清除|不加|移除)(?:所有|全部)?的?.{0,6}(?:过滤|筛选|条件|环境|限制)|\b(?:all|every) (?:env(?:ironment)?s?|regions?)\b|所有环境|全部环境"
)
_ALL_TIME = re.compile(
    r"(?a)\bright now\b|\bcurrent(?:ly)?(?: value)?\b|\bany ?time\b|\bno time (?:limit|window)\b|现在的|当前值|此刻"
)


def is_edit(heard: Heardings, cue: Mapping[str, bool]) -> bool:
    """Not an edit only when the text stands on its own: service, metric or action, and a cue, and nothing that continues."""
    if _CONTINUES.search(heard.text):
        return True
    own = bool(heard.services.services) and (bool(heard.metrics) or heard.action != "none" or bool(heard.times))
    asks = heard.action != "none" or any(cue[k] for k in ("why", "diagnose", "forecast", "detect", "report", "query"))
    return not (own and asks)


def edit(heard: Heardings, cue: Mapping[str, bool], context: Slots) -> Reading:
    """The slots of the turn before with what this turn changes."""
    slots, changed = context, set[str]()

    def change(**values: object) -> None:
        nonlocal slots
        slots = replace(slots, **values)  # type: ignore[arg-type]  # field names are written below
        changed.update(values)

    _names(heard, context, change)
    if not heard.services.services and EVERY.search(heard.text):
        change(services=())
    _time_and_form(heard, change, context)
    if LOWEST.search(heard.text):
        change(order="lowest")
    intent = _intent(heard, cue, context)
    if intent != context.intent or (heard.action not in ("none", context.action)):
        change(intent=intent)
    if intent != "remediate" and slots.action != "none":
        change(action="none")
    elif heard.action != "none":
        change(action=heard.action)
    if slots.intent == "forecast" and slots.time.startswith("last:") and "time" not in changed:
        change(time="none")
    origins = {
        n: "said" if n in changed else "session"
        for n in ("intent", "services", "metrics", "time", "filters", "action", "output")
    }
    return _checked(Reading(slots, origins=origins, wanted=slots.intent), heard, changed)


def _checked(reading: Reading, heard: Heardings, changed: set[str]) -> Reading:
    slots = reading.slots
    problem = next((h.problem for h in heard.times if h.problem), "")
    if heard.services.unknown and "services" not in changed:
        unknown = heard.services.unknown[0]
        known = Catalog(slots.services, ())
        return replace(
            reading,
            slots=replace(slots, intent="clarify", services=()),
            question=questions.ask("unknown", heard.text, unknown[:60]),
            choices=near(unknown, known),
        )
    if heard.action_asked_about:
        return replace(
            reading,
            slots=replace(slots, intent="clarify"),
            question=questions.ask("offer", heard.text),
            choices=questions.choices(("find the cause first", "plan it for approval"), heard.text),
        )
    if problem:
        asked = questions.ask("time", heard.text, questions.translated(problem, heard.text))
        return replace(reading, slots=replace(slots, intent="clarify"), question=asked)
    if not slots.services and not (slots.intent in {"query", "detect"} and EVERY.search(heard.text)):
        asked = questions.ask("service", heard.text)
        return replace(reading, slots=replace(slots, intent="clarify"), question=asked)
    if not changed:
        return replace(reading, doubts=("changes nothing",))
    return reading


def _names(heard: Heardings, context: Slots, change: object) -> None:
    assert callable(change)
    text = heard.text
    add = bool(_ADD.search(text)) and not re.match(
        r"and [^,;]{1,30}\?$", text
    )  # "and memory?" asks the same of another
    for slot, mentions, before in (
        ("services", heard.services.services, context.services),
        ("metrics", heard.metrics, context.metrics),
    ):
        removed = {m.name for m in mentions if _REMOVE.search(text[: m.start].replace("\x00", " "))}
        fresh = tuple(dict.fromkeys(m.name for m in mentions if m.name not in removed))
        if slot == "metrics" and heard.action != "none" and not heard.conditions:
            continue
        if not mentions:
            continue
        kept = tuple(name for name in before if name not in removed)
        if (add and not (slot == "services" and not _adds(text, mentions[0].start))) or not fresh:
            change(**{slot: kept + tuple(name for name in fresh if name not in kept)})
        else:
            change(**{slot: fresh})


def _adds(text: str, start: int) -> bool:
    """Whether the adding word is about this mention: it stands before it, or closes the sentence."""
    found = _ADD.search(text)
    return found is not None and (found.start() <= start or bool(re.search(r"(?a)(?:too|as well)\W*$", text)))


def _time_and_form(heard: Heardings, change: object, context: Slots) -> None:
    assert callable(change)
    if heard.times:
        time = next((h for h in heard.times if not h.text.startswith("day:")), heard.times[0])
        change(time=time.text, day=time.day, zone=time.zone)
    elif _ALL_TIME.search(heard.text):
        change(time="none")
    if heard.conditions:
        mine = heard.filter_texts
        keys = {re.split(r"(?a)[<>=]", one)[0] for one in mine}
        dropped = {c.text for c in heard.conditions if _REMOVE.search(heard.text[: c.start])}
        kept = tuple(f for f in context.filters if re.split(r"(?a)[<>=]", f)[0] not in keys)
        change(filters=kept + tuple(one for one in mine if one not in dropped))
    elif _ALL_FILTERS.search(heard.text):
        change(filters=())
    if heard.output:
        change(output=heard.output)


def _intent(heard: Heardings, cue: Mapping[str, bool], context: Slots) -> str:  # noqa: PLR0911 - one reason, one line
    """Only a clear cue turns the question into another one."""
    if heard.action != "none":
        return "remediate"
    horizon = any(h.text.startswith("next:") for h in heard.times)
    if context.intent == "clarify" and context.action != "none":
        return "remediate"
    if cue["why"] or (cue["diagnose"] and context.intent != "report"):
        return "diagnose"
    if cue["forecast"] or horizon:
        return "forecast"
    if cue["detect"]:
        return "detect"
    if cue["report"]:
        return "report"
    if context.intent == "clarify":
        return (
            "forecast"
            if context.time.startswith("next:")
            else ("query" if context.metrics or heard.metrics else "diagnose")
        )
    if context.intent == "remediate" and cue["query"] and heard.metrics:
        return "query"
    if context.intent == "forecast" and heard.times and not horizon:
        return "query"
    return context.intent
