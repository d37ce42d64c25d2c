"""Workers in processes of their own: `aiops serve` stores what they make, and says which jobs nobody may take."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from aiops import app, cli, settings
from aiops.domain import Change, Inputs, Intent, Job, JobState, Task, job_id
from aiops.flows.work import Hand
from aiops.ops import Ops
from aiops.schema import task as task_schema
from aiops.service.metrics import Registry
from aiops.service.worker import Terms, Worker, apart

Serve = Callable[..., httpx.Client]
ENDED = {"done", "inconclusive", "failed"}


@pytest.fixture
def hand(ops: Ops, tmp_path: Path, demo_case: Path) -> Iterator[Hand]:
    """What a worker on another machine has: a home of its own, and the queue."""
    flags = {"sources.metrics": f"case:{demo_case}", "stores.queue": f"sqlite:{tmp_path / 'home' / 'queue.db'}"}
    with app.hand(settings.load(flags, str(tmp_path / "elsewhere"))) as opened:
        yield opened


@pytest.fixture
def away(hand: Hand) -> Iterator[Worker]:
    worker = apart(hand, Registry(), Terms(("env:prod",)))
    worker.start()
    yield worker
    assert worker.stop(30)


def ended(client: httpx.Client, diagnosis: str) -> dict[str, str]:
    for _ in range(1200):
        told: dict[str, str] = client.get(f"/v1/diagnoses/{diagnosis}").json()
        if told["status"] in ENDED:
            return told
        time.sleep(0.05)
    raise AssertionError(f"{diagnosis} does not end")


def counted(client: httpx.Client, *lines: str) -> str:
    """The figures, once these are among them: what is done is counted a moment later."""
    for _ in range(1200):
        figures = client.get("/metrics").text
        if all(line in figures.splitlines() for line in lines):
            return figures
        time.sleep(0.05)
    raise AssertionError(f"{lines} are not told:\n{figures}")


def started(client: httpx.Client, task: Task) -> str:
    body = task_schema.dump(task)
    reply = client.post("/v1/tasks", content=body, headers={"content-type": "application/yaml"})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def test_what_a_worker_elsewhere_makes_is_stored_here(ops: Ops, serve: Serve, away: Worker) -> None:
    client = serve(ops, terms=None)
    diagnosis = started(client, ops.task())
    assert ended(client, diagnosis)["status"] == "done"
    made = client.get(f"/reports/{diagnosis}.json").json()
    here = ops.run(ops.task(), "another-id")
    assert [cause["node"] for cause in made["root_causes"]] == [cause.node for cause in here.root_causes]
    assert ops.replay(diagnosis).root_causes == ops.report(diagnosis).root_causes
    assert ops.queue.delivered() == ()
    turns = [row["entry"] for row in ops.store.audit_entries()]
    assert any((turn["action"], turn["channel"]) == ("run", "worker") for turn in turns if isinstance(turn, dict))
    figures = counted(client, 'aiops_results_total{status="done"} 1', 'aiops_diagnosis_seconds_count{status="done"} 1')
    assert re.search(r'^aiops_worker_up\{labels="env:prod",worker="[^"]+"\} 1$', figures, re.MULTILINE)
    assert 'aiops_stage_seconds_count{stage="rank"} 1' in figures


def test_what_only_the_server_knows_has_its_say(ops: Ops, serve: Serve, away: Worker) -> None:
    first = ops.diagnose()
    symptom = ops.sources.metrics.symptom()
    assert symptom.at
    wrong = first.root_causes[0].node
    ops.feedback(first.id, wrong, wrong=True)
    node = first.root_causes[1].node
    assert ops.sources.changes
    ops.sources.changes.add(Change(node, symptom.at - timedelta(minutes=1), "deployment", "version 7"))
    client = serve(ops, terms=None)
    task = dataclasses.replace(ops.task(), task_id="once_more")
    diagnosis = started(client, task)
    ended(client, diagnosis)
    here = ops.run(task, "another-id")
    there = ops.report(diagnosis)
    assert there.root_causes == here.root_causes
    assert "version 7" in " ".join(event.summary for event in there.events)
    assert ops.replay(diagnosis).root_causes == here.root_causes


def test_a_failure_elsewhere_is_told_here(ops: Ops, serve: Serve, away: Worker) -> None:
    client = serve(ops, terms=None)
    (job,) = ops.queue.put([Job(job_id("ask"), "ask", Task("asked_back", Intent.CLARIFY, question="which service?"))])
    assert ended(client, job.id)["error"] == "which service?"
    counted(client, 'aiops_diagnoses_total{status="failed"} 1', 'aiops_diagnosis_seconds_count{status="failed"} 1')


def test_a_result_that_can_t_be_used_fails_its_job(ops: Ops, serve: Serve) -> None:
    client = serve(ops, terms=None)
    job = ops.submit(ops.task())
    held = ops.queue.claim(60, "of another version")
    assert held
    assert ops.queue.deliver(held, b"not a result")
    assert "can't be used" in ended(client, job.id)["error"]
    figures = counted(client, 'aiops_diagnoses_total{status="failed"} 1')
    assert "aiops_diagnosis_seconds_count" not in figures


def test_a_job_that_no_worker_may_take_says_so(ops: Ops, serve: Serve, away: Worker) -> None:
    client = serve(ops, terms=None)
    needs = Task("needs_eu", Intent.DIAGNOSE, Inputs(symptom=ops.sources.metrics.symptom()))
    (job,) = ops.queue.put([Job(job_id("eu"), "eu", needs, labels=("env:prod", "region:eu"))])
    for _ in range(200):
        if ops.queue.workers():
            break
        time.sleep(0.05)
    told = client.get(f"/v1/diagnoses/{job.id}").json()
    assert told["status"] == "queued"
    assert told["waiting"].startswith("no worker matches: the labels env:prod, region:eu are needed; ")
    assert "env:prod" in told["waiting"].partition(";")[2]
    assert 'aiops_jobs_unmatched{labels="env:prod,region:eu"} 1' in client.get("/metrics").text
    found = ops.queue.get(job.id)
    assert found
    assert found.state is JobState.QUEUED


def test_alerts_find_the_workers_that_have_their_labels(
    ops: Ops, serve: Serve, away: Worker, demo_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folding = dataclasses.replace(ops.folding, route_by=("env", "region"), debounce=timedelta(seconds=0.1), hops=0)
    client = serve(dataclasses.replace(ops, folding=folding), terms=None)
    made = {}
    for number, labels in enumerate(({"env": "prod"}, {"env": "prod", "region": "eu west"})):
        alert = {
            "labels": {"alertname": "Slow", "service": f"s{number}", **labels},
            "startsAt": "2026-01-31T12:00:00Z",
            "fingerprint": f"f{number}",
        }
        sent = {"version": "4", "groupKey": f"g{number}", "alerts": [alert]}
        made[number] = client.post("/v1/webhooks/alertmanager", json=sent).json()["diagnoses"][0]["id"]
    assert ended(client, made[0])["id"] == made[0]
    for _ in range(200):
        told = client.get(f"/v1/diagnoses/{made[1]}").json()
        if "no worker matches" in (told["waiting"] or ""):
            break
        time.sleep(0.05)
    assert told["status"] == "queued"
    assert "the labels env:prod, region:eu_west are needed" in told["waiting"]
    argv = ["doctor", "--home", str(tmp_path / "home"), "--metrics", f"case:{demo_case}"]
    cli.run(argv)
    said = capsys.readouterr().out
    assert re.search(r"FAILED +workers +1 jobs wait; no worker matches: the labels env:prod, region:eu_west", said)


def test_nobody_is_there_at_all(ops: Ops, serve: Serve) -> None:
    client = serve(ops, terms=None)
    diagnosis = started(client, ops.task())
    assert client.get(f"/v1/diagnoses/{diagnosis}").json()["waiting"] == "no worker matches: none is alive"
    assert client.get("/readyz").status_code == 200


def test_the_command_works_and_drains(ops: Ops, serve: Serve, tmp_path: Path, demo_case: Path) -> None:
    client = serve(ops, terms=None)
    argv = ["worker", "--home", str(tmp_path / "elsewhere"), "--metrics", f"case:{demo_case}", "--jobs", "2"]
    argv += ["--queue", f"sqlite:{tmp_path / 'home' / 'queue.db'}", "--labels", "env:prod", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-c", "from aiops.cli import main; main()", *argv], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        said = next(line for line in lines if "takes 2 at once of env:prod" in line)
        url = said.split()[-1]
        diagnosis = started(client, ops.task())
        assert ended(client, diagnosis)["status"] == "done"
        figures = httpx.get(url, trust_env=False).text
        assert re.search(r'^aiops_worker_capacity\{labels="env:prod",worker="[^"]+"\} 2$', figures, re.MULTILINE)
        # A diagnosis is counted once: by the server, which stores it.
        assert 'aiops_job_seconds_count{status="done"} 1' in figures
        assert re.search(r'^aiops_cache_total\{cache="graph",outcome="(hit|miss)"\} [1-9]', figures, re.MULTILINE)
        assert not re.search("^aiops_diagnos|^aiops_stage", figures, re.MULTILINE)
        counted(client, 'aiops_diagnoses_total{status="done"} 1', 'aiops_diagnosis_seconds_count{status="done"} 1')
        assert httpx.get(url.replace("/metrics", "/readyz"), trust_env=False).json()["ready"]
        os.kill(process.pid, signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0
    assert ops.queue.workers() == ()


def test_labels_that_are_none_are_refused(tmp_path: Path, demo_case: Path) -> None:
    argv = ["worker", "--home", str(tmp_path), "--metrics", f"case:{demo_case}", "--labels", "prod"]
    assert cli.run(argv) == 2
