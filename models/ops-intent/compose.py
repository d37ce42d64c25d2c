"""Frames and phrases -> utterances with their slots, for invented systems. The same seed gives the same examples.

A *frame* is one line of `english` or `chinese`. Frames and complaint phrases are split by the hash of their text into train
and held-out, so the held-out examples are worded as no training example is.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from types import ModuleType

import catalogs
import chinese
import english
from notation import expanded, held, lines, parts
from times import future, past

from aiops.domain import Catalog
from aiops.stages.interpret import marking
from aiops.stages.interpret.heard import Heardings, listen
from aiops.stages.interpret.match import Matcher
from aiops.stages.interpret.slots import Slots

_PLACE = re.compile(r"\{([A-Z]+2?[!*]?)\}")
_TAG = re.compile(r"\|(@[a-z]+|[A-Z0-9]{2,4})(?:\||$)")
NOW = datetime(2026, 5, 13, 16, 20, tzinfo=UTC)
LIMITS = {
    "en": ("90%", "80", "5k", "1200", "70 percent", "3000", "2.5", "10k"),
    "zh": ("90%", "八十", "5千", "1200", "3万", "百分之七十", "2.5"),
}
READ = ("DIAGNOSE", "QUERY", "FORECAST", "DETECT", "REPORT")
UNKNOWN = {
    "en": "promo-engine|foo-worker|zeta-api|atlas-svc|mailer-22|titan-svc|the promo engine|banana-service|the loyalty thing|acme-gateway|pg-77|kiwi-db|the fax gateway|orion-cache|legacy-crm|the pizza bot|quux-consumer",
    "zh": "秒杀服务|彩票系统|foo-worker|zeta-api|养老金服务|kiwi-db|积木系统|pg-77|acme-gateway|地铁服务|quux-consumer|考勤系统|停车服务",
}


@dataclass(frozen=True)
class Example:
    """One utterance. `said` is what the model sees; `linked`: whether the rules found just the services and times that are meant."""

    text: str
    lang: str
    kind: str
    frame: str
    slots: Slots
    context: Slots | None
    said: str
    before: str
    linked: bool
    system: catalogs.System


@dataclass
class Draft:
    """An utterance while its places are filled, left to right."""

    words: ModuleType
    lang: str
    rng: random.Random
    system: catalogs.System
    held: bool
    services: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    time: str = "none"
    action: str = "none"
    unknown: str = ""
    spoken: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Every choice made, every place filled."""
        text = expanded(text, self.rng)
        while found := _PLACE.search(text):
            text = text[: found.start()] + self._place(found.group(1)) + text[found.end() :]
        return text

    def _place(self, place: str) -> str:
        rng, words = self.rng, self.words
        fillers: dict[str, Callable[[], str]] = {
            "S": lambda: self._service("S"),
            "S2": lambda: self._service("S2"),
            "M": self._metric,
            "M2": self._metric,
            "T": lambda: self._time(past, 0.4),
            "T!": lambda: self._time(past, 0.0),
            "F": lambda: self._time(future, 0.4),
            "F!": lambda: self._time(future, 0.0),
            "A": self._order,
            "A*": lambda: expanded(rng.choice(parts(words.ORDERS[self._action()])), rng),
            "C": self._complaint,
            "G": lambda: expanded(self._pick(parts(words.GENERIC)), rng),
            "V": lambda: expanded(rng.choice(parts(words.TRENDS)), rng),
            "N": lambda: rng.choice(LIMITS[self.lang]),
        }
        return fillers[place]()

    def _pick(self, phrases: list[str]) -> str:
        mine = [p for p in phrases if held(p) == self.held] or phrases
        return self.rng.choice(mine)

    def _service(self, place: str) -> str:
        if place == "S" and "S" in self.spoken:
            return self.spoken["S"]
        if self.unknown and place == "S":
            self.services.append("unknown")
            return self.spoken.setdefault("S", self.unknown)
        names = [s for s in self.system.catalog.services if s not in self.services]
        name = self.rng.choice(names)
        self.services.append(name)
        words = [name]
        aliases = self.system.catalog.aliases.get(name, ())
        if self.lang == "zh" and aliases and self.rng.random() < 0.55:
            words = [*aliases, f"{aliases[0]}服务"]
        elif self.rng.random() < 0.2:
            words = [name.replace("-", " "), name.replace("-", "_"), name.upper(), name.capitalize(), f"{name} service"]
        self.spoken[place] = said = self.rng.choice(words)
        return said

    def _metric(self) -> str:
        known = [
            c for c in self.words.NOUNS if c in self.system.concepts and self.system.concepts[c] not in self.metrics
        ]
        if not known:
            return "metrics" if self.lang == "en" else "指标"
        concept = self.rng.choice(known)
        name = self.system.concepts[concept]
        self.metrics.append(name)
        if self.rng.random() < 0.1:
            return name
        noun = self.rng.choice(
            (english if self.lang == "zh" and self.rng.random() < 0.15 else self.words).NOUNS[concept].split("|")
        )
        return noun.upper() if self.rng.random() < 0.1 else noun

    def _complaint(self) -> str:
        known = [c for c in self.words.COMPLAINTS if c in self.system.concepts]
        if not known or self.rng.random() < 0.12:
            return self.fill("{G}")
        weights = [3 if c in {"LAT", "ERR"} else 1 for c in known]
        concept = self.rng.choices(known, weights)[0]
        name = self.system.concepts[concept]
        if name not in self.metrics:
            self.metrics.append(name)
        return expanded(self._pick(parts(self.words.COMPLAINTS[concept])), self.rng)

    def _action(self) -> str:
        if self.action == "none":
            self.action = self.rng.choice(("restart", "restart", "scale", "rollback"))
        return self.action

    def _order(self) -> str:
        return self.fill(self._pick(lines(self.words.ACTIONS[self._action()])))

    def _time(self, when: Callable[[random.Random, str], tuple[str, str]], silent: float) -> str:
        """A time, once; none in a share of `silent`."""
        if self.time != "none" or (silent and self.rng.random() < silent):
            return ""
        said, self.time = when(self.rng, self.lang)
        return said


