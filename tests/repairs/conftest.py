"""A shop with something to repair, a Prometheus that watches it, and houses that may repair it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiops
from aiops import resources
from aiops.domain import (
    Actor,
    Anomaly,
    CausalPath,
    Direction,
    Evidence,
    Intent,
    Logs,
    Observation,
    Panel,
    Recording,
    Remediation,
    Report,
    RootCause,
    Scope,
    Spans,
    Symptom,
    Task,
    TimeRange,
    Verdict,
)
from aiops.flows.repair import Repairs
from aiops.ops import Ops
from aiops.recording import pack
from aiops.schema import wire

import servers
from conftest import needed

HERE = Path(__file__).parent
PATIENCE_S = 240.0
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

SCALE = """
title: Run with more replicas
owner: shop
mode: {mode}
match: {{faults: [cpu]}}
parameters:
  node: {{kind: name, from: node}}
  replicas: {{kind: integer, least: 1, most: 20, default: '4'}}
act:
  action: {{verb: http.call, with: {{target: shop, method: PUT, path: '/{{node}}/replicas', body: '{{"replicas": {{replicas}}}}'}}}}
undo:
  action: {{verb: http.call, with: {{target: shop, method: PUT, path: '/{{node}}/replicas', body: '{{"replicas": 1}}'}}}}
before: [{{query: 'last_over_time(shop_replicas{{service="{{node}}"}}[5m])', holds: '< 20'}}]
effect: {{query: '{effect}', holds: '>= 0', within: {within}}}
blast: {{targets: 9}}
cool_down: 1s
tests: [{{given: {{fault: cpu, node: cart}}, words: [http.call]}}]
"""
GROWN = 'last_over_time(shop_replicas{service="{node}"}[5m]) - {replicas}'
STEPS = """
title: Recycle in steps
owner: shop
match: {{faults: [cpu]}}
parameters: {{node: {{kind: name, from: node}}}}
act: {{script: {{argv: [python3, steps.py, '{{node}}'], files: {{steps.py: 'sha256:{digest}'}}, verbs: [http.call]}}}}
dry_run: {{script: {{argv: [python3, steps.py, '{{node}}'], files: {{steps.py: 'sha256:{digest}'}}}}}}
undo: {{nothing: the pool opens connections by itself}}
effect: {{query: vector(1), holds: '== 1'}}
blast: {{targets: 9}}
cool_down: 1s
mends: false
tests: [{{given: {{fault: cpu, node: cart}}, words: [python3]}}]
"""
STEPS_PY = """
import json, socket, sys, time

