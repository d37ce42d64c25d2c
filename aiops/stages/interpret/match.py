"""Which catalog names a text speaks of: exact, by alias, by a natural variant, or by a small typo; never by a guess.

A name that looks like an identifier (`db-9`, `billing-service`) and isn't in the catalog is *unknown*: it is reported, and
no part of it is taken for a name that is. The matcher is built once per catalog (O(names)), a text costs one pass.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from aiops.domain import Catalog
from aiops.schema.task import NAME
from aiops.stages.interpret import metricnames
from aiops.stages.interpret.lexicon import ROLES, VERB_USES
from aiops.stages.interpret.service_words import chinese_names, english_of
from aiops.stages.interpret.text import blanked
from aiops.stages.interpret.vocabulary import CONFUSABLE, GENERIC, KNOWN_WORDS, words

LOOKS_LIKE = 70.0  # of 100: what resembles a word less is no better a choice than any other
_TOKEN = re.compile(r"(?a)[a-z0-9]+(?:[-_.#][a-z0-9]+)*")
_NAME = re.compile(NAME)
_HAN = re.compile(r"(?a)[\u4e00-\u9fff]")
_SUFFIX = re.compile(r"(?a)(?:[-_ ]?(?:service|svc)|[-_ ](?:srv|server))$")
_ZH_SUFFIX = r"(?:服务|系统|模块|组件|中心|集群|端|页面?)?"
_NOT_NAMES = re.compile(  # identifiers that are no services: versions, regions, percentiles, sizes, dates, times
    r"(?a)v?\d[\d.:a-z]*|p\d{2,3}(?:[-_]?latency|ms)?|(?:latency|p)[-_]?p?\d{2,3}|\d+xx|(?:us|eu|ap|sa|ca|me|af|cn|il|mx)-(?:gov-)?[a-z]+-\d[a-z]?|x86|ipv[46]|s3|k8s|"
    r"(?:non|pre|post|re|un|co|over|out|self|up|down|round|drill|follow|write|root|end|real|near|error|mini|ultra|super|on|off|roll|back|check|hit|half|so|well|long|short|high|low|full|plain|time|top|step|by|per|day|week|read|multi|stop|out|year|month)-[a-z-]+|[a-z]+-(?:up|out|in|down|off|by|wide|time|day|level|mortem|call|hit|rate|ratio|text|only|series|world|side|term|hour|hours|minute|like|free|based|on|cause|alert|check)|t\d|q\d|o11y"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A catalog name that was spoken. `fuzzy` when it took a typo correction."""

    name: str
    start: int
    end: int
    fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a text names. `unknown`: identifiers that aren't in the catalog. `either`: a word that fits several names."""

    services: tuple[Mention, ...]
    unknown: tuple[str, ...]
    either: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m.name for m in self.services))


