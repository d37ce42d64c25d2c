"""Loki, Elasticsearch, Tempo and Jaeger in the wire formats their manuals describe, over a recorded incident.

Each is a real HTTP server on loopback that looks at the question as the product does: limits, times in its own unit, labels,
order, pages. It serves what a test needs and refuses the rest, so that a wrong question does not pass.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiops.domain import Logs, Spans

from servers.listening import listening


@dataclass
class Asked:
    """One request as it came in."""

    method: str
    path: str
    params: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass
class Refusal(Exception):
    status: int
    text: str


Answer = Callable[[Asked], Any]
Raw = Callable[[BaseHTTPRequestHandler, Asked], None]


@dataclass
class Web:
    """A running server: where it is and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def web(answer: Answer | None = None, *, raw: Raw | None = None) -> Iterator[Web]:
    """Serves `answer` as JSON (gzip where the client takes it), a Refusal as its status; `raw` writes for itself."""
    seen = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(length)
            parts = urlsplit(self.path)
            params = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
            body = json.loads(data) if data else None
            asked = Asked(self.command, parts.path, params, body, dict(self.headers))
            seen.asked.append(asked)
            if raw is not None:
                self.close_connection = True
                raw(self, asked)
                return
            try:
                self.put(200, json.dumps(answer(asked)).encode())
            except Refusal as refusal:
                self.put(refusal.status, refusal.text.encode())

        do_POST = do_GET  # noqa: N815 - http.server's name

        def put(self, status: int, body: bytes) -> None:
            self.send_response(status)
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                body = gzip.compress(body, 1)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with listening(Handler) as seen.url:
        yield seen


def literal(text: str) -> str:
    """As Go's strconv.Quote writes it, for the characters that matter here."""
    return json.dumps(text, ensure_ascii=False)


def need(condition: object, text: str, status: int = 400) -> None:
    if not condition:
        raise Refusal(status, text)


# ---------------------------------------------------------------- Loki


_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(,|$)')


def loki(logs: Logs, limit: int = 5_000) -> Answer:
    """`/loki/api/v1/...` of Loki 3: ids are structured metadata, which the answer shows as labels of the stream."""
    rows = sorted(zip(logs.times.tolist(), logs.nodes, logs.trace_ids, logs.span_ids, logs.messages, strict=True))

    def chosen(selector: str, start: int, end: int) -> list[tuple[int, str, str, str, str]]:
        need(selector.startswith("{") and selector.endswith("}"), f"parse error : {selector}")
        inside, matchers = selector[1:-1], []
        while inside:
            found = _MATCHER.match(inside)
            need(found, f"parse error near {inside}")
            name, operator, text, _ = found.groups()
            value = json.loads(text)
            matchers.append((name, re.compile(value if operator == "=~" else re.escape(value))))
            need(operator in ("=", "=~"), "this server knows = and =~")
            inside = inside[found.end() :]
        need(
            any(not pattern.fullmatch("") for _, pattern in matchers),
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value",
        )
        return [
            row
            for row in rows[bisect_left(rows, (start,)) : bisect_left(rows, (end,))]
            if all(p.fullmatch(row[1] if name == "service_name" else "") for name, p in matchers)
        ]

    def answer(asked: Asked) -> Any:
        match asked.path.removeprefix("/loki/api/v1/"):
            case "labels":
                return {"status": "success", "data": ["service_name", "__stream_shard__"]}
            case "status/buildinfo":
                return {"version": "3.4.2", "revision": "4fa045d3", "branch": "HEAD", "goVersion": "go1.23"}
            case "query":
                found = re.fullmatch(r"sum\(count_over_time\((\{.*\})\[(\d+)ms\]\)\)", asked.params["query"])
                need(found, "parse error")
                end = int(asked.params["time"])
                lines = chosen(found[1], end - int(found[2]) * 1_000_000, end)
                result = [{"metric": {}, "value": [end / 1e9, str(len(lines))]}] if lines else []
                return {"status": "success", "data": {"resultType": "vector", "result": result, "stats": {}}}
            case "query_range":
                most = int(asked.params.get("limit", 100))
                need(
                    most <= limit, f"max entries limit per query exceeded, limit > max_entries_limit ({most} > {limit})"
                )
                need(asked.params["direction"] == "forward", "this server reads forward")
                lines = chosen(asked.params["query"], int(asked.params["start"]), int(asked.params["end"]))
                # As Loki 3.2.1 was seen to: an answer that is full lacks a line near its end and gives the one behind it.
                lines = lines[:most] if len(lines) <= most + 1 else [*lines[: most - 2], *lines[most - 1 : most + 1]]
                streams: dict[tuple[str, str, str], list[list[str]]] = defaultdict(list)
                for at, service, trace, span, line in lines:
                    streams[service, trace, span].append([str(at), line])
                result = [
                    {"stream": {"service_name": s, "trace_id": t, "span_id": p}, "values": values}
                    for (s, t, p), values in streams.items()
                ]
                return {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}
        raise Refusal(404, "404 page not found")

    return answer


