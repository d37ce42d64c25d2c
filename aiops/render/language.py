"""In which language people are answered. English stands in the code; `languages/*.toml` say the same in others.

    with speaking("zh"):
        say("And {n} more in the JSON form.", n=3)

`say` is for words of ours on a page. `said` is for sentences that a stage has written into a report: a report is stored once,
in English, so that replaying it gives the same bytes; whoever shows it recognises a sentence of ours by its form and says it
in the reader's language. What is in no catalogue, as what came from outside, stays as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
TAGS = {ENGLISH: "en", "zh": "zh-CN"}  # as a document names its language

_LONGEST = 1500  # characters of a sentence; what is longer is none of ours

_speaking: ContextVar[str] = ContextVar("language", default=ENGLISH)

# What may stand in a place `{name:kind}` of a sentence. A place without a kind holds anything and is handed on as it is.
_KINDS = {
    "": r".+?",
    "n": r"[-+−]?[\d.,]+(?:e[-+]?\d+)?%?|nan|inf",  # a number
    "w": r"\S+",  # a name
    "t": r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d(?::\d\d)?Z",  # a moment
    "s": r".+?",  # a sentence of ours
    "l": r".+?",  # several, between commas
    "m": r".+?",  # several, between semicolons
    "a": r".+?",  # several, between arrows
}
_BETWEEN = {"l": ", ", "m": "; ", "a": " -> "}
_PLACE = re.compile(r"\{(\w+)(?::(\w))?\}")
_CHINESE = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Sentence:
    form: re.Pattern[str]
    kinds: Mapping[str, str]
    words: str  # in the other language


@dataclass(frozen=True, slots=True)
class Catalogue:
    """words: English -> the same in another language, with the same places; sentences: likewise, as they stand in the file."""

    words: Mapping[str, str]
    sentences: Mapping[str, str]
    between: Mapping[str, str]  # what stands between the items of a list


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Whatever is rendered inside is in this language. ValueError for one that there is no catalogue of."""
    if language not in LANGUAGES:
        raise ValueError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
    before = _speaking.set(language)
    try:
        yield
    finally:
        _speaking.reset(before)


def tag() -> str:
    """The language that is spoken, as a document names it."""
    return TAGS[_speaking.get()]


def say(text: str, **values: object) -> str:
    """Words of ours in the language that is spoken, with `values` in their places."""
    language = _speaking.get()
    told = text if language == ENGLISH else catalogue(language).words.get(text, text)
    return told.format(**values) if values else told


def said(text: str) -> str:
    """A sentence that stands in a report, in the language that is spoken."""
    language = _speaking.get()
    if language == ENGLISH or not text or len(text) > _LONGEST:
        return text
    known = catalogue(language)
    if text in known.words:
        return known.words[text]
    for sentence in _sentences(language):
        if found := sentence.form.fullmatch(text):
            values = {name: _handed_on(value, sentence.kinds[name], known) for name, value in found.groupdict().items()}
            return sentence.words.format(**values)
    return text


def _handed_on(value: str, kind: str, known: Catalogue) -> str:
    if kind == "s":
        return said(value)
    if kind in _BETWEEN:
        return known.between[kind].join(said(item) for item in value.split(_BETWEEN[kind]))
    return value


def listed(items: list[str]) -> str:
    """Items of a list in a line."""
    language = _speaking.get()
    return (", " if language == ENGLISH else catalogue(language).between["l"]).join(items)


@cache
def catalogue(language: str) -> Catalogue:
    """What there is in a language beside English."""
    text = files("aiops.render").joinpath("languages", f"{language}.toml").read_text("utf-8")
    told = tomllib.loads(text)
    return Catalogue(told["words"], told["sentences"], told["between"])


@cache
def _sentences(language: str) -> tuple[_Sentence, ...]:
    """In the order of the file: the first that fits counts."""
    return tuple(_compiled(english, words) for english, words in catalogue(language).sentences.items())


def _compiled(english: str, words: str) -> _Sentence:
    form, kinds, end = "", {}, 0
    for place in _PLACE.finditer(english):
        name, kind = place[1], place[2] or ""
        form += f"{re.escape(english[end : place.start()])}(?P<{name}>{_KINDS[kind]})"
        kinds[name], end = kind, place.end()
    return _Sentence(re.compile(form + re.escape(english[end:]), re.DOTALL), kinds, words)


# ---------------------------------------------------------------- which


def of_text(text: str) -> str:
    """The language a question was asked in."""
    return "zh" if _CHINESE.search(text) else ENGLISH


def of_header(accept: str) -> str:
    """The first language of an Accept-Language header that there is, by its weights (RFC 9110, 12.5.4); else English."""
    weighed = []
    for place, part in enumerate(accept[:500].split(",")):
        name, _, rest = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest or "q=1")
        weighed.append((-float(weight[1]) if weight else 0.0, place, name.strip().lower().partition("-")[0]))
    return next((name for q, _, name in sorted(weighed) if q < 0 and name in LANGUAGES), ENGLISH)
