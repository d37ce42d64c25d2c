"""The commands that answer: every way to ask leads to the same report, in every form, and its exit code is its verdict."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiops import recording
from aiops.domain import Symptom

Run = Callable[..., Any]


@pytest.fixture
def symptom(demo_case: Path) -> Symptom:
    files = recording.open_files(demo_case)
    return recording.symptom_of(recording.read_case(files), str(demo_case))


def unstamped(text: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(text)
    assert report["schema"] == "aiops-report/1"
    report["meta"].pop("run")
    return report


def test_the_demo_says_its_verdict_and_leaves_a_page(run: Run, tmp_path: Path) -> None:
    told = run("demo")
    assert told.code == 0
    page = tmp_path / "aiops-demo.html"
    assert str(page) in told.err
    html = page.read_text(encoding="utf-8")
    assert "<html" in html
    report = json.loads(run("demo", "--format", "json").out)
    for line in report["summary"]:
        assert line in " ".join(told.out.split())  # the terminal wraps


def test_the_demo_talks_to_nobody(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, no look-up of a name, no other process: not even for the language model that is configured."""
    monkeypatch.delenv("AIOPS_MODEL__URL")
    code = """
import sys
watched = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
           "subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"}
sys.addaudithook(lambda event, args: event in watched and seen.append((event, args)))
seen = []
from aiops import cli
code = cli.run(["demo"])
assert not seen, seen
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_demo_prints_exactly_the_report(spawn: Run) -> None:
    first, second = spawn("demo", "--format", "json"), spawn("demo", "--format", "json")
    assert first.code == second.code == 0
    assert unstamped(first.out) == unstamped(second.out)


def test_the_demo_keeps_the_page_at_home_where_the_directory_is_closed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "aiops-demo.html").mkdir(parents=True)  # what root may not overwrite either
    monkeypatch.chdir(tmp_path / "here")
    told = run("demo")
    assert told.code == 0
    assert (tmp_path / "home" / "aiops-demo.html").is_file()


def test_the_demo_takes_a_question(run: Run, demo_case: Path) -> None:
    told = run("demo", "--ask", f"why is {min(catalog(demo_case))} slow?", "--format", "json")
    assert told.code in {0, 1}
    assert "intent: diagnose  # said" in told.err
    assert json.loads(told.out)["symptom"]["service"] == min(catalog(demo_case))
    assert run("demo", "--ask", "delete the production database").code == 4


def test_every_form_and_every_ending(run: Run, demo_case: Path, tmp_path: Path) -> None:
    report = unstamped(run("diagnose", "--case", demo_case, "--format", "json").out)
    as_yaml = yaml.safe_load(run("diagnose", "--case", demo_case, "--format", "yaml").out)
    as_yaml["meta"].pop("run")
    assert as_yaml == report
    for ending, start in {"html": "<!doctype", "md": "**", "json": "{", "yaml": "schema:", "txt": ""}.items():
        file = tmp_path / f"report.{ending}"
        told = run("diagnose", "--case", demo_case, "-o", file)
        assert (told.code, told.out) == (0, "")
        assert file.read_text(encoding="utf-8").lower().startswith(start)
    assert run("diagnose", "--case", demo_case, "-o", "/no/such/folder/x").code == 2


def test_a_report_is_listed_shown_and_replayed(run: Run, demo_case: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(demo_case, case)
    made = unstamped(run("diagnose", "--case", case, "--format", "json").out)
    shutil.rmtree(case)  # the source forgets
    assert made["id"] in run("reports").out
    (row,) = json.loads(run("reports", "--format", "json").out)
    assert (row["id"], row["verdict"]) == (made["id"], made["verdict"])
    assert yaml.safe_load(run("reports", "--format", "yaml").out) == [row]
    assert run("reports", "--format", "md").out.count("|") == 21
    assert unstamped(run("reports", made["id"], "--format", "json").out) == made
    assert unstamped(run("replay", made["id"], "--format", "json").out) == made
    assert "<html" in run("reports", made["id"], "--format", "html").out


def test_a_recording_is_a_file_to_replay_and_a_case_to_diagnose(run: Run, demo_case: Path, tmp_path: Path) -> None:
    import aiops

    made = unstamped(run("diagnose", "--case", demo_case, "--format", "json").out)
    with aiops.connect(f"case:{demo_case}") as ops:
        (tmp_path / "incident.zip").write_bytes(ops.store.recording(made["id"]) or b"")
    assert unstamped(run("replay", "incident.zip", "--format", "json").out) == made
    again = run("diagnose", "--case", "incident.zip", "--format", "json")
    assert again.code == 0
    causes = [c["node"] for c in unstamped(again.out)["root_causes"]]
    assert causes == [c["node"] for c in made["root_causes"]]


def test_words_become_yaml_that_runs(run: Run, demo_case: Path, symptom: Symptom) -> None:
    assert symptom.at
    source = ("--metrics", f"case:{demo_case}", "--now", symptom.at.isoformat())
    services = sorted({n for n in catalog(demo_case) if n.isascii()})
    plan = run("ask", "--plan", f"why is {services[0]} slow?", *source)
    assert plan.code == 0, plan
    task = yaml.safe_load(plan.out)
    assert task["intent"] == "diagnose"
    Path("task.yaml").write_text(plan.out, encoding="utf-8")
    ran = run("run", "task.yaml", "--metrics", f"case:{demo_case}", "--format", "json")
    asked = run("ask", f"why is {services[0]} slow?", *source, "--format", "json")
    assert ran.code == asked.code
    assert ran.code in {0, 1}
    assert unstamped(ran.out) == unstamped(asked.out)


def catalog(case: Path) -> set[str]:
    from aiops.adapters.case import CaseMetrics

    return {labels["service"] for labels in CaseMetrics(case).catalog(5) if labels.get("service", "_")[0] != "_"}


def test_what_must_be_asked_back_is_printed_and_exit_1(run: Run, demo_case: Path) -> None:
    Path("task.yaml").write_text("task_id: abcd\nintent: clarify\nquestion: which service?\n", encoding="utf-8")
    told = run("run", "task.yaml", "--metrics", f"case:{demo_case}")
    assert (told.code, told.out) == (1, "which service?\n")


def test_what_may_not_be_done_is_exit_4(run: Run, demo_case: Path) -> None:
    Path("task.yaml").write_text("task_id: abcd\nintent: reject\nquestion: not allowed\n", encoding="utf-8")
    told = run("run", "task.yaml", "--metrics", f"case:{demo_case}")
    assert (told.code, told.out, told.err) == (4, "", "aiops: not allowed\n")


def test_alerts_come_from_a_file_or_stdin(run: Run, spawn: Run, demo_case: Path, symptom: Symptom) -> None:
    assert symptom.at
    alert = {"labels": {"alertname": "Slow"}, "startsAt": symptom.at.isoformat()}
    body = json.dumps({"version": "4", "groupKey": "g", "alerts": [alert]})
    Path("alert.json").write_text(body, encoding="utf-8")
    source = ("--metrics", f"case:{demo_case}", "--format", "json")
    from_file = run("diagnose", "--alert", "alert.json", *source)
    from_stdin = spawn("diagnose", "--alert", "-", *source, stdin=body)
    assert from_file.code in {0, 1}
    assert unstamped(from_file.out) == unstamped(from_stdin.out)
    assert unstamped(from_file.out)["task"]["inputs"]["alerts"][0]["labels"] == {"alertname": "Slow"}


def test_a_symptom_may_name_service_metric_and_time(run: Run, demo_case: Path, symptom: Symptom) -> None:
    assert symptom.at
    service = min(catalog(demo_case))
    source = ("--case", demo_case, "--at", symptom.at.timestamp(), "--since", "30m", "--format", "json")
    told = run("diagnose", "--symptom", f"{service}:latency", *source)
    assert told.code in {0, 1}
    assert unstamped(told.out)["symptom"]["service"] == service
    assert unstamped(told.out)["symptom"]["metric"] == "latency"


def test_the_bench_scores_a_folder_of_cases(run: Run, demo_case: Path) -> None:
    told = run("bench", "rca", demo_case, "--predictions", "out.jsonl")
    assert told.code == 0
    (line,) = Path("out.jsonl").read_text(encoding="utf-8").splitlines()
    assert set(json.loads(line)) >= {"case_id", "verdict", "ranking", "seconds"}
    assert run("bench", "rca", demo_case, "--predictions", "/no/such/folder/x").code == 2
