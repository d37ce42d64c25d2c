"""How people say the metrics of one catalog, in English and Chinese, as one pattern.

Three sources, the specific first: the name itself; its own words, translated and put together again ("replication_lag" is
also 复制延迟); and the concepts of the trade (`lexicon.METRICS`), each of which stands for the first catalog metric that fits.
A percentile that the catalog lacks is taken for no other one: "p50" never becomes the p99 that happens to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiops.kernels.kinds import Kind, kind_of
from aiops.stages.interpret.lexicon import METRIC_WORDS, METRICS
from aiops.stages.interpret.vocabulary import KNOWN_WORDS, words

_PERCENTILES = ("50", "75", "90", "95", "98", "99", "999")
# How a quantity is counted says nothing of what it is: "buffering_ratio" is said as "buffering".
_MEASURES = words("""
    total seconds second ms bytes byte ratio rate percent percentage pct count counts number num avg mean max min value
    per sec current usage used utilization utilisation bucket sum level gauge
""")
# One of these alone names no metric: a concept of the trade does, or nobody knows which is meant.
_VAGUE = words("""
    http request requests error errors latency duration response time cpu memory disk network io cache hit miss
    connection connections open active pod container node process server client service api grpc db go heap gc jvm
    restart restarts free available size read write in out up info status health state lag delay replica length depth
    wait idle pending job jobs order orders token retry batch lock locks session sessions pool power loss
""")
_WORD = re.compile(r"[0-9]+xx|p?[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*")


def concepts(metrics: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(pattern of what people say, catalog metric or "" for one that the catalog lacks), the specific first."""
    names = sorted(dict.fromkeys(metrics), key=lambda n: (-len(n), n))
    said = [(_spelt(name), name) for name in names if name.lower() not in KNOWN_WORDS]
    said += [(pattern, name) for name in names for pattern in _composed(name, names)]
    lowered = {name: name.lower() for name in sorted(names)}
    said += [_percentile(percentile, lowered) for percentile in _PERCENTILES]
    for _, wanted, phrases in METRICS:
        fitting = (n for pattern in wanted for n, low in lowered.items() if re.search(pattern, low))
        whole = next(iter(sorted(fitting, key=lambda n: kind_of(n) is Kind.CLIENT_LATENCY)), "")
        if whole:
            said.append((phrases, whole))
    return tuple(said)


def unmet(metrics: Iterable[str]) -> re.Pattern[str]:
    """What people call quantities of the trade that none of these metrics measures."""
    lowered = [name.lower() for name in metrics]
    absent = [
        phrases for _, wanted, phrases in METRICS if not any(re.search(p, low) for p in wanted for low in lowered)
    ]
    return pattern_of([(phrases, "") for phrases in absent])[0]