# ---------------------------------------------------------------- Elasticsearch


_FORM = "strict_date_optional_time_nanos"


def _nanoseconds(text: str) -> int:
    from datetime import datetime

    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def elastic(logs: Logs, window: int = 10_000) -> Answer:
    """`_count` and `_search` of Elasticsearch 8: ECS documents with `date_nanos`, sorted, paged by `search_after`."""
    docs = []
    for i, (at, node, trace, span, line) in enumerate(
        zip(logs.times.tolist(), logs.nodes, logs.trace_ids, logs.span_ids, logs.messages, strict=True)
    ):
        fields = {"service.name": [node], "trace.id": [trace], "span.id": [span], "message": [line]}
        docs.append((at, f"doc{i:06d}", fields))
    docs.sort(key=lambda doc: (doc[0], hash(doc[1])))  # ties in no order that means anything, as with Lucene

    def holds(clause: dict[str, Any], at: int, fields: dict[str, list[str]]) -> bool:
        ((kind, inside),) = clause.items()
        if kind == "bool":
            need(set(inside) <= {"filter", "should", "minimum_should_match"}, f"unknown {sorted(inside)}")
            every = all(holds(one, at, fields) for one in inside.get("filter", ()))
            return every and ("should" not in inside or any(holds(one, at, fields) for one in inside["should"]))
        ((name, value),) = inside.items()
        if kind == "range":
            need(name == "@timestamp" and value["format"] == _FORM, "parse_exception")
            return _nanoseconds(value["gte"]) <= at < _nanoseconds(value["lt"])
        if kind == "terms":
            return any(v in value for v in fields.get(name, ()))
        if kind == "prefix":
            return any(v.startswith(value["value"]) for v in fields.get(name, ()))
        raise Refusal(400, json.dumps({"error": {"type": "parsing_exception", "reason": f"unknown query [{kind}]"}}))

    def answer(asked: Asked) -> Any:
        if asked.path == "/":
            return {
                "name": "n1",
                "version": {"number": "8.17.0", "build_flavor": "default"},
                "tagline": "You Know, for Search",
            }
        need(asked.path.startswith("/app-logs/"), '{"error":{"type":"index_not_found_exception"}}', 404)
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        within = asked.body["query"]["bool"]["filter"][0]["range"]["@timestamp"]
        first, last = (bisect_left(docs, _nanoseconds(within[k]), key=lambda doc: doc[0]) for k in ("gte", "lt"))
        found = [doc for doc in docs[first:last] if holds(asked.body["query"], doc[0], doc[2])]
        if asked.path.endswith("/_count"):
            return {"count": len(found), "_shards": shards}
        need(asked.path.endswith("/_search") and asked.method == "POST", "no such endpoint", 405)
        size = asked.body["size"]
        need(size <= window, f"Result window is too large, from + size must be less than or equal to: [{window}]")
        need(asked.body["sort"] == [{"@timestamp": {"order": "asc", "numeric_type": "date_nanos"}}], "parse_exception")
        (after,) = asked.body["search_after"]
        page = [doc for doc in found if doc[0] > after][:size]
        wanted = asked.body["fields"]
        hits = [
            {
                "_index": ".ds-app-logs-000001",
                "_id": name,
                "_score": None,
                "fields": {k: v for k, v in fields.items() if k in wanted},
                "sort": [at],
            }
            for at, name, fields in page
        ]
        return {"took": 3, "timed_out": False, "_shards": shards, "hits": {"max_score": None, "hits": hits}}

    return answer


# ---------------------------------------------------------------- Tempo


def _by_trace(spans: Spans) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, trace in enumerate(spans.trace_ids):
        rows[trace].append(row)
    return rows


def _parent(spans: Spans, row: int) -> str:
    return "" if spans.parent_ids[row] == "root" else spans.parent_ids[row]


def _bytes64(identity: str) -> str:
    return base64.b64encode(bytes.fromhex(identity)).decode()


def _tempo_span(spans: Spans, row: int) -> dict[str, Any]:
    start = int(spans.times[row])
    told = {
        "traceId": _bytes64(spans.trace_ids[row]),
        "spanId": _bytes64(spans.span_ids[row]),
        "name": spans.operations[row],
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(spans.durations[row])),
        "attributes": [{"key": "http.status_code", "value": {"intValue": "200"}}],
        "status": {"code": "STATUS_CODE_ERROR"} if spans.errors[row] else {},
    }
    return told | ({"parentSpanId": _bytes64(_parent(spans, row))} if _parent(spans, row) else {})


