"""aiops seen by a real Prometheus, by whoever reads its log, and by a collector of traces."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aiops.service import metrics

import servers
from conftest import needed
from servers.listening import listening

pytest.importorskip("opentelemetry.proto")

CHECKOUT = Path(__file__).parents[2]
DASHBOARDS = {
    p.stem: json.loads(p.read_text()) for p in sorted((CHECKOUT / "deploy/grafana/dashboards").glob("*.json"))
}
AIOPS = [sys.executable, "-c", "from aiops.cli import main; main()"]
STAGES = {"scope", "observe", "detect", "link", "rank", "prescribe", "explain", "keep", "remember"}
SECRET = "hunter2hunter2"
EXTERNAL = "https://aiops.example/sub"
# What these pages do not name: Prometheus' own metrics, and what needs a minute of warming.
LATER = {"up", "ALERTS", "aiops_anomaly_score"}


def until(seen: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if found := seen():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


@dataclass
class Collector:
    """Takes OTLP over HTTP."""

    spans: list[tuple[dict[str, str], Any]] = field(default_factory=list)  # (about the resource, the span)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def collecting() -> Iterator[tuple[str, Collector]]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            told = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            taken.headers.append({k.lower(): v for k, v in self.headers.items()})
            for group in told.resource_spans:
                about = {a.key: a.value.string_value for a in group.resource.attributes}
                taken.spans += [(about, span) for scope in group.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        yield url, taken


@dataclass
class Seen:
    """What was there to see once one diagnosis was made."""

    diagnosis: str
    pages: str  # of aiops serve and aiops watch
    prometheus: str
    log: list[str]
    collector: Collector


def config(*targets: tuple[str, int]) -> str:
    jobs = "".join(
        f"  - job_name: {name}\n    honor_labels: true\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        for name, port in targets
    )
    rules = f"rule_files: ['{CHECKOUT}/rules/prometheus/*.yaml']"
    return f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{rules}\nscrape_configs:\n{jobs}"


@contextmanager
def running(log: Path, *words: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    quiet = {"AIOPS_MODEL__URL": "", "AIOPS_CHAT__URL": "", "NO_PROXY": "*"}
    with log.open("ab") as out:
        process = subprocess.Popen([*AIOPS, *words], stdout=out, stderr=out, env={**os.environ, **quiet, **env})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def seen(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("seen")
    serve, watch = servers.free_port(), servers.free_port()
    log = folder / "log"
    (folder / "token").write_text(SECRET)
    with ExitStack() as stack:
        url, collector = stack.enter_context(collecting())
        words = ["serve", "--listen", f"127.0.0.1:{serve}", "--home", str(folder / "home"), "--metrics"]
        told = {"AIOPS_SERVICE__EXTERNAL_URL": EXTERNAL}
        traced = told | {"AIOPS_TRACE__URL": url, "AIOPS_TRACE__TOKEN_FILE": str(folder / "token")}
        stack.enter_context(running(log, *words, f"case:{demo_case}", **traced))
        with needed():
            targets = config(("aiops", serve), ("aiops-watch", watch))
            prometheus = stack.enter_context(servers.prometheus(folder / "data", targets))
        watched = ["watch", "--listen", f"127.0.0.1:{watch}", "--home", str(folder / "watch"), "--select", "up"]
        stack.enter_context(
            running(folder / "watch.log", *watched, "--step", "1s", "--metrics", f"prometheus+{prometheus.url}")
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{serve}", trust_env=False, timeout=60) as client:
            until(lambda: client.get("/healthz").is_success, "serve")
            alert = {"labels": {"alertname": "Slow"}, "annotations": {"summary": f"password={SECRET}"}}
            noticed_s = json.loads((demo_case / "case.json").read_text())["detection_time"]
            noticed = datetime.fromtimestamp(noticed_s, UTC).isoformat()
            alerts = [{**alert, "status": "firing", "startsAt": noticed, "fingerprint": "1"}]
            body = {"version": "4", "groupKey": "g", "receiver": "r", "status": "firing", "alerts": alerts}
            taken = client.post("/v1/webhooks/alertmanager", json=body)
            assert taken.status_code == 202, taken.text
            one = taken.json()["diagnoses"][0]["id"]
            ended = {"done", "inconclusive", "failed"}
            until(lambda: client.get(f"/v1/diagnoses/{one}").json()["status"] in ended, "diagnosed")
            told = client.get("/metrics").text
        watching = f"http://127.0.0.1:{watch}/metrics"

        def ticked() -> str:
            """Its page, once it has evaluated something."""
            page = httpx.get(watching, trust_env=False).text
            return page if "aiops_watch_series{" in page else ""

        told += until(ticked, "watch")
        query = {"query": 'count(up{job=~"aiops.*"} == 1) == 2 and on () sum(aiops_diagnoses_total) > 0'}
        query["query"] += " and on () count(aiops_watch_series) > 0"
        api = f"{prometheus.url}/api/v1/query"
        until(lambda: httpx.get(api, params=query, trust_env=False).json()["data"]["result"], "scraped")
        until(lambda: any(span.name == "diagnosis" for _, span in collector.spans), "traced")
        yield Seen(one, told, prometheus.url, log.read_text().splitlines(), collector)


# ---------------------------------------------------------------- figures


def exposed(pages: str) -> set[str]:
    """The names of all series that the pages' families can have."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", pages, re.MULTILINE))
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for name, kind in kinds.items() for ending in endings.get(kind, ("",))}


