"""`aiops watch` between a real Prometheus and a real Prometheus: it reads from it, is scraped by it, and its alert fires."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from flows.system import assert_same, known
from service.conftest import serving

import aiops
from aiops import app, settings
from aiops.cli import run as command
from aiops.flows.watch import Plan, Watch
from aiops.ports import MetricsSource
from aiops.service import scores as of_the_page

import servers
from conftest import needed
from servers.listening import listening

CHECKOUT = Path(__file__).parents[2]
FILE = "watch.npz"
RULES = CHECKOUT / "rules" / "prometheus" / "watch.yaml"
HISTORY_S = 900
SELECT = "load"
AIOPS = [sys.executable, "-c", "from aiops.cli import main; main()"]


def value(instance: str, at: int) -> float:
    """What a machine's load is at a second."""
    return 10 + random.Random(f"{instance}{at}").gauss(0, 1)


@dataclass
class Machine:
    """A scrape target with two loads, to one of which something may happen."""

    url: str = ""
    added: dict[str, float] = field(default_factory=dict)

    def page(self) -> str:
        now = int(time.time())
        lines = [
            f'load{{instance="{name}",path="a\\"b\\\\c"}} {value(name, now) + self.added.get(name, 0)}'
            for name in ("a", "b")
        ]
        return "\n".join([*lines, f"seen_total {now}\n"])


@contextmanager
def machine() -> Iterator[Machine]:
    target = Machine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = target.page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as target.url:
        yield target


def history(data: Path) -> None:
    """What the machine showed until now, as a block, so that nothing has to warm up."""
    now = int(time.time())
    lines = ["# TYPE load gauge"]
    for name in ("a", "b"):
        labels = f'load{{instance="{name}",job="machine",path="a\\"b\\\\c"}}'
        lines += [f"{labels} {value(name, at)} {at}" for at in range(now - HISTORY_S, now)]
    data.mkdir(parents=True)
    (data / "history.om").write_text("\n".join([*lines, "# EOF\n"]))
    servers.promtool("tsdb", "create-blocks-from", "openmetrics", str(data / "history.om"), str(data))


def config(target: str, watch_port: int) -> str:
    jobs = "".join(
        f"  - job_name: {name}\n    honor_labels: true\n    static_configs: [{{targets: ['{address}']}}]\n"
        for name, address in (("machine", target.removeprefix("http://")), ("aiops", f"127.0.0.1:{watch_port}"))
    )
    return f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{RULES}']\nscrape_configs:\n{jobs}"


