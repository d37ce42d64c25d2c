"""`elastic+http(s)://HOST[:PORT][/PREFIX]/INDEX`: logs from Elasticsearch 7.10+ and OpenSearch, over `_count` and `_search`.

What follows the last slash is the index pattern; without one the usual names of log indices are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import quote as escaped

import msgspec

from aiops.adapters import reading
from aiops.adapters.http import Access, Session
from aiops.domain import Logs, Scope
from aiops.rules import Entities

PAGE = 5_000  # hits; an index refuses more than 10,000 unless it is configured otherwise
MAX_LINES = 200_000  # of one read, about: beyond it a sample is read
INDICES = "logs-*,filebeat-*,logstash-*,fluentd-*,fluent-bit-*"

TIME = "@timestamp"
# Where a label of rules/entities.yaml stands: Elastic Common Schema, OpenTelemetry's mapping, then the label's own name.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "service": ("service.name", "resource.attributes.service.name", "serviceName"),
    "app": ("kubernetes.labels.app", "kubernetes.labels.app_kubernetes_io/name"),
    "container": ("kubernetes.container.name", "container.name", "resource.attributes.k8s.container.name"),
    "pod": ("kubernetes.pod.name", "resource.attributes.k8s.pod.name"),
}
_MESSAGE = ("message", "body.text", "body", "log")
_TRACE = ("trace.id", "trace_id", "traceId")
_SPAN = ("span.id", "span_id", "spanId")
_Key = tuple[int, tuple[str, str]]


class Elastic:
    """A LogSource. `labels` of rules/entities.yaml say what names a node; `access` opens the door."""

    def __init__(self, access: Access, entities: Entities, *, page: int = PAGE, max_lines: int = MAX_LINES) -> None:
        root, slash, index = access.url.partition("://")[2].rpartition("/")
        scheme = access.url.partition("://")[0]
        self._url = f"{scheme}://{root or index}"
        self._index = escaped(index if slash else INDICES, safe="*,-_.%")
        self._access, self._entities = access, entities
        self._page, self._max_lines = page, max_lines
        self._labels = tuple((label, (*_FIELDS.get(label, ()), label)) for label in entities.labels["log"])

    def read(self, scope: Scope, timeout: float) -> Logs:
        """The lines of the scope's nodes; above `max_lines` a systematic sample, which the answer's gaps say.

        The time of a line is as fine as its index keeps it: milliseconds for `date`, nanoseconds for `date_nanos`."""
        with self._access.session("logs", timeout) as session:
            total = self._count(session, scope)
            share = min(1.0, self._max_lines / total) if total else 1.0
            rows: list[reading.LogRow] = []
            cut = 0
            for start, end in reading.sample(scope, share):
                found, lost = reading.drain(partial(self._page_of, session, scope), start, end, self._page, _key)
                rows += (row for hit in found if reading.wanted((row := self._row(hit))[1], scope))
                cut += lost
        return reading.logs(rows, scope).leaving_out(reading.log_gaps(total, share, cut, self._page))

    def ping(self, timeout: float) -> str:
        with self._access.session("its version", timeout) as session:
            about = session.decode(session.ask("GET", f"{self._url}/"), _About).version
            return f"{about.distribution or 'Elasticsearch'} {about.number} at {self._url}"

    # ------------------------------------------------ asking

    def _ask(self, session: Session, endpoint: str, body: Mapping[str, object], **params: str) -> bytes:
        session.what = f"{endpoint} {self._index}"
        params |= {"ignore_unavailable": "true", "allow_no_indices": "true"}
        return session.ask("POST", f"{self._url}/{self._index}/{endpoint}", body=body, params=params)

    def _count(self, session: Session, scope: Scope) -> int:
        found = session.decode(
            self._ask(session, "_count", {"query": self._query(scope, *reading.window(scope))}), _Count
        )
        if found.shards.failed:
            raise session.garbled(f"{found.shards.failed} of {found.shards.total} shards failed")
        return found.count

    def _page_of(self, session: Session, scope: Scope, start: int, end: int) -> list[_Hit]:
        fields = [*_MESSAGE, *_TRACE, *_SPAN, *(field for _, fields in self._labels for field in fields)]
        asked = {
            "query": self._query(scope, start, end),
            "size": self._page,
            # One resolution for all indices, so that times compare; ties are told apart by `drain`, since there is no
            # field that every index sorts by.
            "sort": [{TIME: {"order": "asc", "numeric_type": "date_nanos"}}],
            "search_after": [start - 1],
            "fields": sorted(set(fields)),
            "_source": False,
            "track_total_hits": False,
        }
        answer = session.decode(self._ask(session, "_search", asked, allow_partial_search_results="false"), _Answer)
        if answer.timed_out or answer.shards.failed:
            raise session.garbled(f"{answer.shards.failed} of {answer.shards.total} shards failed or were late")
        hits = [hit for hit in answer.hits.hits if hit.sort[0] < end]
        if any(a.sort[0] > b.sort[0] for a, b in pairwise(hits)) or (hits and hits[0].sort[0] < start):
            raise session.garbled("hits out of the order that was asked for")
        return hits

    def _query(self, scope: Scope, start: int, end: int) -> dict[str, Any]:
        form = "strict_date_optional_time_nanos"
        within = {"range": {TIME: {"gte": reading.when(start), "lt": reading.when(end), "format": form}}}
        named = reading.names(scope, self._entities)
        either = [clause for label, fields in self._labels for clause in self._clauses(label, fields, named)]
        who = [{"bool": {"should": either, "minimum_should_match": 1}}] if either else []
        return {"bool": {"filter": [within, *who]}}

    def _clauses(self, label: str, fields: Sequence[str], named: Sequence[str]) -> list[dict[str, Any]]:
        """That one of `fields` is one of `named`, or where the label carries suffixes begins with one.

        A text field can only be compared through its `.keyword`; a field that isn't there matches nothing."""
        if not named:
            return []
        keys = [key for field in fields for key in (field, f"{field}.keyword")]
        clauses: list[dict[str, Any]] = [{"terms": {key: list(named)}} for key in keys]
        if label in self._entities.strip:
            clauses += [{"prefix": {key: {"value": f"{name}-"}}} for key in keys for name in named]
        return clauses

    def _row(self, hit: _Hit) -> reading.LogRow:
        labels = {label: _first(hit, fields) for label, fields in self._labels}
        message, trace, span = _first(hit, _MESSAGE), _first(hit, _TRACE), _first(hit, _SPAN)
        told = ("", "") if trace and span else reading.ids_in(message)
        return hit.sort[0], self._entities.node("log", labels), message, trace or told[0], span or told[1]


def _key(hit: _Hit) -> _Key:
    return hit.sort[0], (hit.index, hit.id)


def _first(hit: _Hit, fields: Sequence[str]) -> str:
    return next((str(values[0]) for field in fields if (values := hit.fields.get(field))), "")


# ---------------------------------------------------------------- the answers


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    sort: tuple[int]
    fields: dict[str, list[Any]] = {}


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Shards(msgspec.Struct):
    total: int = 0
    failed: int = 0


class _Answer(msgspec.Struct):
    hits: _Hits
    timed_out: bool = False
    shards: _Shards = msgspec.field(name="_shards", default_factory=_Shards)


class _Count(msgspec.Struct):
    count: int
    shards: _Shards = msgspec.field(name="_shards", default_factory=_Shards)


class _Version(msgspec.Struct):
    number: str
    distribution: str = ""


class _About(msgspec.Struct):
    version: _Version
