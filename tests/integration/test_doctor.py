"""`aiops doctor` beside a real Prometheus, a real Alertmanager and a server that runs: what it asks is what a diagnosis asks."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiops
from aiops import cli
from aiops.domain import NS, Panel, to_ns

import servers
from conftest import needed
from servers.backfill import openmetrics

CONFIG = """
route: {{receiver: aiops, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: aiops, webhook_configs: [{{url: "{url}/v1/webhooks/alertmanager"}}]}}]
"""
Doctor = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


def system(now: datetime) -> Panel:
    """Half an hour of six services up to now; a tenth of the series name none."""
    times = to_ns(now) // NS * NS - np.arange(120, 0, -1, dtype=np.int64) * 15 * NS
    labels = [{"__name__": f"app_metric_{m}", "service": f"s{s}"} for s in range(6) for m in range(3)]
    labels += [{"__name__": "nobody", "shard": str(i)} for i in range(2)]
    values = np.random.default_rng(1).normal(100, 3, (len(labels), len(times)))
    return Panel(tuple(labels), times, values, ("",) * len(labels), np.zeros(len(times), np.bool_))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a Prometheus, of a server that reads it, and of an Alertmanager that sends to that; the server's home."""
    folder = tmp_path_factory.mktemp("doctor")
    data = folder / "prometheus"
    data.mkdir()
    (data / "system.om").write_text(openmetrics(system(datetime.now(UTC))))
    env = {**os.environ, "AIOPS_MODEL__URL": "", "AIOPS_CHAT__URL": "", "AIOPS_EPISODES__DEBOUNCE_S": "0.2"}
    with needed(), ExitStack() as stack:
        servers.promtool("tsdb", "create-blocks-from", "openmetrics", str(data / "system.om"), str(data))
        prometheus = stack.enter_context(servers.prometheus(data))

        def command(port: int) -> list[str]:
            program = [str(Path(sys.executable).with_name("aiops")), "serve", "--home", str(folder / "home")]
            return [*program, "--listen", f"127.0.0.1:{port}", "--metrics", f"prometheus+{prometheus.url}"]

        serving = stack.enter_context(servers.serving("aiops", command, servers.answers("/readyz"), env=env))
        router = stack.enter_context(servers.alertmanager(folder / "am", CONFIG.format(url=serving.url)))
        home = str(folder / "home")
        yield {"prometheus": prometheus.url, "serve": serving.url, "alertmanager": router.url, "home": home}


@pytest.fixture
def doctor(parts: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    told = {
        "AIOPS_MODEL__URL": "",
        "AIOPS_SOURCES__METRICS": f"prometheus+{parts['prometheus']}",
        "AIOPS_SERVICE__LISTEN": parts["serve"].removeprefix("http://"),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    def ask(*flags: str, **more: str) -> tuple[int, dict[str, dict[str, Any]]]:
        with monkeypatch.context() as patched:
            for name, value in more.items():
                patched.setenv(f"AIOPS_{name}", value)
            capsys.readouterr()
            code = cli.run(["doctor", "--home", parts["home"], "--format", "json", *flags])
            return code, {part["name"]: part for part in json.loads(capsys.readouterr().out)}

    return ask


def test_each_part_is_asked_what_a_diagnosis_asks(doctor: Doctor, parts: dict[str, str]) -> None:
    end = time.monotonic() + 240
    while doctor()[1]["workers"]["state"] != "ok":
        assert time.monotonic() < end
    _, seen = doctor("--live", SOURCES__SILENCES=f"alertmanager+{parts['alertmanager']}")
    asked = ("metrics, names", "metrics, clock", "silences, clock", "queue, used", "alerts, sent")
    assert {name: seen[name]["state"] for name in asked} == dict.fromkeys(asked, "ok")
    assert all(seen[name]["seconds"] > 0 for name in asked)
    assert seen["metrics, names"]["says"].startswith(
        "20 series of 6 services; 10.0% of the series name none, for example nobody"
    )
    # How old its newest sample is depends on when it is asked.
    assert seen["metrics, read"]["says"].startswith("s0: 3 series at ")
    assert seen["alerts, sent"]["says"].startswith("Alertmanager sends to ")
    assert seen["graph, read"]["state"] == "poor"
    assert "aiops graph import" in seen["graph, read"]["mend"]


def test_a_test_alert_goes_all_the_way(doctor: Doctor, parts: dict[str, str]) -> None:
    for more in ({"SOURCES__SILENCES": f"alertmanager+{parts['alertmanager']}"}, {}):
        code, seen = doctor("--send-test-alert", **more)
        assert code == 0, seen
        assert {name: part["state"] for name, part in seen.items()} == {
            "alert, sent": "ok",
            "alert, begun": "ok",
            "alert, diagnosed": "ok",
        }
        assert "/reports/" in seen["alert, diagnosed"]["says"]
    with aiops.connect(home=parts["home"], flags={"model.url": ""}) as ops:
        end = time.monotonic() + 240
        while ops.store.figures() != {"open": 0, "waiting": 0}:  # both are resolved again
            assert time.monotonic() < end
            time.sleep(0.1)
        (first, second) = ops.store.reports()
        assert first["alertnames"].startswith("AiopsTest")
        assert first["symptom"] != second["symptom"]


def test_a_test_alert_that_does_not_arrive_says_where(doctor: Doctor) -> None:
    code, seen = doctor("--send-test-alert", SERVICE__LISTEN=f"127.0.0.1:{servers.free_port()}")
    assert code == 3
    assert seen["alert, sent"]["state"] == "failed"
    assert seen["alert, sent"]["mend"] == "aiops serve"


def test_an_alertmanager_that_sends_nobody_anything_is_told(doctor: Doctor, tmp_path: Path) -> None:
    hook = "{name: aiops, webhook_configs: [{url: 'http://a.example'}]}"
    config = f"route: {{receiver: nobody}}\nreceivers: [{{name: nobody}}, {hook}]\n"
    with needed(), servers.alertmanager(tmp_path / "am", config) as router:
        _, seen = doctor("--live", SOURCES__SILENCES=f"alertmanager+{router.url}")
    assert seen["alerts, sent"]["state"] == "poor"
    assert seen["alerts, sent"]["says"] == "no route of Alertmanager leads to a webhook"