def _by_resource(spans: Spans, rows: list[int]) -> list[dict[str, Any]]:
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        batches[spans.nodes[row]].append(_tempo_span(spans, row))
    return [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"scope": {"name": "t"}, "spans": some}],
        }
        for service, some in batches.items()
    ]


def tempo(spans: Spans, *, version: int = 1) -> Answer:
    """`/api/search` and `/api/traces/ID` of Tempo 2: ids as base64, times as decimal strings. `version` 2: the trace lies within
    the answer of `/api/v2/traces/ID`, and `/api/traces/ID` is gone."""
    rows = _by_trace(spans)

    def answer(asked: Asked) -> Any:
        if asked.path == "/api/status/buildinfo":
            return {"version": "2.7.1"}
        if asked.path == "/api/echo":
            return "echo"
        if asked.path == "/api/search":
            start, end = int(asked.params["start"]), int(asked.params["end"])
            named = re.findall(r'resource\.service\.name = "((?:[^"\\]|\\.)*)"', asked.params["q"])
            need(asked.params["q"].startswith("{ "), "invalid TraceQL query: parse error")
            hits = []
            for trace, members in rows.items():
                at = min(int(spans.times[row]) for row in members)
                if start * 10**9 <= at < end * 10**9 and (not named or {spans.nodes[r] for r in members} & set(named)):
                    found = {"traceID": trace.lstrip("0"), "rootServiceName": "x", "startTimeUnixNano": str(at)}
                    hits.append({**found, "durationMs": 3, "spanSets": [{"spans": [], "matched": len(members)}]})
            metrics = {"inspectedTraces": len(rows), "inspectedBytes": "3811736", "totalBlocks": 3}
            return {"traces": hits[: int(asked.params["limit"])], "metrics": metrics}
        trace = asked.path.removeprefix(("", "/api/traces/", "/api/v2/traces/")[version]).zfill(32)
        need(trace in rows, "trace not found", 404)
        by_resource = _by_resource(spans, rows[trace])
        if version == 1:
            return {"batches": by_resource}
        return {"trace": {"resourceSpans": by_resource}, "metrics": {"inspectedBytes": "60000"}}

    return answer


# ---------------------------------------------------------------- Jaeger


def jaeger(spans: Spans, links: list[tuple[str, str]]) -> Answer:
    """`/api/services`, `/api/traces` and `/api/dependencies` of Jaeger: microseconds, processes beside the spans."""
    rows = _by_trace(spans)

    def trace(name: str) -> dict[str, Any]:
        services = sorted({spans.nodes[row] for row in rows[name]})
        processes = {f"p{i}": {"serviceName": s, "tags": []} for i, s in enumerate(services, 1)}
        told = []
        for row in rows[name]:
            parent = _parent(spans, row)
            tags = [{"key": "internal.span.format", "type": "string", "value": "otlp"}]
            tags += [{"key": "error", "type": "bool", "value": True}] if spans.errors[row] else []
            told.append(
                {
                    "traceID": name,
                    "spanID": spans.span_ids[row],
                    "operationName": spans.operations[row],
                    "references": [{"refType": "CHILD_OF", "traceID": name, "spanID": parent}] if parent else [],
                    "startTime": int(spans.times[row]) // 1000,
                    "duration": int(spans.durations[row]) // 1000,
                    "tags": tags,
                    "logs": [],
                    "processID": f"p{services.index(spans.nodes[row]) + 1}",
                    "warnings": None,
                }
            )
        return {"traceID": name, "spans": told, "processes": processes, "warnings": None}

    def answer(asked: Asked) -> Any:
        more = {"total": 0, "limit": 0, "offset": 0, "errors": None}
        match asked.path.removeprefix("/api/"):
            case "services":
                return {"data": sorted(set(spans.nodes)), **more}
            case "dependencies":
                need(len(asked.params["endTs"]) == 13 and int(asked.params["lookback"]) > 0, "unable to parse param")
                return {"data": [{"parent": a, "child": b, "callCount": 7} for a, b in links], **more}
            case "traces":
                need(asked.params.get("service"), "parameter 'service' is required")
                start, end = int(asked.params["start"]), int(asked.params["end"])
                found = []
                for name, members in rows.items():
                    at = min(int(spans.times[row]) for row in members) // 1000
                    if start <= at <= end and asked.params["service"] in {spans.nodes[row] for row in members}:
                        found.append((at, name))
                return {"data": [trace(name) for _, name in sorted(found)[-int(asked.params["limit"]) :]], **more}
        raise Refusal(404, "404 page not found")

    return answer
