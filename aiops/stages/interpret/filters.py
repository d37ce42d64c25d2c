"""Conditions in a text: `metric>number`, `metric<number`, `label=value`, in the order spoken, numbers in plain digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiops import units
from aiops.stages.interpret.lexicon import ENVIRONMENTS, NAMED_LABELS
from aiops.stages.interpret.match import Mention
from aiops.stages.interpret.timegrammar import number

_NUMBER = r"(?P<n>-?\d[\d,]{0,15}(?:\.\d{1,6})?|[零一二两三四五六七八九十百千]{1,12}(?=[万千百%个毫秒次条]|$|\s|[^\w])|百分之[零一二三四五六七八九十百\d.]+)\s?(?P<k>k\b|m\b(?!s|in)|b\b|万|千|百万|亿|million\b|thousand\b|billion\b|hundred\b)?\s?(?P<u>%|percent|ms\b|毫秒|s\b|secs?\b|seconds?\b|秒|[gmkt]i?b\b|个|条|次|mbps|/s|rps|qps|req/s)?"
_TIME_AFTER = r"(?!\s?(?:minutes?|mins?|hours?|hrs?|days?|weeks?|months?|h\b|d\b|w\b|分钟|小时|个小时|天|周|个月|点))"
_OVER = (
    r"(?:is |are |was |has |have |been |goes|gets?|went|got|stays?|rises?|climbs?|jumps?|grows?|hits?|remains?|still |ever |consistently |currently )*"
    r"(?:>=?|>=|≥|(?:greater|higher|more|bigger|larger|hotter|worse) than(?: or equal to)?|above|over|exceed(?:s|ed|ing)?|exceeding|past|beyond|in excess of|north of|tops|topped|surpass(?:es|ed)?|crosses|crossed|breach(?:es|ed)?|at least|hits|reaches)"
)
_UNDER = (
    r"(?:is |are |was |has |have |been |goes|gets?|went|got|stays?|drops?|falls?|dips?|sinks?|dropped|fell|fallen|remains?|still )*"
    r"(?:<=?|<=|≤|(?:less|lower|fewer|smaller) than(?: or equal to)?|below|under(?:neath)?|beneath|at most|south of)"
)
_OVER_ZH = r"(?:>=?|≥|超过了?|超出|大于(?:等于)?|高于|高过|多于|不低于|不小于|突破|达到了?|涨到|升到|到了|破)"
_UNDER_ZH = r"(?:<=?|≤|低于|小于(?:等于)?|少于|不到|不足|跌破|掉到|降到|跌到|不超过)"
_COMPARED = re.compile(
    rf"(?a)(?P<over>{_OVER}|{_OVER_ZH})\s*(?:the |a |about |around )?{_NUMBER}{_TIME_AFTER}|(?P<under>{_UNDER}|{_UNDER_ZH})\s*(?:the |a |about |around )?{_NUMBER.replace('?P<n>', '?P<n2>').replace('?P<k>', '?P<k2>').replace('?P<u>', '?P<u2>')}{_TIME_AFTER}|(?P<gt>)(?:百分之)?(?P<n3>(?<![\d.,])\d[\d,]{0, 15}(?:\.\d{1, 6})?)\s?(?P<k3>k\b|万|千)?\s?(?P<u3>%|ms\b|毫秒)?\s?(?P<after>以上|以下|or more|or higher|or above|or less|or lower|or below|plus\b|\+(?!\d))"
)
_SCALE = {
    "k": 1e3,
    "thousand": 1e3,
    "千": 1e3,
    "m": 1e6,
    "million": 1e6,
    "万": 1e4,
    "百万": 1e6,
    "亿": 1e8,
    "b": 1e9,
    "billion": 1e9,
    "hundred": 1e2,
}
_UNITS = {"毫秒": "ms", "秒": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "percent": "%"}
_REGION = r"(?:(?:us|eu|ap|sa|ca|me|af|cn|il|mx)-(?:gov-)?(?:northeast|northwest|southeast|southwest|north|south|east|west|central|hangzhou|shanghai|beijing|shenzhen|hongkong|qingdao|chengdu|guangzhou)-?\d?)"
_PAIR = re.compile(
    r"(?a)(?<![\w.<>])(?P<key>[a-z_][a-z0-9_.]{0,62})\s*={1,2}\s*[\"']?(?P<value>[a-z0-9][a-z0-9_.:/-]{0,127})"
)
_LABELLED = re.compile(
    r"(?a)(?<![a-z0-9_-])(?:"
    + "|".join(f"(?P<{key}>{words})" for key, words in NAMED_LABELS.items() if key not in {"env", "status", "node"})
    + r")(?:(?<![a-z])|(?![a-z_]))\s*(?:is |named |called |:|为|是|叫)?\s*(?P<value>[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?)(?![a-z0-9])"
)
_ENVIRONMENTS = tuple((value, re.compile(pattern, re.ASCII)) for value, pattern in ENVIRONMENTS)
_STATUS = re.compile(
    r"(?a)\b(?:status(?: code)?|http code|code)\s*(?:of |=|:)?\s*(?P<value>[1-5]\d\d)\b|状态码(?:为|是)?\s*(?P<zh>[1-5]\d\d)"
)
_ZONE_ZH = re.compile(rf"(?a)(?P<region>{_REGION})")
_VERSION = re.compile(r"(?a)(?<![\w.-])(?P<version>v\d+(?:\.\d+){0,3}(?:-[a-z0-9.]+)?)(?![\w-])")
_NO_VALUE = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "was",
        "were",
        "and",
        "or",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "by",
        "with",
        "usage",
        "latency",
        "error",
        "errors",
        "cpu",
        "memory",
        "count",
        "counts",
        "level",
        "balance",
        "restarts",
        "restart",
        "restarted",
        "please",
        "again",
        "up",
        "down",
        "has",
        "have",
        "keeps",
        "why",
        "what",
        "when",
        "how",
        "in",
        "this",
        "that",
        "it",
        "over",
        "under",
        "above",
        "since",
        "last",
        "past",
        "next",
        "crash",
        "crashes",
        "crashing",
        "health",
        "status",
        "which",
        "each",
        "per",
        "all",
        "any",
        "every",
        "total",
        "number",
        "only",
        "instead",
        "running",
        "ready",
        "names",
        "name",
        "list",
        "replicas",
    ]
)


@dataclass(frozen=True, slots=True)
class Condition:
    """`text`: as it was spoken, in plain digits; `exact`: the same in the metric's own unit, where both units are known."""

    text: str
    start: int
    end: int
    exact: str = ""