def named(expression: str) -> set[str]:
    """The metrics that an expression reads, but for what our own rules record."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\b(?:by|on|without|ignoring) ?\([^)]*\)|\[[^\]]*\]', " ", expression)
    words = set(re.findall(r"(?<![\w:])[a-zA-Z_][\w:]*(?! ?\()\b(?! *\()", bare))
    return {word for word in words if ":" not in word} - {"and", "or", "unless", "by", "on"}


def dashboards() -> list[str]:
    """Every expression once: of panels, of marks in them, and of variables that are results of queries."""
    asked: dict[str, None] = {}
    for board in DASHBOARDS.values():
        for panel in board["panels"]:
            asked |= dict.fromkeys(target["expr"] for target in panel.get("targets", ()))
        asked |= dict.fromkeys(mark["expr"] for mark in board["annotations"]["list"] if "expr" in mark)
        queries = [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
        asked |= dict.fromkeys(q[len("query_result(") : -1] for q in queries if q.startswith("query_result("))
    return list(asked)


def alerting() -> list[str]:
    files = (CHECKOUT / "rules/prometheus").glob("*.yaml")
    groups = [g for file in files if file.name != "example.yaml" for g in yaml.safe_load(file.read_text())["groups"]]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expression", dashboards())
def test_prometheus_answers_the_dashboards(seen: Seen, expression: str) -> None:
    asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    assert "$" not in asked
    reply = httpx.get(f"{seen.prometheus}/api/v1/query", params={"query": asked}, trust_env=False).json()
    assert reply["status"] == "success", reply


@pytest.mark.parametrize("expression", [*dashboards(), *alerting()])
def test_every_metric_that_is_named_is_exposed(seen: Seen, expression: str) -> None:
    assert named(expression) or ":" in expression
    assert named(expression) <= exposed(seen.pages) | LATER


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_first_row_of_a_dashboard_has_data(seen: Seen, name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    first = [t["expr"] for panel in panels if panel["gridPos"]["y"] == 1 for t in panel["targets"]]
    assert len(first) == 6
    for expression in first:
        query = {"query": expression.replace("$instance", ".*")}

        def answered(query: dict[str, str] = query) -> Any:
            # An increase has no value before the second scrape.
            reply = httpx.get(f"{seen.prometheus}/api/v1/query", params=query, trust_env=False).json()
            return reply["data"]["result"]

        assert until(answered, expression)


def test_links_of_dashboards_lead_to_us(seen: Seen) -> None:
    """The variable that they begin with is what aiops says of itself to Prometheus."""
    (variable,) = [v for v in DASHBOARDS["aiops-on-call"]["templating"]["list"] if v["name"] == "external_url"]
    query = {"query": variable["query"]["query"].removeprefix("query_result(")[:-1]}
    pattern = re.compile(variable["regex"].strip("/"))

    def told() -> set[str]:
        rows = httpx.get(f"{seen.prometheus}/api/v1/query", params=query, trust_env=False).json()["data"]["result"]
        # As Grafana writes a row before the pattern is sought in it.
        lines = [f"{{{','.join(f'{k}={json.dumps(v)}' for k, v in row['metric'].items())}}} 1 1" for row in rows]
        return {found[1] for line in lines if (found := pattern.search(line))}

    assert told() == {EXTERNAL}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(x, y) for p in panels for x, y in _cells(**p["gridPos"])]
    assert len(set(cells)) == len(cells), "panels overlap"
    for panel in panels:
        assert panel["title"]
        targets = panel.get("targets", [])
        assert bool(targets) == (panel["type"] not in {"row", "annolist"})
        assert [t["refId"] for t in targets] == [chr(65 + i) for i in range(len(targets))]


def _cells(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, line) for column in range(x, x + w) for line in range(y, y + h))


def test_the_time_of_each_stage_is_told(seen: Seen) -> None:
    counts = re.findall(r'^aiops_stage_seconds_count\{stage="(\w+)"\} (\d+)$', seen.pages, re.MULTILINE)
    assert {stage for stage, _ in counts} == STAGES
    assert {count for _, count in counts} == {"1"}


def test_the_page_pleases_promtool(seen: Seen) -> None:
    done = subprocess.run(
        [str(servers.binary("promtool")), "check", "metrics"],
        input=seen.pages.partition("# HELP aiops_watch")[0],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error" not in (done.stdout + done.stderr).lower()


def test_every_figure_is_explained_once() -> None:
    families = [*metrics.COUNTERS, *metrics.HISTOGRAMS, *metrics.GAUGES]
    assert len(set(families)) == len(families)


# ---------------------------------------------------------------- log


def test_the_log_is_json_and_says_which_diagnosis(seen: Seen) -> None:
    lines = [json.loads(line) for line in seen.log if line.startswith("{")]
    assert lines
    for line in lines:
        assert (
            {"at", "level", "logger", "message"}
            <= line.keys()
            <= {"at", "level", "logger", "message", "diagnosis", "error"}
        )
    ours = [line for line in lines if line["logger"].startswith("aiops")]
    assert seen.diagnosis in {line.get("diagnosis") for line in ours}


def test_what_is_no_json_is_for_people(seen: Seen) -> None:
    rest = [line for line in seen.log if not line.startswith("{")]
    assert all(line.startswith("aiops ") for line in rest), rest


def test_no_secret_is_logged_or_traced(seen: Seen) -> None:
    assert SECRET not in "\n".join(seen.log)
    assert SECRET not in repr([str(span) for _, span in seen.collector.spans])


# ---------------------------------------------------------------- traces


def test_a_diagnosis_is_one_trace_with_a_span_for_each_stage(seen: Seen) -> None:
    spans = {span.name: span for _, span in seen.collector.spans}
    assert spans.keys() == STAGES | {"diagnosis"}
    root = spans["diagnosis"]
    assert not root.parent_span_id
    for name, span in spans.items():
        assert {a.key: a.value.string_value for a in span.attributes} == {"aiops.diagnosis.id": seen.diagnosis}
        assert span.trace_id == root.trace_id
        assert (
            root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
        )
        assert name == "diagnosis" or span.parent_span_id
    (about,) = {tuple(sorted(about.items())) for about, _ in seen.collector.spans}
    assert dict(about)["service.name"] == "aiops"
    assert {headers["authorization"] for headers in seen.collector.headers} == {f"Bearer {SECRET}"}


def test_nothing_of_opentelemetry_is_imported_when_it_is_off() -> None:
    code = """
import sys
from aiops.service import api, server, tracing, worker
with tracing.watching("", "me") as watchers:
    assert watchers == ()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])  # FastAPI has the rest
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_collector_that_is_away_costs_no_diagnosis() -> None:
    from aiops import telemetry
    from aiops.service import tracing

    began = time.monotonic()
    url = f"http://127.0.0.1:{servers.free_port()}"
    with tracing.watching(url, "me") as watchers, telemetry.diagnosis("0f3c", *watchers), telemetry.stage("rank"):
        pass
    assert time.monotonic() - began < 30  # the exporter by itself would try for a minute
