"""What reading logs and traces from a live source has in common: whom to ask about, how much, and how rows become columns.

A source holds more than one diagnosis can read. What is left out must not look like evidence: if the incident were read whole
and the baseline in part, every line would be new. So a cap is kept by *systematic sampling in time* (W. G. Cochran, Sampling
Techniques, 1977, ch. 8): both phases are cut into equal slices and of each the same share is read from its start. Shares per
request stay unbiased, and the reading says as a Gap what it left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from aiops.domain import Gap, IntArray, Logs, ObjectArray, Scope, Spans, from_ns, to_ns
from aiops.rules import Entities

MOST_NAMES = 200  # a question that names more asks for everything instead, and sorts out here
LOG_SLICES = 30  # per phase
TRACE_SLICES = 5  # per phase; each is at least one search

E = TypeVar("E")
Window = tuple[int, int]  # [start, end) in ns
LogRow = tuple[int, str, str, str, str]  # time, node, message, trace id, span id
SpanRow = tuple[int, str, str, str, str, str, int, bool]  # time, node, operation, trace, span, parent, duration, error

# Status codes of a failed span, and where they stand: OpenTelemetry now and before, OpenTracing, Envoy.
_GRPC = {"UNKNOWN": 2, "DEADLINE_EXCEEDED": 4, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15}
_FAILED: tuple[tuple[Container[int], tuple[str, ...]], ...] = (
    (range(500, 600), ("http.response.status_code", "http.status_code")),
    (frozenset(_GRPC.values()), ("rpc.grpc.status_code", "rpc.response.status_code", "grpc.status_code")),
)
_ID = re.compile(r"""(?i)\b(trace|span)[_.-]?id["']?\s*[=:]\s*["']?([0-9a-f]{16}(?:[0-9a-f]{16})?)\b""")


# ---------------------------------------------------------------- whom, when


def names(scope: Scope, entities: Entities) -> tuple[str, ...]:
    """Names under which the scope's nodes may stand, sorted; () = everything there is."""
    known = set(scope.nodes)
    found = known | {alias for alias, node in entities.aliases.items() if node in known}
    return tuple(sorted(found)) if len(found) <= MOST_NAMES else ()


def wanted(node: str, scope: Scope) -> bool:
    """Whether the scope asks for `node`; one that names no nodes asks for all."""
    return not scope.nodes or node in scope.nodes


def window(scope: Scope) -> Window:
    """From the start of the baseline to the end of what is to be explained."""
    return to_ns(scope.baseline.start), max(to_ns(scope.incident.end), to_ns(scope.baseline.end))


def sample(scope: Scope, share: float, slices: int = LOG_SLICES) -> Iterator[Window]:
    """The windows to read, in time order: all of it, or of each of `slices` slices of either phase its first `share`."""
    if share >= 1.0:
        yield window(scope)
        return
    for start, end in parts(scope, slices):
        yield start, start + max(1, round((end - start) * share))


def parts(scope: Scope, slices: int) -> Iterator[Window]:
    """Baseline and incident, each cut into `slices` windows of one length."""
    for phase in (scope.baseline, scope.incident):
        edges = np.linspace(0, to_ns(phase.end) - to_ns(phase.start), slices + 1).round().astype(np.int64).tolist()
        start = to_ns(phase.start)
        yield from ((start + a, start + b) for a, b in pairwise(edges) if b > a)


def drain(
    fetch: Callable[[int, int], list[E]], start: int, end: int, page: int, key: Callable[[E], tuple[int, Hashable]]
) -> tuple[list[E], int]:
    """Every entry in [start, end) from a source that gives the first `page` entries of a window: (entries, moments cut off).

    `fetch(start, end)` answers ascending in time; `key` tells an entry's time in ns and its identity. Each page begins at the
    last moment of the one before, whose entries are told apart by identity, so that entries of one moment are not lost between
    pages. Only a moment with more than `page` entries is cut off, and counted.
    """
    out: list[E] = []
    taken: Counter[Hashable] = Counter()
    cut = 0
    while start < end:
        found = fetch(start, end)
        left = taken.copy()
        for entry in found:
            at, identity = key(entry)
            if at == start and left[identity] > 0:
                left[identity] -= 1
            else:
                out.append(entry)
        if len(found) < page:
            break
        last = key(found[-1])[0]
        if last == start:
            cut, start, taken = cut + 1, start + 1, Counter()
        else:
            start, taken = last, Counter(identity for at, identity in map(key, found) if at == last)
    return out, cut


def complete(
    fetch: Callable[[int, int], list[E]], start: int, end: int, page: int, expected: float, time_of: Callable[[E], int]
) -> tuple[list[E], int]:
    """Every entry in [start, end) from a source whose full answers can't be trusted to their end: (entries, moments cut off).

    Only an answer with fewer than `page` entries is taken. A window that gives more is parted at the middle one of them, until
    it is a single moment, which is then cut off and counted. `expected` entries decide into how many windows it is cut at first.
    """
    parts = min(math.ceil(2 * expected / page) or 1, end - start)
    edges = [start + (end - start) * i // max(parts, 1) for i in range(parts + 1)]
    waiting = [*pairwise(edges)][::-1]
    out: list[E] = []
    cut = 0
    while waiting:
        start, end = waiting.pop()
        found = fetch(start, end)
        if len(found) < page or end - start == 1:
            cut += len(found) >= page
            out += found
            continue
        middle = min(max(time_of(found[len(found) // 2]), start + 1), end - 1)
        waiting += [(middle, end), (start, middle)]
    return out, cut


def log_gaps(total: int, share: float, cut: int, page: int) -> tuple[Gap, ...]:
    """What a read of `share` of `total` lines left out, and of `cut` moments with more than `page` lines."""
    gaps = []
    if share < 1.0:
        why = f"{total} lines lie in the window; {share:.1%} of its time was read, evenly over it"
        gaps.append(Gap("logs", why, "name the symptom's service, or a shorter time"))
    if cut:
        gaps.append(Gap("logs", f"at {cut} moments more than {page} lines have one timestamp", "use finer timestamps"))
    return tuple(gaps)


# ---------------------------------------------------------------- rows to columns


def ids_in(message: str) -> tuple[str, str]:
    """(trace id, span id) that a line itself states, as `trace_id=...` or `"traceId": "..."`; "" where it does not."""
    found = {kind.lower(): value.lower() for kind, value in _ID.findall(message)}
    return found.get("trace", ""), found.get("span", "")


def failed(attributes: Iterable[tuple[str, Any]], status: str | int = "") -> bool:
    """Whether a span failed: by its OpenTelemetry status, else by an `error` tag, an HTTP status of 500 or more, or a gRPC status
    that is the server's fault. A status that somebody set to OK beats the tags.

    `error` is true in OpenTracing, "true" from Envoy, and the message itself in Zipkin."""
    told = dict(attributes)
    stated = str(status or told.get("otel.status_code", "")).upper().removeprefix("STATUS_CODE_")
    if stated in ("OK", "1", "ERROR", "2"):
        return stated in ("ERROR", "2")
    if str(told.get("error") or "false").lower() not in ("false", "0"):
        return True
    return any(_code(told.get(key)) in codes for codes, keys in _FAILED for key in keys)


def _code(value: Any) -> int:
    """A status code, as number or text; -1 for what is none."""
    if isinstance(value, str):
        value = _GRPC.get(value.upper(), value)
    try:
        return int(value)
    except (TypeError, ValueError):
        return -1


def logs(rows: Iterable[LogRow], scope: Scope) -> Logs:
    """Columns in time order, ties broken by content, so that the order of answers does not matter. O(N log N)."""
    times, *text = _columns(sorted(rows), 5)
    at: IntArray = np.array(times, np.int64)
    nodes, messages, traces, ids = map(_text, text)
    return Logs(at, nodes, messages, traces, ids, scope.incident.mask(at))


def spans(rows: Iterable[SpanRow], scope: Scope) -> Spans:
    """As `logs`; of a span that came twice one stays, and spans that began outside the scope go."""
    start, end = window(scope)
    times, *text, durations, errors = _columns(sorted({row for row in rows if start <= row[0] < end}), 8)
    at: IntArray = np.array(times, np.int64)
    long, failed = np.array(durations, np.int64), np.array(errors, np.bool_)
    nodes, operations, traces, ids, parents = map(_text, text)
    return Spans(at, long, nodes, operations, traces, ids, parents, failed, scope.incident.mask(at))


def when(time_ns: int) -> str:
    """RFC 3339 in UTC, to the nanosecond."""
    return f"{from_ns(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % 1_000_000_000:09d}Z"


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width


def _text(values: Sequence[str]) -> ObjectArray:
    out = np.empty(len(values), np.object_)
    out[:] = values
    return out
