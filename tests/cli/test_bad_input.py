"""What goes wrong outside: each bad input gives one clear line or a report with gaps, its exit code, and no traceback."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., Any]
SYMPTOM = ("--symptom", "checkout", "--at", "2026-01-31T12:00:00Z")


# ---------------------------------------------------------------- a Prometheus that misbehaves


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # the client hangs up on purpose

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"prometheus+http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def says(status: int, body: bytes, kind: str = "application/json") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def dawdles(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def hangs_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def goes_in_circles(request: BaseHTTPRequestHandler) -> None:
    request.send_response(302)
    request.send_header("Location", request.path)
    request.send_header("Content-Length", "0")
    request.end_headers()


OK = b'{"status": "success", "data": %s}'
GARBAGE = {
    "html": says(200, b"<html>sign in</html>", "text/html"),
    "no json": says(200, b'{"status": "succ'),
    "not utf-8": says(200, b'{"status": "\xff"}'),
    "another json": says(200, b"[1, 2]"),
    "null data": says(200, OK % b"null"),
    "another type": says(200, OK % b'{"resultType": "scalar", "result": [1, "1"]}'),
    "no numbers": says(200, OK % b'{"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "x"]]}]}'),
    "an error of its own": says(400, b'{"status": "error", "errorType": "bad_data", "error": "parse error"}'),
    "unauthorized": says(401, b"who are you?"),
    "forbidden": says(403, b"not you"),
    "not found": says(404, b"404 page not found"),
    "server error": says(500, b"oops"),
    "starting": says(503, b"Service Unavailable"),
    "a proxy's page": says(502, b"<html>bad gateway</html>", "text/html"),
    "hangs up": hangs_up,
    "redirects for ever": goes_in_circles,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_prometheus_that_answers_garbage(run: Run, kind: str) -> None:
    with answering(GARBAGE[kind]) as url:
        told = run("diagnose", "--metrics", url, *SYMPTOM)
    assert told.code == 3, told
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "127.0.0.1" in told.err


def knows_no_series(request: BaseHTTPRequestHandler) -> None:
    queried = "/query" in request.path
    says(200, OK % (b'{"resultType": "matrix", "result": []}' if queried else b"[]"))(request)


def test_a_prometheus_without_any_series_is_inconclusive(run: Run) -> None:
    with answering(knows_no_series) as url:
        told = run("diagnose", "--metrics", url, *SYMPTOM, "--format", "json")
    assert told.code == 1
    assert json.loads(told.out)["verdict"] == "inconclusive"


def test_a_prometheus_that_is_down(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets this port
        told = run("diagnose", "--metrics", f"prometheus+http://127.0.0.1:{taken.getsockname()[1]}", *SYMPTOM)
    assert told.code == 3
    assert "127.0.0.1" in told.err


def test_a_prometheus_that_is_slow(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_DIAGNOSIS__DEADLINE_S", "1")
    with answering(dawdles) as url:
        told = run("diagnose", "--metrics", url, *SYMPTOM)
    assert told.code == 3


def test_a_name_nobody_knows(run: Run) -> None:
    told = run("diagnose", "--metrics", "prometheus+http://prometheus.invalid:9090", *SYMPTOM)
    assert told.code == 3
    assert "prometheus.invalid" in told.err


# ---------------------------------------------------------------- a recorded incident that is damaged


@pytest.fixture
def case(tmp_path: Path, demo_case: Path) -> Path:
    copy = tmp_path / "case"
    shutil.copytree(demo_case, copy)
    return copy


def gaps(told: Any) -> str:
    assert told.code in {0, 1}, told
    return json.dumps(json.loads(told.out)["gaps"])


@pytest.mark.parametrize("file", ["logs.parquet", "traces.parquet", "topology.json"])
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_one_damaged_file_is_a_gap(run: Run, case: Path, file: str, damage: str) -> None:
    whole = (case / file).read_bytes()
    (case / file).write_bytes({"cut": whole[: len(whole) // 2], "noise": b"\x00\xff" * 500, "empty": b""}[damage])
    assert file in gaps(run("diagnose", "--case", case, "--format", "json"))


def test_damaged_metrics_are_an_error_that_names_the_file(run: Run, case: Path) -> None:
    (case / "metrics.parquet").write_bytes(b"PAR1 and then nothing")
    told = run("diagnose", "--case", case)
    assert told.code == 3
    assert "metrics.parquet" in told.err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"detection_time": "noon"}', "\x00", '{"detection_time": 1e30}'])
def test_a_case_json_that_is_none(run: Run, case: Path, text: str) -> None:
    (case / "case.json").write_text(text)
    told = run("diagnose", "--case", case)
    assert told.code == 2
    assert "case.json" in told.err


def rewrite(case: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    table = pq.read_table(case / "metrics.parquet")
    columns = {
        name: table.column(name) if name in {"time", "phase"} else pa.array(change(name, table.column(name).to_numpy()))
        for name in table.column_names
    }
    pq.write_table(pa.table(columns), case / "metrics.parquet")


def test_series_of_nothing_but_nan(run: Run, case: Path) -> None:
    rewrite(case, lambda _, values: np.full(len(values), np.nan))
    for lost in ("logs.parquet", "traces.parquet"):
        (case / lost).unlink()
    told = run("diagnose", "--case", case, "--format", "json")
    assert told.code == 1
    assert json.loads(told.out)["verdict"] == "inconclusive"


def test_constant_series(run: Run, case: Path) -> None:
    rewrite(case, lambda _, values: np.full(len(values), 7.0))
    for lost in ("logs.parquet", "traces.parquet"):
        (case / lost).unlink()
    told = run("diagnose", "--case", case, "--format", "json")
    assert told.code == 1
    assert json.loads(told.out)["anomalies"] == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 0.0])
def test_one_odd_series_beside_good_ones(run: Run, case: Path, value: float) -> None:
    names = [n for n in pq.read_schema(case / "metrics.parquet").names if n not in {"time", "phase"}]
    rewrite(case, lambda name, values: np.full(len(values), value) if name == names[0] else values)
    assert run("diagnose", "--case", case, "--format", "json").code in {0, 1}


def test_a_cause_that_no_known_path_ties_to_the_symptom_leaves_a_gap(run: Run, case: Path) -> None:
    topology = json.loads((case / "topology.json").read_text())
    (case / "topology.json").write_text(json.dumps(topology | {"edges": [["an-island", "its-beach"]]}))
    (case / "traces.parquet").unlink()
    told = run("diagnose", "--case", case, "--format", "json")
    path = json.loads(told.out)["root_causes"][0]["path"]
    assert [edge["source"] for edge in path] == ["learned"]
    assert f"how {path[0]['from']} reaches the entry" in gaps(told)


def test_everything_anomalous_at_once_is_told_in_three_candidates_at_most(run: Run, case: Path) -> None:
    phase = pq.read_table(case / "metrics.parquet").column("phase").to_pylist()
    during = np.array([each == "incident" for each in phase])
    assert during.any()
    rewrite(case, lambda _, values: np.where(during, values * 50 + 50, values))
    told = run("diagnose", "--case", case, "--format", "json")
    report = json.loads(told.out)
    assert told.code == (0 if report["verdict"] == "found" else 1)
    assert len(report["root_causes"]) <= 3
    assert sum(cause["score"] for cause in report["root_causes"]) <= 1 + 1e-9
    assert len(report["anomalies"]) <= 40


def test_a_graph_that_only_loops_and_repeats_itself(run: Run, case: Path) -> None:
    topology = json.loads((case / "topology.json").read_text())
    edges = topology["edges"]
    nodes = sorted({end for edge in edges for end in edge[:2]})
    plain = json.loads(run("diagnose", "--case", case, "--format", "json").out)
    topology["edges"] = [*edges, *edges, *([node, node] for node in nodes)]
    (case / "topology.json").write_text(json.dumps(topology))
    odd = json.loads(run("diagnose", "--case", case, "--format", "json").out)
    assert odd["root_causes"] == plain["root_causes"]


# ---------------------------------------------------------------- questions without an answer


def test_a_symptom_that_is_not_in_the_graph(run: Run, demo_case: Path) -> None:
    told = run("diagnose", "--case", demo_case, "--symptom", "nobody-knows-me", "--format", "json")
    assert told.code in {0, 1}
    assert json.loads(told.out)["symptom"]["service"] == "nobody-knows-me"


@pytest.mark.parametrize("name", ["a" * 10_000, "x{y='z'}", '"', "../../etc", "名前", "\x1b[31m", "-rf"])
def test_a_symptom_of_any_text(run: Run, demo_case: Path, name: str) -> None:
    told = run("diagnose", "--case", demo_case, "--symptom", name, "--format", "json")
    assert told.code in {0, 1}


@pytest.mark.parametrize(
    "at", ["1970-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_without_data(run: Run, demo_case: Path, at: str) -> None:
    told = run("diagnose", "--case", demo_case, "--at", at)
    assert told.code in {1, 2}
    assert told.err or told.out


@pytest.mark.parametrize("now", ["1970-01-01T00:00:00Z", "2261-12-31T23:59:59Z"])
def test_a_question_at_the_edge_of_time(run: Run, demo_case: Path, now: str) -> None:
    words = "compare the latency of ts-order-service with 52 weeks ago"
    told = run("ask", words, "--now", now, "--metrics", f"case:{demo_case}")
    assert told.code == 1
    assert told.out.startswith("No samples of PodServerLatencyP99_s of ts-order-service")


def test_an_empty_time_range(run: Run, demo_case: Path) -> None:
    empty = "{start: '2026-01-31T12:00:00Z', end: '2026-01-31T12:00:00Z'}"
    Path("task.yaml").write_text(f"task_id: abcd\nintent: diagnose\ninputs:\n  window: {empty}\n", encoding="utf-8")
    told = run("run", "task.yaml", "--metrics", f"case:{demo_case}")
    assert told.code == 2
    assert "window" in told.err


@pytest.mark.parametrize("labels", [{}, {"alertname": "X"}, {"alertname": "X", "service": "unknown-service"}])
def test_an_alert_without_severity_annotations_or_known_service(
    run: Run, demo_case: Path, labels: dict[str, str]
) -> None:
    from aiops.adapters.case import CaseMetrics

    at = CaseMetrics(demo_case).symptom().at
    assert at
    Path("alert.json").write_text(json.dumps({"labels": labels, "startsAt": at.isoformat()}), encoding="utf-8")
    told = run("diagnose", "--alert", "alert.json", "--metrics", f"case:{demo_case}", "--format", "json")
    assert told.code in {0, 1}


@pytest.mark.parametrize("text", ["", "{", "[]", "no alert", '{"version": "4"}', '{"labels": {}, "startsAt": "noon"}'])
def test_a_file_that_holds_no_alert(run: Run, demo_case: Path, text: str) -> None:
    Path("alert.json").write_text(text, encoding="utf-8")
    told = run("diagnose", "--alert", "alert.json", "--metrics", f"case:{demo_case}")
    assert told.code == 2
    assert "alert.json" in told.err


@pytest.mark.parametrize("text", ["", "[]", "intent: dig", "task_id: A", "a: &x [*x]", "\t", "{" * 10_000])
def test_a_file_that_holds_no_task(run: Run, demo_case: Path, text: str) -> None:
    Path("task.yaml").write_text(text, encoding="utf-8")
    told = run("run", "task.yaml", "--metrics", f"case:{demo_case}")
    assert told.code == 2
    assert "task.yaml" in told.err