for step in ("one", "two", "three"):
    with socket.socket(socket.AF_UNIX) as door:
        door.connect("/run/aiops.sock")
        told = {"target": "shop", "method": "POST", "path": f"/{sys.argv[1]}/{step}"}
        door.sendall(json.dumps({"verb": "http.call", "with": told}).encode() + b"\\n")
        answer = json.loads(door.makefile().readline())
    print(step, answer["status"], answer["why"], flush=True)
    if answer["status"] != "ok":
        sys.exit(1)
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class Shop:
    port: int
    log: Path

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    port, log = servers.free_port(), tmp_path_factory.mktemp("shop") / "log"
    with subprocess.Popen([sys.executable, str(HERE / "shop.py"), str(port), str(log)]) as process:
        try:
            until(lambda: servers.listens(port), "the shop opens")
            yield Shop(port, log)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def watched(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that has seen the shop."""
    config = f"""
global: {{scrape_interval: 500ms}}
scrape_configs:
  - {{job_name: shop, honor_labels: true, static_configs: [{{targets: ['127.0.0.1:{shop.port}']}}]}}
"""
    with needed(), servers.prometheus(tmp_path_factory.mktemp("watched"), config) as server:
        query = f"{server.url}/api/v1/query?query=last_over_time(shop_replicas[5m])"

        def scraped() -> bool:
            """At the beginning of this second, for which checks ask."""
            return (
                "shop_replicas"
                in urllib.request.urlopen(f"{query}&time={int(time.time())}", timeout=30).read().decode()
            )

        until(scraped, "the shop is scraped")
        yield f"prometheus+{server.url}"


@dataclass(frozen=True)
class Place:
    """A home directory and rules of its own."""

    home: Path
    rules: Path
    flags: dict[str, str]

    @contextlib.contextmanager
    def open(self, **flags: str) -> Iterator[Ops]:
        more = {name.replace("__", "."): value for name, value in flags.items()}
        with aiops.connect(home=str(self.home), flags=self.flags | more) as ops:
            yield ops

    def book(self, name: str, text: str) -> None:
        (self.rules / "runbooks" / f"{name}.yaml").write_text(text)

    def scale(self, name: str = "scale", mode: str = "auto", effect: str = GROWN, within: str = "2m") -> None:
        self.book(name, SCALE.format(mode=mode, effect=effect, within=within))


@pytest.fixture
def place(shop: Shop, watched: str, tmp_path: Path) -> Place:
    return placed(tmp_path, watched, shop.port)


def placed(folder: Path, metrics: str, port: int) -> Place:
    rules = folder / "rules"
    shutil.copytree(resources.folder("rules"), rules, ignore=shutil.ignore_patterns("runbooks"))
    (rules / "runbooks" / "files").mkdir(parents=True)
    (rules / "runbooks" / "files" / "steps.py").write_text(STEPS_PY)
    (rules / "targets.yaml").write_text(
        f"targets:\n  shop:\n    url: http://127.0.0.1:{port}\n    methods: [PUT, POST]\n    paths: ['/[a-z]+/[a-z]+']\n"
        "    networks: [127.0.0.0/8]\n"
    )
    flags = {"sources.metrics": metrics, "folders.rules": str(rules), "model.url": "", "chat.url": ""}
    made = Place(folder / "home", rules, flags | {"repairs.per_hour": "1000"})
    made.scale()
    made.book("steps", STEPS.format(digest=hashlib.sha256(STEPS_PY.encode()).hexdigest()))
    return made


def kept(
    ops: Ops,
    name: str = "r1",
    node: str = "cart",
    runbook: str = "scale",
    upper: float | None = None,
    mode: str = "auto",
) -> Report:
    """A report like no other, so that no other test's repair has the same id. It found the node, and where `upper` is given, that its latency had left a band below that."""
    cause = RootCause(
        1,
        node,
        "cpu",
        0.9,
        CausalPath((node,), (), (None,), 0.0),
        (Evidence("metric", f"busy {uuid.uuid4()}"),),
        fault="cpu",
    )
    window = TimeRange(AT, AT + timedelta(hours=1))
    task = Task("diagnose_1", Intent.DIAGNOSE)
    labels = {"__name__": "shop_latency_seconds", "service": node}
    times, values = np.array([10**18, 2 * 10**18]), np.array([[0.1, 2.0]])
    panel = Panel((labels,), times, values, (node,), np.array([False, True]))
    scope = Scope(AT, TimeRange(AT - timedelta(hours=1), AT), window, node, "shop_latency_seconds")
    recording = Recording(name, task, scope, Observation(panel, Logs.empty(), Spans.empty()))
    seen = Anomaly(node, "shop_latency_seconds", AT, Direction.UP, 3.0, 0, (0.0, upper or 0.0), 2.0)
    proposal = Remediation(runbook, "", node, (), {}, "", "", mode=mode)
    symptom = Symptom(node, "shop_latency_seconds", AT)
    anomalies = (seen,) if upper is not None else ()
    made = Report(
        name, Verdict.FOUND, ("", "", ""), task, symptom, (cause,), anomalies, (), (), proposal, (), (), {}, {}
    )
    ops.store.save(name, wire.encode(made), pack(recording), wire.index(made))
    return made


def by(ops: Ops, name: str) -> Repairs:
    return ops.by(Actor("http", name)).repairs


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)