_WRITABLE = re.compile(
    r"[^\s=<>\x00-\x1f\x7f]{1,253}"
)  # a metric's name of which a condition can be written and read back


def find(
    text: str, metrics: Sequence[Mention], taken: Sequence[tuple[int, int]], names: frozenset[str]
) -> tuple[Condition, ...]:
    """Conditions in normalised `text`. `taken`: spans of times; `names`: catalog names, which are no label values."""
    found: list[Condition] = [*_comparisons(text, metrics, taken), *_labels(text, names)]
    kept: list[Condition] = []
    for one in sorted(found, key=lambda c: (c.start, -(c.end - c.start))):
        if all(one.start >= other.end or one.end <= other.start for other in kept) and one.text not in {
            k.text for k in kept
        }:
            kept.append(one)
    return tuple(kept)


def _comparisons(text: str, metrics: Sequence[Mention], taken: Sequence[tuple[int, int]]) -> list[Condition]:
    found = []
    for match in _COMPARED.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in taken):
            continue
        value = _value(match)
        metric = _about(text, match, metrics)
        if value is None or metric is None or not _WRITABLE.fullmatch(metric.name):
            continue
        under = match.group("under") is not None or match.group("after") in {"以下", "or less", "or lower", "or below"}
        groups = match.groupdict()
        unit = next((groups[key] for key in ("u", "u2", "u3") if groups.get(key)), "")
        spoken, exact = _plain(value), _plain(units.in_unit_of(metric.name, value, _UNITS.get(unit, unit)))
        limit = f"{metric.name}{'<' if under else '>'}"
        found.append(Condition(f"{limit}{spoken}", match.start(), match.end(), f"{limit}{exact}"))
    return found


def _value(match: re.Match[str]) -> float | None:
    groups = match.groupdict()
    spoken = next((groups[key] for key in ("n", "n2", "n3") if groups.get(key)), "")
    scale = next((groups[key] for key in ("k", "k2", "k3") if groups.get(key)), "")
    amount = number(spoken.replace(",", "").removeprefix("百分之"))
    if amount is None and spoken.startswith("-"):
        amount = -(number(spoken[1:]) or 0.0)
    if amount is None:
        return None
    return amount * _SCALE.get(scale, 1.0)


def _plain(amount: float) -> str:
    """In plain digits."""
    return str(int(amount)) if amount == int(amount) else f"{amount:.9f}".rstrip("0").rstrip(".")


def _about(text: str, match: re.Match[str], metrics: Sequence[Mention]) -> Mention | None:
    """The metric a comparison is about: the nearest before it in the sentence, else the next one right after it."""
    before = [
        m
        for m in metrics
        if m.end <= match.start() and not re.search(r"(?a)[.;!?。](?:\s|$)", text[m.end : match.start()])
    ]
    after = [
        m
        for m in metrics
        if match.end() - 3 <= m.start <= match.end() + 12
        and not re.search(r"(?a)[,;.!?。]", text[match.end() : m.start])
    ]
    if before and not (after and after[0].start - match.end() <= 1 and match.start() - before[-1].end > 12):
        return before[-1]
    return after[0] if after else None


def _labels(text: str, names: frozenset[str]) -> list[Condition]:
    found = [
        Condition(f"{_key(m.group('key'))}={m.group('value').rstrip('.,:')}", *m.span()) for m in _PAIR.finditer(text)
    ]
    for match in _LABELLED.finditer(text):
        key, value = next(k for k in NAMED_LABELS if match.groupdict().get(k)), match.group("value")
        if _is_value(key, value, names):
            found.append(Condition(f"{key}={value}", *match.span()))
    for match in _ZONE_ZH.finditer(text):
        tail = re.match(r"(?a)\s*(?:的)?(?:region|区域|地域|大区|地区|机房)?", text[match.end() :])
        found.append(Condition(f"region={match.group()}", match.start(), match.end() + (tail.end() if tail else 0)))
    found += [Condition(f"status={m.group('value') or m.group('zh')}", *m.span()) for m in _STATUS.finditer(text)]
    found += [Condition(f"version={m.group('version')}", *m.span()) for m in _VERSION.finditer(text)]
    for value, pattern in _ENVIRONMENTS:
        found += [Condition(f"env={value}", *match.span()) for match in pattern.finditer(text)]
    return found


def _key(word: str) -> str:
    return {"environment": "env", "ns": "namespace"}.get(word, word)


def _is_value(key: str, value: str, names: frozenset[str]) -> bool:
    """A label's value is a name of its own: not an everyday word, not a catalog name; a lone number only for some keys."""
    if value in _NO_VALUE or value in names:
        return False
    if key in {"host", "instance", "pod", "version", "zone", "partition", "shard", "path"}:
        return bool(re.search(r"(?a)\d|[-./]", value))
    return not value.isdigit() and (
        bool(re.search(r"(?a)[-_\d]", value)) or key in {"namespace", "cluster", "tenant", "team"}
    )