ORDER = ("intent", "services", "metrics", "time", "action", "output")
MIX = (
    ("DIAGNOSE", 26), ("QUERY", 13), ("FORECAST", 9), ("DETECT", 11), ("REPORT", 7), ("REMEDIATE", 11), ("AMBIGUOUS", 5),
    ("ADVICE", 1), ("UNKNOWN", 5), ("REJECT", 5), ("INJECTION", 3), ("CONTRADICT", 1), ("FOLLOW", 13),
)  # fmt: skip
EDITS = (
    "time",
    "time",
    "horizon",
    "service",
    "service",
    "service+",
    "metric",
    "metric",
    "metric+",
    "output",
    "why",
    "why",
    "detect",
    "report",
    "query",
    "restart",
    "scale",
    "rollback",
    "filter",
)


def answer(slots: Slots) -> str:
    """The slots as the grammar of the adapter writes them; conditions stay with the rules."""
    values = slots.as_dict()
    return json.dumps({name: values[name] for name in ORDER}, ensure_ascii=False, separators=(",", ":"))


def examples(seed: int, count: int, *, held_out: bool, systems: int = 240) -> Iterator[Example]:
    """`count` examples, texts distinct. Deterministic; no clock, no hash order."""
    rng = random.Random(f"{seed}/{held_out}")
    worlds = [catalogs.system(rng) for _ in range(systems)]
    seen: set[str] = set()
    while len(seen) < count:
        kind = rng.choices([k for k, _ in MIX], [w for _, w in MIX])[0]
        lang = "en" if rng.random() < 0.56 else "zh"
        example = _example(kind, lang, rng, rng.choice(worlds), held_out)
        if example is not None and example.text not in seen:
            seen.add(example.text)
            yield example


