"""serve, doctor, config, audit: what whoever runs aiops needs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Run = Callable[..., Any]


# ---------------------------------------------------------------- serve


def test_serve_answers_until_sigterm_and_ends_in_order(environment: None, demo_case: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("aiops")), "serve", "--listen", "127.0.0.1:0"]
    command += ["--metrics", f"case:{demo_case}"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            url = told(tmp_path / "log", r"aiops listens on (http://127\.0\.0\.1:\d+)")
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                assert client.get("/healthz").status_code == 200
                body = {"version": "4", "alerts": [{"labels": {}, "startsAt": "2026-01-31T12:00:00Z"}]}
                taken = client.post("/v1/webhooks/alertmanager", json=body)
                assert taken.status_code == 202
                while client.get(taken.headers["location"]).json()["waiting"]:  # its alerts still gather
                    time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "log").read_text()
    # What was accepted is on disk, and the log was folded back into its file.
    with sqlite3.connect(tmp_path / "home" / "queue.db") as queue:
        ((state,),) = queue.execute("SELECT state FROM jobs").fetchall()
    queue.close()
    assert state in {"queued", "running", "failed", "inconclusive", "done"}
    assert not (tmp_path / "home" / "queue.db-wal").exists()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_sigterm_waits_for_no_source_that_hangs(environment: None, tmp_path: Path, command: str) -> None:
    """The diagnosis goes back to the queue, and the process ends though its reads have not."""
    log, home = tmp_path / "log", tmp_path / "home"
    task = 'task_id: slow_one\nintent: diagnose\ninputs: {symptom: {service: web, at: "2026-01-31T12:00:00Z"}}\n'
    with socket.create_server(("127.0.0.1", 0), backlog=50) as mute, log.open("a") as sink:
        metrics = f"prometheus+http://127.0.0.1:{mute.getsockname()[1]}"
        inside = {"AIOPS_SERVICE__WORKER": str(command == "serve"), "AIOPS_DIAGNOSIS__DEADLINE_S": "600"}
        argv = [str(Path(sys.executable).with_name("aiops")), "serve", "--listen", "127.0.0.1:0", "--metrics", metrics]
        started = [subprocess.Popen(argv, stderr=sink, env=os.environ | inside)]
        try:
            url = told(log, r"aiops listens on (http://127\.0\.0\.1:\d+)")
            if command == "worker":
                started.append(
                    subprocess.Popen([argv[0], "worker", "--metrics", metrics], stderr=sink, env=os.environ | inside)
                )
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                headers = {"content-type": "application/yaml"}
                assert client.post("/v1/tasks", content=task, headers=headers).status_code == 202
            asking, _ = mute.accept()  # and never answered
            with asking:
                started[-1].send_signal(signal.SIGTERM)
                assert started[-1].wait(120) == 0  # reading would go on for minutes
        finally:
            for process in started:
                process.kill()
                process.wait()
    assert "it goes back to the queue" in log.read_text()
    with sqlite3.connect(home / "queue.db") as queue:
        assert queue.execute("SELECT state FROM jobs").fetchall() == [("queued",)]
    queue.close()


def told(log: Path, pattern: str) -> str:
    for _ in range(1200):
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:8642", "[::]:8642", "192.0.2.1:80", "example.com:80", ":8642", "8642", "127.0.0.1:x", "127.0.0.1:65536"],
)
def test_without_tokens_only_the_loopback_is_served(run: Run, demo_case: Path, listen: str) -> None:
    refused = run("serve", "--listen", listen, "--metrics", f"case:{demo_case}")
    assert refused.code == 2
    assert "service.listen" in refused.err


def test_a_port_that_is_taken(run: Run, demo_case: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--metrics", f"case:{demo_case}")
    assert refused.code == 2
    assert "in use" in refused.err


# ---------------------------------------------------------------- doctor


def parts(told: Any) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in json.loads(told.out)}


def test_the_doctor_of_a_fresh_home_tells_what_is_missing(run: Run) -> None:
    told = run("doctor", "--format", "json")
    assert told.code == 0
    seen = parts(told)
    assert {
        name: seen[name]["state"] for name in ("python", "numba", "settings", "rules", "store", "queue", "graph")
    } == dict.fromkeys(("python", "numba", "settings", "rules", "store", "queue", "graph"), "ok")
    assert seen["metrics"]["state"] == "missing"
    assert "aiops config init" in seen["metrics"]["mend"]
    assert all(part["mend"] for part in seen.values() if part["state"] != "ok")
    assert "missing" in run("doctor").out


def test_the_doctor_knocks_at_the_sources(run: Run, demo_case: Path) -> None:
    seen = parts(run("doctor", "--live", "--metrics", f"case:{demo_case}", "--format", "json"))
    assert seen["metrics"]["state"] == seen["metrics, read"]["state"] == seen["logs"]["state"] == "ok"


def test_the_doctor_fails_where_a_needed_part_does(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        down = run("doctor", "--metrics", f"prometheus+http://127.0.0.1:{taken.getsockname()[1]}", "--format", "json")
    assert down.code == 3
    assert parts(down)["metrics"]["state"] == "failed"
    assert parts(down)["metrics"]["mend"].startswith("curl http://127.0.0.1")

    (tmp_path / "rules").mkdir()
    monkeypatch.setenv("AIOPS_FOLDERS__RULES", str(tmp_path / "rules"))
    assert run("doctor").code == 2
    monkeypatch.setenv("AIOPS_FOLDERS__RULES", "")
    (tmp_path / "home" / "store.db").write_text("no database" * 100)
    assert run("doctor").code == 5
    monkeypatch.setenv("AIOPS_DIAGNOSIS__TIMEZONE", "Atlantis")
    assert run("doctor").code == 2


# ---------------------------------------------------------------- config


def test_config_is_written_once_shown_and_checked(run: Run, tmp_path: Path) -> None:
    assert run("config", "init").code == 0
    file = tmp_path / "home" / "config.toml"
    assert not any(tomllib.loads(file.read_text()).values())  # all of it is commented out
    again = run("config", "init")
    assert (again.code, "there already" in again.err) == (2, True)
    file.write_text('[diagnosis]\ntimezone = "Asia/Shanghai"\n')
    shown = json.loads(run("config", "show", "--format", "json").out)["settings"]
    assert shown["diagnosis.timezone"] == {"value": "Asia/Shanghai", "origin": "file"}
    assert run("config", "show", "diagnosis.timezone").out.splitlines()[1].split()[:3] == [
        "diagnosis.timezone",
        '"Asia/Shanghai"',
        "file",
    ]
    assert run("config", "check").code == 0
    file.write_text("[diagnosis]\nnonsense = 1\n")
    assert run("config", "check").code == 2


def test_flags_beat_the_environment_which_beats_the_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text('[sources]\nmetrics = "case:file"\n')

    def metrics(*flags: str) -> Any:
        return json.loads(run("config", "show", "--format", "json", *flags).out)["settings"]["sources.metrics"]

    assert metrics() == {"value": "case:file", "origin": "file"}
    monkeypatch.setenv("AIOPS_SOURCES__METRICS", "case:environment")
    assert metrics()["origin"] == "environment"
    assert metrics("--metrics", "case:flag") == {"value": "case:flag", "origin": "flag"}


# ---------------------------------------------------------------- audit


def test_the_audit_log_is_verified_and_exported(run: Run, tmp_path: Path) -> None:
    import aiops

    with aiops.connect() as ops:
        for i in range(3):
            ops.store.audit("test", {"n": i})
    assert run("audit", "verify").out.startswith("3 entries hold")
    exported = [json.loads(line) for line in run("audit", "export").out.splitlines()]
    assert [entry["entry"]["n"] for entry in exported] == [0, 1, 2]
    with sqlite3.connect(tmp_path / "home" / "store.db") as store:
        store.execute("""UPDATE audit SET entry = '{"n":7}' WHERE number = 1""")
    store.close()
    broken = run("audit", "verify")
    assert broken.code == 5
    assert "entry 1" in broken.err


def test_nothing_is_readable_by_others(run: Run, tmp_path: Path) -> None:
    run("reports")
    for path in (tmp_path / "home", *(tmp_path / "home").iterdir()):
        assert os.stat(path).st_mode & 0o077 == 0, path  # noqa: PTH116
