"""What can't be meant, or is not known, becomes one question with choices; what is left of it is the reading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiops.domain import Catalog
from aiops.stages.interpret import filters, questions, strangers
from aiops.stages.interpret.heard import Heardings
from aiops.stages.interpret.kinds import UNEXPLAINED
from aiops.stages.interpret.lexicon import EVERY
from aiops.stages.interpret.match import Mention, any_of, looks_like, near
from aiops.stages.interpret.service_words import chinese_names
from aiops.stages.interpret.slots import Reading, Slots
from aiops.stages.interpret.text import blanked
from aiops.stages.interpret.timegrammar import Heard

_VAGUE = re.compile(
    r"(?a)slow|slug|lagg|crawl|drag|tak|took|tim|hang|spin|unresp|like|as |treacle|很|太|好|这么|那么|变|越来越|有点|特别|非常|巨|超|贼|突然|又|老|总|慢|卡|转圈|半天|fail|reject|can|unable|no"
)
_EMPTY_WORDS = frozenset(
    [
        "the",
        "a",
        "an",
        "please",
        "pls",
        "hi",
        "hey",
        "hello",
        "thanks",
        "and",
        "or",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "with",
        "it",
        "is",
        "this",
        "that",
    ]
)


def settle(reading: Reading, heard: Heardings, catalog: Catalog, cue: Mapping[str, bool], problem: str) -> Reading:  # noqa: PLR0911 - one reason, one line
    """Semantic checks: what can't be meant, or is not known, is asked back with one question."""
    slots, names, text = reading.slots, heard.services, heard.text
    if problem:
        return _ask(reading, questions.ask("time", text, questions.translated(problem, text)), ())
    if names.unknown:
        return _ask_about(reading, text, names.unknown, catalog)
    if names.either and not slots.services:
        either = Catalog(_called(names.either[0], catalog) or catalog.services, ())
        return _ask(reading, questions.ask("either", text, names.either[0]), near(names.either[0], either))
    if heard.action_asked_about:
        both = questions.choices(("find the cause first", "plan it for approval"), text)
        return _ask(reading, _offer(slots.services, text), both, doubt="asks about an action")
    if not slots.services and _needs_none(heard, slots, catalog):
        return reading
    if not slots.services:
        return _ask_which(replace(reading, slots=replace(slots, metrics=named(heard))), heard, catalog)
    if not reading.wanted and _says_something(heard):
        # A statement about a known service that no word of ours explains: a read-only guess, which the model may better.
        guess = replace(slots, intent="diagnose")
        return replace(reading, slots=guess, wanted="diagnose", doubts=(UNEXPLAINED,))
    if not reading.wanted:
        kinds = questions.choices(("find the cause", "show a metric", "check for anomalies", "forecast"), text)
        return _ask(reading, questions.ask("about", text, _listed(slots.services)), kinds, doubt="no cue")
    if slots.intent == "query" and not cue["query"] and len(slots.services) and not slots.metrics:
        return replace(reading, doubts=("nothing says what to show",))
    return reading


def _ask_about(reading: Reading, text: str, strangers: Sequence[str], catalog: Catalog) -> Reading:
    """What is meant by words that are no service's name."""
    key = "unknown" if looks_like(strangers[0], catalog) else "stranger"
    return _ask(reading, questions.ask(key, text, _listed(strangers)), near(strangers[0], catalog))


def _ask_which(reading: Reading, heard: Heardings, catalog: Catalog) -> Reading:
    """Which service: with the word that may have meant one, and first those that look like it, or that have the metric."""
    slots, text = reading.slots, heard.text
    stranger = _stranger(heard)
    if stranger:
        return _ask_about(reading, text, (stranger,), catalog)
    if heard.unmet and not slots.metrics:
        return _ask(reading, questions.ask("metric", text, heard.unmet), any_of(catalog.metrics))
    having = {name for metric in slots.metrics for name in catalog.having.get(metric, ())}
    offered = any_of(having or catalog.services)
    if slots.intent in {"query", "detect"}:
        offered += questions.choices(("all services",), text)
    return _ask(reading, questions.ask("service", text), offered)


def _called(word: str, catalog: Catalog) -> tuple[str, ...]:
    """The services that a word which fits several may stand for."""
    common = chinese_names(catalog.services).get(word)
    return common or tuple(name for name in catalog.services if word in name.lower())


def _needs_none(heard: Heardings, slots: Slots, catalog: Catalog) -> bool:
    """Whether it is asked of whatever there is: a forecast of a metric named in full; a value or a check by "which services",
    "anything", or a condition that selects."""
    if slots.intent == "forecast":
        return _spelt_out(heard, catalog)
    if slots.intent not in {"query", "detect"} or heard.services.either:
        return False
    if EVERY.search(heard.text):
        return True
    selects = bool(slots.filters) and (bool(slots.metrics) or any(">" in f or "<" in f for f in slots.filters))
    return selects and not _stranger(heard)  # "cpu of x in prod", and nobody knows x: not of all that is in prod


def _stranger(heard: Heardings) -> str:
    """The word that may have meant a service; "" where there is none."""
    others: list[Mention | Heard | filters.Condition] = [*heard.times, *heard.metrics, *heard.conditions]
    rest = blanked(heard.text, [(m.start, m.end) for m in others], " ")
    return strangers.alone(rest, chinese=questions.in_chinese(heard.text))


def _spelt_out(heard: Heardings, catalog: Catalog) -> bool:
    """Whether a metric was named by its whole technical name, which nobody says of a service that goes without saying."""
    names = {name.lower() for name in catalog.metrics if "_" in name}
    return any(heard.text[m.start : m.end] in names for m in heard.metrics)


def named(heard: Heardings) -> tuple[str, ...]:
    """Metrics that were named; a mere complaint ("it's slow") names none as long as nobody knows of what."""
    words = ((m.name, heard.text[m.start : m.end]) for m in heard.metrics)
    return tuple(dict.fromkeys(name for name, said in words if not _VAGUE.match(said)))


def _says_something(heard: Heardings) -> bool:
    rest = blanked(heard.text, [(m.start, m.end) for m in heard.services.services])
    words = [w for w in re.findall(r"[a-z']{2,}", rest) if w not in _EMPTY_WORDS]
    return len(words) >= 2 or len(re.findall(r"[\u4e00-\u9fff]", rest)) >= 4


def _ask(reading: Reading, question: str, choices: tuple[str, ...], doubt: str = "") -> Reading:
    slots = replace(reading.slots, intent="clarify")
    doubts = (*reading.doubts, doubt) if doubt else reading.doubts
    return replace(reading, slots=slots, question=question, choices=choices, doubts=doubts)


def _offer(services: Sequence[str], text: str) -> str:
    return questions.ask("offer_on", text, _listed(services)) if services else questions.ask("offer", text)


def _listed(names: Sequence[str]) -> str:
    """The names in a question, which must stay one that people read: five at most, each cut where it is no name any more."""
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:5]]
    return ", ".join(shown) + (" and more" if len(names) > 5 else "")