def _example(kind: str, lang: str, rng: random.Random, world: catalogs.System, held_out: bool) -> Example | None:
    """None where the frame drawn needs a metric that the system lacks, or a short section has no frame in this part."""
    draft = Draft(english if lang == "en" else chinese, lang, rng, world, held_out)
    if kind == "FOLLOW":
        return _follow(draft)
    section = kind
    if kind == "UNKNOWN":
        draft.unknown = _stranger(draft)
        section = rng.choice((*READ, "DIAGNOSE", "REMEDIATE"))
    elif kind == "INJECTION":
        section = rng.choice(READ)
    elif kind == "CONTRADICT":
        section = rng.choice(("FORECAST", "QUERY", "DIAGNOSE"))
    frames = _frames(draft, kind, section)
    if not frames:
        return None
    frame = rng.choice(frames)
    body, concept, action = _untagged(frame)
    if concept:
        if concept not in world.concepts:
            return None
        draft.metrics.append(world.concepts[concept])
    if kind == "CONTRADICT":
        body = _contradicted(draft, body, section)
    text = draft.fill(body)
    slots = _slots(draft, kind, section)
    slots = replace(slots, action=action or slots.action)
    if kind == "INJECTION":
        text = _quoting(draft, text)
    text, output = _dressed(draft, text, plain=kind in {"REJECT", "ADVICE", "INJECTION"})
    return _linked(draft, text, kind, frame, replace(slots, output=output), None)


def _frames(draft: Draft, kind: str, section: str) -> list[str]:
    frames = [f for f in lines(getattr(draft.words, section)) if held(f) == draft.held]
    if kind == "CONTRADICT":
        return [f for f in frames if ("{F}" if section == "FORECAST" else "{T}") in f]
    return frames


def _untagged(frame: str) -> tuple[str, str, str]:
    """A frame's text, the metric concept that its words mean, the change that they ask for."""
    tag = _TAG.search(frame)
    if not tag:
        return frame, "", ""
    body, said = frame[: tag.start()] + frame[tag.end() :], tag.group(1)
    return (body, "", said[1:]) if said.startswith("@") else (body, said, "")


def _slots(draft: Draft, kind: str, section: str) -> Slots:
    if kind == "REJECT":
        return Slots(intent="reject")
    unclear = kind in {"UNKNOWN", "AMBIGUOUS", "ADVICE", "CONTRADICT"}
    return Slots(
        intent="clarify" if unclear else section.lower(),
        services=tuple(draft.services),
        metrics=tuple(dict.fromkeys(draft.metrics)),
        time=draft.time,
        action="none" if kind == "ADVICE" else draft.action,
    )


def _stranger(draft: Draft) -> str:
    """A service that the catalog lacks."""
    rng, known = draft.rng, draft.system.catalog
    for _ in range(20):
        noun = rng.choice(list(catalogs.NOUNS))
        if any(noun in name for name in known.services):
            continue
        if draft.lang == "zh" and rng.random() < 0.5:
            return f"{catalogs.NOUNS[noun]}服务"
        return (
            f"{noun}-{rng.choice(catalogs.ROLES)}"
            if rng.random() < 0.7
            else f"{rng.choice(catalogs.STORES)}-{rng.randint(13, 99)}"
        )
    return rng.choice(UNKNOWN[draft.lang].split("|"))


def _contradicted(draft: Draft, body: str, section: str) -> str:
    """A forecast of the past, or a range that ends before it starts."""
    if section == "FORECAST":
        draft.time = "none"
        said, slot = past(draft.rng, draft.lang)
        while not slot.startswith("last:"):
            said, slot = past(draft.rng, draft.lang)
    else:
        hour, minute = draft.rng.randint(2, 15), draft.rng.choice((0, 10, 20, 30, 45))
        first, last = f"{hour:02d}:{minute:02d}", f"{hour - 1:02d}:{minute:02d}"
        said, slot = (f"from {first} to {last}" if draft.lang == "en" else f"{first}到{last}"), f"range:{first}-{last}"
    body = re.sub(r"\{[TF]!?\}", "\x02", body, count=1)
    draft.time = slot
    return body.replace("\x02", said)