@contextmanager
def watching(url: str, home: Path, port: int = 0, *more: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        *AIOPS,
        "watch",
        "--metrics",
        f"prometheus+{url}",
        "--select",
        SELECT,
        "--step",
        "1s",
    ]
    command += ["--listen", f"127.0.0.1:{port}", "--home", str(home), *more]
    home.mkdir(exist_ok=True)
    with (home / "log").open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **env})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(seen: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if found := seen():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


def ask(url: str, path: str, **params: str) -> Any:
    return httpx.get(f"{url}{path}", params=params, trust_env=False, timeout=60).json()["data"]


@contextmanager
def anomalies(url: str, home: Path) -> Iterator[tuple[Callable[[], str], MetricsSource]]:
    """The page of what is unusual now, of a server that asks that Prometheus, and what it asks."""
    with aiops.connect(f"prometheus+{url}", home=str(home), flags={"model.url": ""}) as ops, serving(ops) as client:
        yield lambda: client.get("/anomalies").text, ops.sources.metrics


def test_the_example_rules_are_valid() -> None:
    with needed():
        assert "SUCCESS: 5 rules found" in servers.promtool("check", "rules", str(RULES))


def test_an_anomaly_raises_the_score_and_the_alert_fires(tmp_path: Path) -> None:
    with needed(), machine() as target:
        history(tmp_path / "data")
        home, port = tmp_path / "home", servers.free_port()
        with ExitStack() as stack:
            prometheus = stack.enter_context(servers.prometheus(tmp_path / "data", config(target.url, port)))
            shown, source = stack.enter_context(anomalies(prometheus.url, tmp_path / "served"))
            assert "The watch exposes no series" in shown()
            process = stack.enter_context(
                watching(prometheus.url, home, port, "--forecast", "load", "--select", "sum(load)")
            )
            own = f"http://127.0.0.1:{port}"
            until(lambda: httpx.get(f"{own}/readyz", trust_env=False).status_code == 200, "ready")

            def scores() -> dict[str, float]:
                found = ask(prometheus.url, "/api/v1/query", query="aiops_anomaly_score")["result"]
                # What has no instance gets that of the scrape.
                names = [one["metric"]["instance" if one["metric"]["metric"] == "load" else "metric"] for one in found]
                return {name: float(one["value"][1]) for name, one in zip(names, found, strict=True)}

            until(lambda: set(scores()) == {"a", "b", "sum(load)"}, "scores in Prometheus")
            (told,) = ask(prometheus.url, "/api/v1/query", query='aiops_anomaly_score{instance="a"}')["result"]
            assert told["metric"] == {
                "__name__": "aiops_anomaly_score",
                "instance": "a",
                "job": "machine",
                "metric": "load",
                "path": 'a"b\\c',
            }
            bands = 'count(aiops_forecast{quantile="0.025"} < on(instance) group_left aiops_forecast{quantile="0.975"})'
            until(lambda: ask(prometheus.url, "/api/v1/query", query=bands)["result"], "forecasts in Prometheus")
            inside = (
                'load{instance="a"} > on(instance) aiops_forecast{quantile="0.025"} '
                'and on(instance) (load{instance="a"} < on(instance) aiops_forecast{quantile="0.975"})'
            )
            until(lambda: ask(prometheus.url, "/api/v1/query", query=inside)["result"], "a load within its forecast")
            quiet = {name for name, score in scores().items() if score < 1 and name in {"a", "b"}}
            victim = max(quiet, default="b")
            target.added[victim] = 100.0

            def firing() -> bool:
                alerts = ask(prometheus.url, "/api/v1/alerts")["alerts"]
                return any(
                    a["labels"]["alertname"] == "SeriesIsUnusual"
                    and a["labels"].get("instance") == victim
                    and a["labels"]["metric"] == "load"
                    and a["state"] == "firing"
                    for a in alerts
                )

            until(firing, "the alert")
            row = f'<code>{{instance="{victim}",job="machine",metric="load",path="a\\"b\\\\c"}}</code>'
            until(lambda: row in unescape(shown()), "the page tells of it")
            raised = f'max_over_time(aiops_anomaly_score{{instance="{victim}"}}[10m]) > 1'
            assert ask(prometheus.url, "/api/v1/query", query=raised)["result"]
            page = httpx.get(f"{own}/metrics", trust_env=False).text
            assert servers_check(page) == ""
            lag = float(re.findall(r"^aiops_watch_lag_seconds\{.*\} (.*)$", page, re.MULTILINE)[0])
            assert lag < 120
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
            # As the page would have it when its last minute is over.
            later = timedelta(minutes=2)
            until(
                lambda: of_the_page.standing(source, datetime.now(UTC) + later).heard, "the watch is known to be silent"
            )
        assert (home / FILE).exists()


def servers_check(page: str) -> str:
    """What promtool finds wrong with a page of metrics, but for its advice on style."""
    done = subprocess.run(
        [str(servers.binary("promtool")), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join(line for line in lines if "error" in line.lower())


def test_killed_and_started_again_it_knows_what_it_would_have_known(tmp_path: Path) -> None:
    with needed(), machine() as target:
        history(tmp_path / "data")
        with servers.prometheus(tmp_path / "data", config(target.url, servers.free_port())) as prometheus:
            one, other = tmp_path / "one", tmp_path / "other"

            def saved(home: Path) -> bool:
                return (home / FILE).exists()

            with watching(prometheus.url, one, AIOPS_WATCH__SAVE_S="1") as process:
                until(lambda: saved(one), "saved")
                process.send_signal(signal.SIGTERM)
                assert process.wait(120) == 0
            shutil.copytree(one, other, ignore=shutil.ignore_patterns("log"))
            with watching(prometheus.url, one) as whole:
                with watching(prometheus.url, other, AIOPS_WATCH__SAVE_S="1") as killed:
                    before = (other / FILE).stat().st_mtime_ns
                    until(lambda: (other / FILE).stat().st_mtime_ns > before, "saved again")
                    killed.kill()
                    killed.wait()
                with watching(prometheus.url, other) as again:
                    until(lambda: (other / "log").read_text().count("aiops watch tells") == 2, "started again")
                    time.sleep(1)
                    again.send_signal(signal.SIGTERM)
                    assert again.wait(120) == 0
                whole.send_signal(signal.SIGTERM)
                assert whole.wait(120) == 0
            watched = []
            now = time.time()
            later = f"min(timestamp({SELECT})) > {now}"  # so that no scrape is under way between the two that look
            until(lambda: ask(prometheus.url, "/api/v1/query", query=later)["result"], "scraped once more")
            for home in (one, other):
                with app.metrics(
                    settings.load({"sources.metrics": f"prometheus+{prometheus.url}"}, str(home))
                ) as source:
                    watch = Watch(source, Plan(queries=(SELECT,), step_s=1), home / FILE, now)
                    assert watch.tally.errors == {"metrics": 0, "state": 0}
                    watch.tick(now)
                    watched.append(watch)
    assert len(known(watched[0])) == 2
    assert_same(*watched)


def test_a_second_watch_of_a_home_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    with watching("http://127.0.0.1:9", home) as first:
        until(lambda: "refused" in (home / "log").read_text(), "the first runs, though nobody answers")
        assert command(["watch", "--metrics", "prometheus+http://127.0.0.1:9", "--home", str(home)]) == 4
        assert f"another aiops watch (process {first.pid})" in capsys.readouterr().err
        first.send_signal(signal.SIGTERM)
        assert first.wait(120) == 0