class Matcher:
    """Finds services and metrics of one catalog in normalised text."""

    def __init__(self, catalog: Catalog) -> None:
        catalog = _sayable(catalog)
        self.catalog = catalog
        self._said = _spoken_forms(catalog)
        self._families = _families(catalog.services)
        han = {form: name for form, name in self._said.items() if _HAN.search(form)}
        latin = {form: name for form, name in self._said.items() if form not in han}
        self._latin = _alternation(latin, r"(?<![a-z0-9_.@/-])(?:", r")(?:'s)?(?![a-z0-9_@/]|[-.][a-z0-9])")
        self._han = _alternation(han, "(?:", f"){_ZH_SUFFIX}")
        common = chinese_names(catalog.services)
        self._common_names = {form: names for form, names in common.items() if form not in self._said}
        self._common = _alternation(dict.fromkeys(self._common_names, ""), "(?:", ")")
        self._fuzzy = _buckets(form for form in latin if len(form) >= 4 and " " not in form)
        self.words = frozenset(word for form in latin for word in re.split(r"[-_ ]", form))
        self._unmet = metricnames.unmet(catalog.metrics)
        self._metric, self._metric_names = metricnames.pattern_of(metricnames.concepts(catalog.metrics))

    def speaks(self, text: str) -> bool:
        """Whether the text names a service."""
        return self._latin.search(text) is not None or self._han.search(text) is not None

    def is_name(self, text: str) -> bool:
        """Whether the whole text is one catalog name, or a list of them."""
        parts = [p for p in re.split(r"(?a)\s*(?:,|and|&|和|与)\s*", text.strip()) if p]
        return bool(parts) and all(p in self._said or p in self.catalog.metrics or self._one_metric(p) for p in parts)

    def _one_metric(self, text: str) -> bool:
        return self._metric.fullmatch(text) is not None

    def services(self, text: str, taken: Iterable[tuple[int, int]] = ()) -> Mentions:
        """Services in normalised `text`; spans in `taken` (times, filters) are not looked at."""
        blank = blanked(text, taken)
        found = [*self._exact(blank, self._latin), *self._exact(blank, self._han)]
        rest = blanked(blank, [(m.start, m.end) for m in found])
        unknown: list[str] = []
        either: list[str] = []
        for token in _TOKEN.finditer(rest):
            self._token(token, rest, found, unknown, either)
        if found:
            unknown = [word for word in unknown if not _turn_of_phrase(word, text)]
        unknown += [s.group() for s in _ZH_SERVICE.finditer(rest) if not _PLAIN_ZH.search(s.group(1))]
        found.sort(key=lambda m: m.start)
        return Mentions(tuple(found), tuple(unknown), tuple(either))

    def _exact(self, text: str, pattern: re.Pattern[str]) -> Iterable[Mention]:
        for match in pattern.finditer(text):
            form = match.group("form")
            name = self._said[form]
            use = VERB_USES.get(form)
            if use and any(hit.start() <= match.start() < hit.end() for hit in use.finditer(text)):
                continue  # "search for ..." names no service
            yield Mention(name, match.start(), match.end())

    def _token(
        self, token: re.Match[str], text: str, found: list[Mention], unknown: list[str], either: list[str]
    ) -> None:
        word = token.group()
        family = self._families.get(word)
        if family:
            tail = re.match(r"(?a)[ #-]*(?:number |no\.? ?|num )?(\d+)\b", text[token.end() :])
            if tail:
                unknown.append(f"{word}-{tail.group(1)}")
            elif len(family) == 1:
                found.append(Mention(family[0], token.start(), token.end()))
            else:
                either.append(word)
            return
        corrected = self._corrected(word)
        if corrected:
            found.append(Mention(self._said[corrected], token.start(), token.end(), fuzzy=True))
        elif re.search(r"(?a)[-_.]|\d", word) and re.search(r"(?a)[a-z]{2}", word) and self._is_identifier(word):
            unknown.append(word)

    def _is_identifier(self, word: str) -> bool:
        if _NOT_NAMES.fullmatch(word) or self._one_metric(word) or word in self.catalog.metrics:
            return False
        parts = re.split(r"(?a)[-_.]", word)
        return not all(part in KNOWN_WORDS for part in parts)

    def _corrected(self, word: str) -> str:
        """The one spoken form that `word` is a small typo of, else ""."""
        if len(word) < 4 or word in KNOWN_WORDS or word in CONFUSABLE or word.isdecimal():
            return ""
        close = (*self._fuzzy.get(word[0], ()), *self._fuzzy.get(word[1], ()))
        near = [form for form in dict.fromkeys(close) if _typo(word, form)]
        names = {self._said[form] for form in near}
        return near[0] if len(names) == 1 else ""

    @property
    def errors(self) -> tuple[str, ...]:
        """The metric of failed requests, where the catalog has one."""
        return tuple(dict.fromkeys(mention.name for mention in self.metrics("error rate")))

    def chinese(self, text: str) -> Mentions:
        """Services by what they are commonly called in Chinese, in a text that names none otherwise."""
        found, either = [], []
        for match in self._common.finditer(text):
            meant = self._common_names[match.group("form")]
            use = VERB_USES.get(match.group("form"))
            if use and any(hit.start() <= match.start() < hit.end() for hit in use.finditer(text)):
                continue
            if len(meant) == 1:
                found.append(Mention(meant[0], match.start(), match.end()))
            else:
                either.append(match.group("form"))
        return Mentions(tuple(found), (), tuple(either))

    def unmet(self, text: str) -> str:
        """What a text calls a quantity that no metric of the catalog measures; "" where there is none."""
        found = self._unmet.search(text)
        return found.group() if found else ""

    def metrics(self, text: str) -> tuple[Mention, ...]:
        """Metrics in normalised `text`, in the order spoken, the more specific reading first."""
        found = []
        for match in self._metric.finditer(text):
            group = match.lastgroup or ""
            name = self._metric_names[group]
            if name:
                found.append(Mention(name, match.start(), match.end()))
        return tuple(found)


def _turn_of_phrase(word: str, text: str) -> bool:
    """Whether a hyphened word beside a known service is just English ("the old heave-ho"): no digit, no word that ends
    names, and not in one row with another name."""
    if not re.fullmatch(r"(?a)[a-z]+-[a-z]+", word) or word.rpartition("-")[2] in _ENDS_NAMES:
        return False
    row = rf"(?a)(?:\b(?:and|or|vs\.?|versus|than|with|of|on|for|to|in|at|by|from|is|are)|[,&+/和与跟把给])\s*(?:the )?{re.escape(word)}\b|\b{re.escape(word)}\s*(?:,|&|\+|/|and\b|or\b|vs\b|和|与|跟|'s\b)"
    return re.search(row, text) is None