def _quoting(draft: Draft, text: str) -> str:
    """The question with a quotation beside it that gives orders."""
    quote = expanded(draft.rng.choice(lines(draft.words.QUOTES)), draft.rng)
    other = draft.rng.choice([s for s in draft.system.catalog.services if s not in draft.services])
    frame = draft.rng.choice(lines(draft.words.QUOTING))
    marks = {"{BASE}": "\x02", "{QUOTE}": "\x03"}
    for place, mark in marks.items():
        frame = frame.replace(place, mark)
    return expanded(frame, draft.rng).replace("\x02", text).replace("\x03", quote.replace("{S2}", other))


def _follow(draft: Draft) -> Example | None:
    """An edit of a turn before."""
    rng = draft.rng
    edit = rng.choice(EDITS)
    context = _context(draft, edit)
    frames = [f for f in parts(draft.words.FOLLOW[edit]) if held(f) == draft.held] or parts(draft.words.FOLLOW[edit])
    frame = rng.choice(frames)
    draft.services, draft.metrics = list(context.services), list(context.metrics)
    output = rng.choice([o for o in ("json", "plaintext", "markdown") if o != context.output])
    said_output = {
        "json": "json",
        "plaintext": "plain text" if draft.lang == "en" else "纯文本",
        "markdown": "markdown",
    }[output]
    text = draft.fill(frame.replace("{OUT}", said_output))
    new_services, new_metrics = (
        tuple(draft.services[len(context.services) :]),
        tuple(draft.metrics[len(context.metrics) :]),
    )
    if edit in {"metric", "metric+"} and not new_metrics:
        return None
    slots = _edited(context, edit, draft.time, new_services, new_metrics, output)
    text = _finished(draft, text)
    return _linked(draft, text, "FOLLOW", f"{edit}: {frame}", slots, context, mine=(new_services, draft.time))


def _edited(
    context: Slots, edit: str, time: str, services: tuple[str, ...], metrics: tuple[str, ...], output: str
) -> Slots:
    """The turn before with what the edit changes."""
    changes: dict[str, dict[str, object]] = {
        "time": {"time": time},
        "horizon": {"time": time, "intent": "forecast"},
        "service": {"services": services},
        "service+": {"services": context.services + services},
        "metric": {"metrics": metrics},
        "metric+": {"metrics": context.metrics + metrics},
        "output": {"output": output},
        "why": {"intent": "diagnose"},
        "filter": {},
        **{intent: {"intent": intent} for intent in ("detect", "report", "query")},
        **{action: {"intent": "remediate", "action": action} for action in ("restart", "scale", "rollback")},
    }
    return replace(context, **changes[edit])  # type: ignore[arg-type]  # field names are written above


def _context(draft: Draft, edit: str) -> Slots:
    """A turn before that the edit makes sense for."""
    rng, world = draft.rng, draft.system
    intent = rng.choice(
        {
            "horizon": ("query", "detect", "diagnose", "forecast"),
            "service": ("diagnose", "query", "detect", "forecast", "remediate", "report"),
        }.get(edit, ("diagnose", "query", "detect"))
    )
    if edit == intent or (edit == "why" and intent == "diagnose"):
        intent = "detect" if intent == "query" else "query"
    services = rng.sample(world.catalog.services, rng.choice((1, 1, 1, 2)))
    if edit == "service" and rng.random() < 0.15:
        services = []
    metrics = rng.sample(world.catalog.metrics, rng.choice((0, 1, 1, 1, 2)))
    time = "none"
    if rng.random() < 0.65 and intent != "remediate":
        _, time = (future if intent == "forecast" else past)(rng, "en")
    action = rng.choice(("restart", "scale", "rollback")) if intent == "remediate" else "none"
    output = rng.choice(("markdown", "markdown", "markdown", "json", "plaintext"))
    return Slots(
        intent=intent, services=tuple(services), metrics=tuple(metrics), time=time, action=action, output=output
    )


