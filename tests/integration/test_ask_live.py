"""The catalog is what is there now: a service that appears in a real Prometheus is understood by the next question."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import aiops
from aiops.domain import Intent
from aiops.ops import Ops

import servers
from conftest import needed
from servers.listening import listening

EXPOSED = [
    'request_latency_p99{service="cart"} 0.2',
    'request_latency_p99{service="search"} 0.3',
    'pool_saturation{service="ledger"} 0.7',
]


class _Target(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write("".join(f"{line}\n" for line in EXPOSED).encode())

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ops]:
    place: Path = tmp_path_factory.mktemp("ask")
    with needed(), listening(_Target) as target:
        job = f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target.partition('//')[2]}']}}]}}]"
        config = f"global: {{scrape_interval: 1s}}\n{job}\n"
        with (
            servers.prometheus(place / "data", config) as server,
            aiops.connect(f"prometheus+{server.url}", home=str(place / "home")) as house,
        ):
            yield house


def understood(ops: Ops, text: str, seconds: float = 120.0) -> Intent:
    """What the words are taken for, as soon as they are understood."""
    give_up = time.monotonic() + seconds
    while (plan := ops.plan(text)).task.intent is Intent.CLARIFY and time.monotonic() < give_up:
        time.sleep(0.5)
    return plan.task.intent


def test_a_new_service_is_understood_without_a_restart(ops: Ops) -> None:
    assert understood(ops, "why is cart p99 high") is Intent.DIAGNOSE
    before = ops.plan("why is brand-new-thing p99 high")
    assert before.task.intent is Intent.CLARIFY
    assert "brand-new-thing" in before.task.question
    EXPOSED.append('request_latency_p99{service="brand-new-thing"} 0.9')
    assert understood(ops, "why is brand-new-thing p99 high") is Intent.DIAGNOSE


def test_a_metric_that_one_service_has_names_it(ops: Ops) -> None:
    assert understood(ops, "forecast pool_saturation for the next 6 hours") is Intent.FORECAST
    plan = ops.plan("forecast pool_saturation for the next 6 hours")
    assert plan.task.inputs.services == ("ledger",)
    assert plan.origins["inputs.services"] == "default"


def test_a_forecast_of_a_metric_needs_no_service(ops: Ops) -> None:
    assert understood(ops, "forecast request_latency_p99 for the next 6 hours") is Intent.FORECAST
    assert ops.plan("forecast request_latency_p99 for the next 6 hours").task.inputs.services == ()
    assert ops.plan("forecast the latency").task.intent is Intent.CLARIFY
