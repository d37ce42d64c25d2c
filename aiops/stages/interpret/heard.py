"""What is found in one utterance, before it means anything: times, services, metrics, conditions, a wished change, a format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiops.stages.interpret import actions, filters, guards, spelling, strangers, timegrammar
from aiops.stages.interpret.lexicon import FORECAST
from aiops.stages.interpret.match import Matcher, Mention, Mentions
from aiops.stages.interpret.text import blanked, normalise, strip_quoted
from aiops.stages.interpret.timegrammar import Heard

_JSON = re.compile(r"(?a)\bjson\b")
_PLAIN = re.compile(
    r"(?a)\bplain[- ]?text\b|\btext[- ]only\b|\b(?:as|in|raw) (?:plain |simple |raw )?(?:text|txt)\b|\b(?:text|txt) (?:format|output|please|pls)\b|\bno (?:markdown|formatting)\b|\braw text\b|\bplain(?: format| output)?(?: please| pls)?\s*[.!]?$|纯文本|文本格式|普通文本|(?:用|以|按)文本|纯文字|文本(?:输出|形式|就行|即可)|不要(?:markdown|格式)"
)
_MARKDOWN = re.compile(r"(?a)\bmarkdown\b|\bmd\b")
_LATENCY_WORD = re.compile(
    r"(?a)laten|response|respon|delay|slow|slug|lagg|crawl|drag|tak|tim|hang|spin|unresp|rt\b|round|average|avg|mean|request |延迟|时延|耗时|响应|rt|很|太|好|这么|那么|变|越来越|有点|特别|非常|巨|超|贼|突然|又|老|总|慢|卡|转圈|半天"
)


@dataclass(frozen=True, slots=True)
class Heardings:
    """Everything that was found in one text, before it means anything."""

    text: str
    quoted: bool
    times: tuple[Heard, ...]
    services: Mentions
    metrics: tuple[Mention, ...]
    conditions: tuple[filters.Condition, ...]
    action: str
    action_asked_about: bool
    output: str
    unmet: str = ""  # a quantity that was named and that no metric measures

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m.name for m in self.metrics))

    @property
    def filter_texts(self) -> tuple[str, ...]:
        return tuple(c.text for c in self.conditions)


def listen(text: str, matcher: Matcher, now: datetime) -> Heardings:
    """Everything that is found in a text as it was written, whether it is then refused or not."""
    said, quoted = unquoted(text, matcher)
    return hear(spelling.correct(said, matcher.words), matcher, now, quoted=quoted)


def unquoted(text: str, matcher: Matcher) -> tuple[str, bool]:
    """The text in one form without what is quoted, and whether anything was."""
    return strip_quoted(normalise(text), matcher.is_name, guards.is_order, matcher.speaks)


def hear(said: str, matcher: Matcher, now: datetime, *, quoted: bool = False) -> Heardings:
    """Finds everything; spans never overlap: times first, then conditions and names, metrics last."""
    future = bool(FORECAST.search(said))
    times = timegrammar.find(said, now, future=future)
    spans = [(h.start, h.end) for h in times]
    names = matcher.services(said, spans)
    blank = blanked(said, [*spans, *((m.start, m.end) for m in names.services)])
    action, about = actions.wanted(said)
    metrics = _specific(blank, matcher.metrics(_without(blank, names.unknown)))
    if action == "scale":  # that a thing "can't keep up" is why it is to grow, and measures nothing
        metrics = tuple(m for m in metrics if not said[m.start : m.end].endswith("keep up"))
    lowered = frozenset(n.lower() for n in matcher.catalog.services) | {said[m.start : m.end] for m in names.services}
    conditions = filters.find(blank, metrics, spans, lowered)
    used = {c.text.partition("=")[2] for c in conditions if "=" in c.text}
    unknown = tuple(u for u in names.unknown if u not in used and not any(u in c.text for c in conditions))
    names = _further(replace(names, unknown=unknown), said, [*metrics, *times, *conditions], matcher)
    return Heardings(
        said,
        quoted,
        times,
        names,
        metrics,
        conditions,
        action,
        about,
        output_of(said),
        "" if metrics else matcher.unmet(blank),
    )


def _further(
    names: Mentions, said: str, others: Sequence[Mention | Heard | filters.Condition], matcher: Matcher
) -> Mentions:
    """With what services are commonly called in Chinese, where the text names none otherwise or in a row with one, and with the
    strangers in such a row."""
    known = [(m.start, m.end) for m in names.services]
    rest = blanked(blanked(said, [(m.start, m.end) for m in others], " "), known)
    common = matcher.chinese(rest)
    # What looked like a service that nobody knows ("结账服务") may be a common name of one that is there.
    known_now = {said[m.start : m.end] for m in common.services}
    names = replace(names, unknown=tuple(u for u in names.unknown if not any(u.startswith(k) for k in known_now)))
    if names.services or names.unknown:
        beside = tuple(m for m in common.services if strangers.joined(rest, m.start, m.end))
        rest = blanked(rest, [(m.start, m.end) for m in beside])
        common = Mentions(beside, strangers.in_a_row(rest), ())
    services = tuple(sorted([*names.services, *common.services], key=lambda m: m.start))
    return Mentions(
        services,
        tuple(dict.fromkeys([*names.unknown, *common.unknown])),
        names.either or (common.either if not services else ()),
    )


def output_of(said: str) -> str:
    """The format asked for, "" when none is."""
    if _JSON.search(said):
        return "json"
    if _PLAIN.search(said):
        return "plaintext"
    return "markdown" if _MARKDOWN.search(said) else ""


def _specific(text: str, metrics: tuple[Mention, ...]) -> tuple[Mention, ...]:
    """Drops a general word beside its specific: "p95 is slow" is p95, "5xx errors" is 5xx, "restart count is high" once."""
    specific = {
        m.name for m in metrics if re.search(r"(?a)p[ -]?9\d|9\d(?:th|线|分位)|九[九五]线", text[m.start : m.end])
    }
    kept: list[Mention] = []
    for mention in metrics:
        said = text[mention.start : mention.end]
        generic_latency = specific and not re.search(r"(?a)p[ -]?9\d|9\d|九", said) and re.match(_LATENCY_WORD, said)
        if generic_latency:
            continue
        kept.append(mention)
    return tuple(kept)


def _without(text: str, words: Sequence[str]) -> str:
    """The text with the identifiers blanked that are nobody's: their parts name nothing."""
    return blanked(text, [found.span() for word in words for found in re.finditer(re.escape(word), text)])