_ENDS_NAMES = words(
    "service svc api db server worker workers consumer producer gateway proxy cache job jobs queue manager controller app web"
    " frontend backend engine hub bus broker store portal sync agent operator scheduler master primary replica main farm"
)
_ZH_SERVICE = re.compile(r"([\u4e00-\u9fff]{2,4}?)(?:服务|系统)(?!器|端)")
_PLAIN_ZH = re.compile(r"(?a)[的了吗呢么啊这那哪些个各所有全部一下看查重启问什怎为在把给请帮]")


def _buckets(forms: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Forms by their first letter: a typo keeps it, or swaps the first two."""
    buckets: dict[str, list[str]] = {}
    for form in sorted(set(forms)):
        buckets.setdefault(form[0], []).append(form)
    return {letter: tuple(group) for letter, group in buckets.items()}


def _typo(word: str, form: str) -> bool:
    """At most one slip in 5-7 letters (a swap only in 4), two from 8 on; digits and the first letter hold."""
    if re.sub(r"(?a)\D", "", word) != re.sub(r"(?a)\D", "", form) or abs(len(word) - len(form)) > 2:
        return False
    if word[0] != form[0] and word[:2] != form[1::-1]:
        return False
    if len(form) == 4:
        return len(word) == 4 and sorted(word) == sorted(form) and OSA.distance(word, form) == 1
    pieces, parts = re.split(r"(?a)[-_]", word), re.split(r"(?a)[-_]", form)
    if len(parts) > 1 and len(pieces) == len(parts):
        return all(
            p == q or (len(q) >= 4 and p[:1] == q[:1] and OSA.distance(p, q, score_cutoff=2) <= _slips(q))
            for p, q in zip(pieces, parts, strict=True)
        )
    return OSA.distance(word, form, score_cutoff=2) <= _slips(form)


def _slips(form: str) -> int:
    return 2 if len(form) >= 8 else 1


def _sayable(catalog: Catalog) -> Catalog:
    """Without names that no task may hold (control characters, endless ones): whatever a source may say."""
    services, metrics = (tuple(n for n in names if _NAME.fullmatch(n)) for names in (catalog.services, catalog.metrics))
    return Catalog(services, metrics, catalog.aliases, catalog.carriers)


def _spoken_forms(catalog: Catalog) -> dict[str, str]:
    """Every way to say each service. A form that two services share is nobody's, unless it is one's own name."""
    forms: dict[str, set[str]] = {}
    for name in catalog.services:
        for form in _forms(name, catalog):
            forms.setdefault(form, set()).add(name)
    for name, short in _without_prefix(catalog.services).items():
        for form in _forms(short, Catalog((), ())):
            forms.setdefault(form, set()).add(name)
    said = {form: next(iter(names)) for form, names in forms.items() if len(names) == 1}
    for name in catalog.services:
        said[name.lower()] = name
        said.update({alias.lower(): name for alias in catalog.aliases.get(name, ()) if alias.lower() not in said})
    return said


def _without_prefix(services: Iterable[str]) -> dict[str, str]:
    """Nobody says the prefix that most names share ("ts-" of a whole train ticket system)."""
    names = [name for name in services if re.match(r"[a-z0-9]+-[a-z]", name.lower())]
    counts = Counter(name.lower().partition("-")[0] for name in names)
    common = {prefix for prefix, count in counts.items() if count >= 3 and count * 3 >= len(names)}
    return {n: n.lower().partition("-")[2] for n in names if n.lower().partition("-")[0] in common}


def _forms(name: str, catalog: Catalog) -> Iterable[str]:
    low = name.lower()
    own = {low, *(alias.lower() for alias in catalog.aliases.get(name, ()))}
    base = _SUFFIX.sub("", low)
    if base != low and base not in GENERIC and len(base) > 2:
        own.add(base)
    own |= {
        _SUFFIX.sub("", form) + suffix for form in (low, base) for suffix in ("-service", "-svc", " service", " svc")
    }
    for form in list(own):
        own |= set(_variants(form))
    yield from own
    yield from _role_forms(low, catalog)
    yield from _numbered_forms(low)


def _variants(form: str) -> Iterable[str]:
    if _HAN.search(form):
        return
    if re.search(r"(?a)[-_]", form):
        yield re.sub(r"(?a)[-_]", " ", form)
        yield re.sub(r"(?a)[-_]", "_", form)
        yield re.sub(r"(?a)_", "-", form)
        if re.search(r"(?a)\d", form) or len(form) > 8:
            yield re.sub(r"(?a)[-_]", "", form)
    if form.isalpha() and len(form) >= 4:
        yield form[:-1] if form.endswith("s") and not form.endswith("ss") else f"{form}s"


def _role_forms(name: str, catalog: Catalog) -> Iterable[str]:
    """`orders-consumer` is also "the consumer of orders", 订单消费者."""
    base, _, role = name.rpartition("-")
    if role not in ROLES:
        return
    owner = next((s for s in catalog.services if s.lower() == base), "")
    bases = {base, base.removesuffix("s"), *(a.lower() for a in catalog.aliases.get(owner, ()))} if owner else {base}
    for said in bases:
        for word in ROLES[role]:
            if _HAN.search(word) or _HAN.search(said):
                yield from (
                    f"{said}{word}",
                    f"{said}的{word}",
                    f"{said} {word}",
                    f"{said} 的{word}",
                    f"{said} 的 {word}",
                )
            else:
                yield from (
                    f"{said} {word}",
                    f"{said}-{word}",
                    f"{said}'s {word}",
                    f"{word} of {said}",
                    f"{word} for {said}",
                    f"{word} on {said}",
                    f"{word} of the {said}",
                )


def _numbered_forms(name: str) -> Iterable[str]:
    """`db-3` is also db3, db 3, database 3, 数据库3, 3号库; `kafka-broker-2` also broker 2."""
    family, _, count = name.rpartition("-")
    if not count.isdecimal() or not family:
        return
    words = {family, family.replace("-", " "), family.rpartition("-")[2], family.partition("-")[0]}
    zh: set[str] = set()
    if family.rpartition("-")[2] in {"db", "database", "mysql", "postgres", "pg"}:
        words |= {"db", "database"}
        zh |= {"数据库", "库"}
    chinese = "零一二三四五六七八九"[int(count)] if len(count) == 1 else count
    for word in words:
        yield from (
            f"{word}{count}",
            f"{word} {count}",
            f"{word}-{count}",
            f"{word}#{count}",
            f"{word} #{count}",
            f"{word} no. {count}",
            f"{word} number {count}",
        )
        yield from (f"{n}号{sep}{word}" for n in (count, chinese) for sep in ("", " "))
        yield f"{word}{count}号"
    for word in zh:
        yield from (
            form for n in (count, chinese) for form in (f"{word}{n}", f"{word} {n}", f"{n}号{word}", f"{word}{n}号")
        )


def _families(services: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """First words that several names share ("db"), or that a number follows: alone they name none of them."""
    families: dict[str, set[str]] = {}
    for name in services:
        parts = re.split(r"(?a)[-_]", name.lower())
        if len(parts) > 1 and parts[-1].isdecimal():
            for word in {parts[0], parts[-2]}:
                families.setdefault(word, set()).add(name)
        elif len(parts) > 1 and parts[-1] in {"main", "primary", "master", "cluster", "cache"}:
            families.setdefault(parts[0], set()).add(name)
    if "db" in families:
        families["database"] = families["databases"] = families["dbs"] = families["db"]
    return {word: tuple(sorted(names)) for word, names in families.items()}


def _alternation(forms: Mapping[str, str], before: str, after: str) -> re.Pattern[str]:
    if not forms:
        return re.compile(r"(?a)(?!)(?P<form>)")
    inner = "|".join(re.escape(f) for f in sorted(forms, key=lambda f: (-len(f), f)))
    return re.compile(f"(?a){before}(?P<form>{inner}){after}")


def near(word: str, catalog: Catalog) -> tuple[str, ...]:
    """Up to five catalog services that look or mean most like `word`: choices to offer, never an answer.

    Where none looks like it, a neutral five; ties are broken by a neutral rule too."""
    return looks_like(word, catalog) or any_of(catalog.services)


def looks_like(word: str, catalog: Catalog) -> tuple[str, ...]:
    """Up to five services whose names resemble `word`, or what it is in English, the nearest first."""
    wanted = [english.lower() for english in english_of(word)]
    scores = {name: max(fuzz.WRatio(one, name.lower()) for one in wanted) for name in catalog.services}
    close = [name for name in catalog.services if scores[name] >= LOOKS_LIKE]
    return tuple(sorted(close, key=lambda name: (-scores[name], _neutral(name)))[:5])


def any_of(names: Iterable[str]) -> tuple[str, ...]:
    """Up to five names in an order that favours none."""
    return tuple(sorted(names, key=_neutral)[:5])


def _neutral(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
