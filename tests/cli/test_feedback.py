"""`aiops feedback`: told once, kept, seen in the next report; never in an older one, and not where it is switched off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def diagnose(run: Run, demo_case: Path) -> Callable[..., dict[str, Any]]:
    def call(*more: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(run("diagnose", "--case", demo_case, "--format", "json", *more).out)
        report["meta"].pop("run")
        return report

    return call


def prior_of(report: dict[str, Any], node: str) -> list[str]:
    causes = [cause for cause in report["root_causes"] if cause["node"] == node]
    return [e["summary"] for cause in causes for e in cause["evidence"] if e["kind"] == "prior"]


def listed(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("feedback", "--list", "--format", "json").out)
    return found


def test_what_was_told_is_seen_in_the_next_report_until_it_is_withdrawn(
    run: Run, diagnose: Callable[..., dict[str, Any]]
) -> None:
    before = diagnose()
    second = before["root_causes"][1]["node"]
    kept = run("feedback", before["id"], "--cause", second, "--note", "rolled\nback")
    assert (kept.code, "kept" in kept.err) == (0, True)
    after = diagnose()
    assert prior_of(before, second) == []
    (words,) = prior_of(after, second)
    assert words.startswith("prior: confirmed as the cause in 1 of 1 report on ")
    assert run("feedback", before["id"], "--withdraw").code == 0
    assert diagnose() == before


def test_a_replay_knows_only_what_was_known_then(run: Run, diagnose: Callable[..., dict[str, Any]]) -> None:
    first = diagnose()
    second = first["root_causes"][1]["node"]
    run("feedback", first["id"], "--cause", second)
    then = diagnose("--since", "2h")
    assert prior_of(then, second)
    run("feedback", then["id"], "--cause", second)
    run("feedback", first["id"], "--cause", first["root_causes"][0]["node"])
    again = json.loads(run("replay", then["id"], "--format", "json").out)
    again["meta"].pop("run")
    assert again == then
    assert "2 reports" in prior_of(diagnose("--since", "2h"), second)[0]


def test_switched_off_is_as_never_told(
    run: Run, diagnose: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = diagnose()
    run("feedback", before["id"], "--cause", before["root_causes"][1]["node"])
    monkeypatch.setenv("AIOPS_DIAGNOSIS__PRIORS", "false")
    assert diagnose() == before


def test_telling_twice_is_telling_once_and_telling_otherwise_replaces(
    run: Run, diagnose: Callable[..., dict[str, Any]]
) -> None:
    report = diagnose()
    first, second = (cause["node"] for cause in report["root_causes"][:2])
    assert listed(run) == []
    run("feedback", report["id"], "--cause", second)
    (once,) = listed(run)
    assert "known already" in run("feedback", report["id"], "--cause", second).err
    assert listed(run) == [once]
    run("feedback", report["id"], "--cause", first, "--wrong", "--note", "a red\nherring")
    (other,) = listed(run)
    assert (other["cause"], other["wrong"], other["note"]) == (first, True, "a red\nherring")
    assert "a red herring" in run("feedback", "--list").out
    assert prior_of(diagnose(), first) == []
    entries = [json.loads(line) for line in run("audit", "export").out.splitlines()]
    assert [entry["kind"] for entry in entries].count("feedback") == 2
    turns = [entry["entry"] for entry in entries if entry["kind"] == "turn" and entry["entry"]["action"] == "feedback"]
    assert [(turn["result"], turn["status"]) for turn in turns] == [
        (second, "success"),
        (second, "success"),
        (f"not {first}", "success"),
    ]


def test_the_list_of_reports_says_what_people_told(run: Run, diagnose: Callable[..., dict[str, Any]]) -> None:
    def column() -> str:
        (row,) = json.loads(run("reports", "--format", "json").out)
        return str(row["feedback"])

    report = diagnose()
    first, second, third = (cause["node"] for cause in report["root_causes"])
    assert column() == ""
    for told, says in (
        ((first,), "confirmed"),
        ((second,), "wrong"),
        ((first, "--wrong"), "wrong"),
        ((third, "--wrong"), ""),
    ):
        run("feedback", report["id"], "--cause", *told)
        assert column() == says
    assert "feedback" in run("reports").out.splitlines()[0]


def test_what_makes_no_sense_is_refused_with_what_would(run: Run, diagnose: Callable[..., dict[str, Any]]) -> None:
    report = diagnose()
    first = report["root_causes"][0]["node"]
    unknown = run("feedback", "0123", "--cause", first)
    assert unknown.code == 2
    assert "aiops reports" in unknown.err
    mistyped = run("feedback", report["id"], "--cause", first[:-1])
    assert mistyped.code == 2
    assert f"did you mean {first}" in mistyped.err
    for name in ("_entry", "", "'; DROP TABLE feedback --"):
        assert run("feedback", report["id"], "--cause", name).code == 2
    assert run("feedback", report["id"], "--withdraw").code == 2
    for args in (
        (),
        ("--list", "--withdraw"),
        (report["id"],),
        ("--cause", first),
        (report["id"], "--list"),
        (report["id"], "--withdraw", "--note", "x"),
        (report["id"], "--cause", first, "--note", "x" * 2001),
    ):
        assert run("feedback", *args).code == 2
    assert listed(run) == []