def alike(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Those of `others` that mean the same as `name`: the same percentile of a latency, or the same quantity of the trade; the
    best first, what a service measures of its own clients last."""
    lowered = {one: one.lower() for one in sorted(others)}
    number = next((p for p in sorted(_PERCENTILES, key=len, reverse=True) if _ends(p).search(name.lower())), "")
    if number:
        patterns: Sequence[str] = [_ends(number).pattern]
    else:
        patterns = next((wanted for _, wanted, _ in METRICS if any(re.search(p, name.lower()) for p in wanted)), ())
    found = [one for pattern in patterns for one, low in lowered.items() if re.search(pattern, low)]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: kind_of(one) is Kind.CLIENT_LATENCY))


def _ends(percentile: str) -> re.Pattern[str]:
    return re.compile(rf"p_?{percentile}(?![0-9])")


def pattern_of(said: Sequence[tuple[str, str]]) -> tuple[re.Pattern[str], dict[str, str]]:
    """One pattern for all of `concepts`, and which group stands for which metric."""
    groups = {f"m{index}": name for index, (_, name) in enumerate(said)}
    parts = [f"(?P<m{index}>{phrases})" for index, (phrases, _) in enumerate(said)]
    if not parts:
        return re.compile(r"(?a)(?!)"), groups
    # Chinese needs no word boundary, not even beside Latin letters ("pod一直重启").
    before, after = r"(?:(?<![a-z0-9_])|(?=[\u4e00-\u9fff]))", r"(?:(?![a-z_])|(?<=[\u4e00-\u9fff]))"
    return re.compile(rf"(?a){before}(?:{'|'.join(parts)}){after}"), groups


def _spelt(name: str) -> str:
    """The name itself, its words apart or together."""
    return r"[ _-]?".join(re.escape(part.lower()) for part in re.split(r"[_-]|(?<=[a-z])(?=[A-Z])", name))


def _words(name: str) -> tuple[str, ...]:
    """The words of a metric's name without how it is counted, whichever way the name is written."""
    return tuple(word for word in (w.lower() for w in _WORD.findall(name)) if word not in _MEASURES)


def _composed(name: str, names: Sequence[str]) -> Iterator[str]:
    """The name put together from its words. One word is enough where no other metric has it and it isn't an everyday one."""
    words = _words(name)
    if len(words) >= 2:
        yield "[ _-]?".join(map(_english, words))
        if all(word in METRIC_WORDS for word in words):
            yield r"\s?的?".join(f"(?:{METRIC_WORDS[word][1]})" for word in words)
    for word in words:
        shared = sum(word in _words(other) for other in names)
        known = word in METRIC_WORDS
        if shared > 1 or word in _VAGUE or not (known or (len(word) > 3 and word not in KNOWN_WORDS)):
            continue
        yield _english(word)
        if known:
            yield rf"(?:{METRIC_WORDS[word][1]})(?:率|量|数|长度|大小|情况)?"


def _english(word: str) -> str:
    synonyms = METRIC_WORDS.get(word, ("", ""))[0]
    plural = rf"{re.escape(word)}s?" if word.isalpha() else re.escape(word)
    return f"(?:{plural}|{synonyms})" if synonyms else plural


def _percentile(percentile: str, lowered: Mapping[str, str]) -> tuple[str, str]:
    """p99 in all its spellings, and the catalog's metric of it."""
    ends = rf"(?<![0-9]){percentile}(?![0-9])"
    wanted = (rf"(?:latency|duration|response).*{ends}", rf"{ends}.*(?:latency|duration|response)", rf"p_?{ends}")
    # Where there is no such metric, the buckets of a histogram know every percentile.
    buckets = (r"(?:latency|duration|response|request).*(?:seconds|_ms|milliseconds)_bucket$",)
    fitting = [n for pattern in (*wanted, *buckets) for n, low in lowered.items() if re.search(pattern, low)]
    name = next(iter(sorted(fitting, key=lambda n: kind_of(n) is Kind.CLIENT_LATENCY)), "")
    number = r"99[.]?9" if percentile == "999" else percentile
    more_en, more_zh = {
        "99": (r"tail[ -]latenc(?:y|ies)|slowest (?:1%|one percent)", "|九九线|尾延迟|长尾延迟|长尾时延"),
        "95": (r"slowest (?:5%|five percent)", "|九五线"),
        "50": (r"median(?: latency| response times?)?", "|中位数?"),
    }.get(percentile, (r"(?!)", ""))
    what = r"(?:延迟|时延|耗时|响应时间|响应)"
    phrases = (
        r"(?:tail[ -])?(?:latency|response times?|rt)?[ _-]?(?:at )?(?:the )?"
        rf"p[ -]?{number}(?![0-9])(?:th)?(?:[ _-]?(?:percentile|latency|latencies|response times?|rt|ms))?"
        rf"|{number}(?:th|\.0)?[ -]?(?:percentile|pct|%ile)(?: latency| response times?)?|{more_en}"
        rf"|{what}?的?(?:p{number}(?![0-9])|{number}线|{number}分位数?{more_zh})(?:的?(?:延迟|时延|耗时|响应时间|线))?"
    )
    return phrases, name