def _dressed(draft: Draft, text: str, *, plain: bool) -> tuple[str, str]:
    """Opener, condition, wished output and closer around the core; the output slot."""
    rng, words, output = draft.rng, draft.words, "markdown"
    comma = ", " if draft.lang == "en" else "，"
    if not plain and rng.random() < 0.06:
        text += (
            f" {rng.choice(words.FILTERS.split('|'))}"
            if draft.lang == "en"
            else f"{comma}{rng.choice(words.FILTERS.split('|'))}"
        )
    if not plain and rng.random() < 0.14:
        output = rng.choice(("json", "json", "plaintext", "plaintext", "markdown"))
        text += rng.choice((comma, " ")) + rng.choice(words.OUTPUTS[output].split("|"))
    if rng.random() < 0.22:
        text = rng.choice(words.OPENERS.split("|")) + rng.choice((comma, " ", comma)) + text
    if rng.random() < 0.22:
        text += rng.choice((comma, " ")) + rng.choice(words.CLOSERS.split("|"))
    return _finished(draft, text), output


def _finished(draft: Draft, text: str) -> str:
    """Blanks, case, apostrophes and slips of the keyboard."""
    rng = draft.rng
    text = re.sub(r"\s+", " ", text).strip(" ,，")
    text = re.sub(r" ([,.?!:])", r"\1", text)
    if draft.lang == "zh":
        han = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
        if rng.random() < 0.6:
            text = re.sub(rf"(?<={han}) | (?={han})", "", text)
        else:
            text = re.sub(rf"(?<={han}) (?={han})", "", text)
        return text if rng.random() < 0.7 else text.rstrip("。") + rng.choice(("。", "？", "！", "~"))
    style = rng.random()
    if style < 0.3:
        text = text[0].upper() + text[1:]
    if style > 0.8:
        text = text.replace("'", "")
    if rng.random() < 0.15:
        text = _slipped(draft, text)
    return text if rng.random() < 0.75 or text[-1] in ".?!" else text + rng.choice((".", "?", "!", " ...", "!!"))


def _slipped(draft: Draft, text: str) -> str:
    """One or two typing slips, never in a name."""
    rng, tokens = draft.rng, text.split(" ")
    names = " ".join(draft.spoken.values()).lower()
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(tokens))
        word = tokens[at]
        if len(word) < 4 or not word.isalpha() or word.lower() in names:
            continue
        cut = rng.randrange(1, len(word) - 1)
        tokens[at] = rng.choice(
            (
                word[:cut] + word[cut + 1 :],
                word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :],
                word[:cut] + word[cut] + word[cut:],
            )
        )
    return " ".join(tokens)


def seen(text: str, world: catalogs.System) -> Heardings:
    """What the rules hear, as the parser hears it."""
    matcher = _matcher(world.catalog.services, world.catalog.metrics, tuple(sorted(world.catalog.aliases.items())))
    return listen(text, matcher, NOW)


@lru_cache(maxsize=512)
def _matcher(
    services: tuple[str, ...], metrics: tuple[str, ...], aliases: tuple[tuple[str, tuple[str, ...]], ...]
) -> Matcher:
    return Matcher(Catalog(services, metrics, dict(aliases)))


def _linked(
    draft: Draft,
    text: str,
    kind: str,
    frame: str,
    slots: Slots,
    context: Slots | None,
    mine: tuple[tuple[str, ...], str] | None = None,
) -> Example:
    heard = seen(text, draft.system)
    services, time = mine or (tuple(s for s in draft.services if s != "unknown"), draft.time)
    times = {h.text for h in heard.times} or {"none"}
    linked = kind == "REJECT" or (heard.services.names == services and times == {time})
    return Example(
        text,
        draft.lang,
        kind.lower(),
        frame,
        slots,
        context,
        marking.marked(heard),
        marking.before(context),
        linked,
        draft.system,
    )
