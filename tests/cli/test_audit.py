"""`aiops audit`: what was asked is there, whole, and can be proved elsewhere."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import aiops

Run = Callable[..., Any]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """As `openssl genpkey -algorithm ed25519` writes it; beside it the public one."""
    made, form = Ed25519PrivateKey.generate(), serialization
    file = tmp_path / "audit.pem"
    file.write_bytes(made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    public = made.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    file.with_suffix(".pub").write_bytes(public)
    return file


@pytest.fixture
def log(environment: None) -> None:
    with aiops.connect() as ops:
        for number in range(5):
            ops.store.audit("test", {"n": number, "说": "慢"})


def entries(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("audit", "export").out.splitlines()]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_asking_and_running_leave_entries(run: Run, demo_case: Path) -> None:
    case = f"case:{demo_case}"
    assert run("ask", "--metrics", case, "--plan", "why is the gateway slow? password=hunter2x").code in (0, 1)
    assert run("diagnose", "--case", demo_case).code == 0
    assert run("graph", "cut", "nobody", "nothing").code == 2
    assert run("ask", "--metrics", "prometheus+http://127.0.0.1:9", "--plan", "why is checkout slow?").code == 3
    assert run("audit", "verify").out.startswith("4 entries hold")
    asked, ran, cut, failed = (each["entry"] for each in entries(run))
    assert (asked["action"], asked["channel"], asked["status"]) == ("ask", "cli", "success")
    assert asked["text"] == "why is the gateway slow? password=***"
    assert (ran["action"], ran["result"], len(ran["report"])) == ("run", "found", 16)
    assert (cut["action"], cut["status"]) == ("graph cut", "failed")
    assert (failed["action"], failed["status"]) == ("ask", "failed")
    assert asked["actor"] == ran["actor"] != ""


def test_a_session_is_a_conversation(run: Run, demo_case: Path) -> None:
    def ask(text: str, session: str) -> str:
        return str(run("ask", "--metrics", f"case:{demo_case}", "--plan", "--session", session, text).out)

    first = ask("show me the latency of gateway over the last 30 minutes", "s1")
    assert "over" in first or "window" in first
    for session in ("s1", "."):
        ask("show me the latency of gateway over the last 30 minutes", session)
        assert "gateway" in ask("only the last hour", session)
    assert "gateway" not in ask("only the last hour", "s2")
    assert {e["entry"]["session"] for e in entries(run)} >= {"s1", "s2"}


def test_an_export_is_checked_elsewhere(run: Run, log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.jsonl"
    told = run("audit", "export", "-o", file)
    assert (told.code, told.out) == (0, "")
    assert "exported 5 entries" in told.err
    assert file.read_text("utf-8") == run("audit", "export").out
    assert "慢" in file.read_text("utf-8")
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "elsewhere"))
    checked = run("audit", "verify", file)
    assert (checked.code, "5 entries from 0 hold" in checked.out) == (0, True)
    assert not (tmp_path / "elsewhere" / "store.db").exists()
    edit(file, '"n": 3', '"n": 4')
    broken = run("audit", "verify", file)
    assert (broken.code, "entry 3 was changed" in broken.err, broken.out) == (5, True, "")
    assert run("audit", "verify", tmp_path / "none").code == 2
    assert run("audit", "verify", file, file, "--head", file).code == 2


def test_an_export_overwrites_nothing(run: Run, log: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    assert run("audit", "export", "-o", file).code == 0
    before = file.read_bytes()
    again = run("audit", "export", "-o", file)
    assert (again.code, file.read_bytes()) == (2, before)
    assert run("audit", "export", "-o", tmp_path / "no" / "where").code == 2


def test_what_was_cut_off_the_end_is_missed_by_the_head(run: Run, log: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", file)
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:3]), "utf-8")
    assert "entries 3 to 4 were cut off" in run("audit", "verify", file).err
    head = file.with_name("audit.jsonl.head.json")
    moved = head.rename(tmp_path / "kept.json")
    assert run("audit", "verify", file, "--head", moved).code == 5
    without = run("audit", "verify", file)
    assert (without.code, "would not be missed" in without.err) == (0, True)


def test_the_log_itself_is_checked_against_an_earlier_head(run: Run, log: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", file)
    head = file.with_name("audit.jsonl.head.json")
    run("graph", "cut", "nobody", "nothing")
    assert run("audit", "verify", "--head", head).code == 0
    store = tmp_path / "home" / "store.db"
    shorter = """
        DELETE FROM audit WHERE number >= 3;
        UPDATE audit_head SET count = 3, hash = (SELECT hash FROM audit WHERE number = 2);"""
    with sqlite3.connect(store) as file_of:
        file_of.executescript(shorter)
    file_of.close()
    assert run("audit", "verify").code == 0  # whoever writes the file can make it fit
    missed = run("audit", "verify", "--head", head)
    assert (missed.code, "entries 3 to 4" in missed.err) == (5, True)
    with aiops.connect() as ops:
        for number in range(9):
            ops.store.audit("test", {"n": number + 100})
    rewritten = run("audit", "verify", "--head", head)
    assert (rewritten.code, "rewritten" in rewritten.err) == (5, True)


def test_a_signed_head_is_trusted_by_its_key_alone(
    run: Run, log: None, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, head = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.head.json"
    monkeypatch.setenv("AIOPS_STORES__AUDIT_KEY_FILE", str(key))
    assert "signed by SHA256:" in run("audit", "export", "-o", file).err
    assert run("audit", "verify", file).code == 0
    monkeypatch.delenv("AIOPS_STORES__AUDIT_KEY_FILE")
    assert "not checked" in run("audit", "verify", file).err
    for trusted in (key, key.with_suffix(".pub")):
        assert run("audit", "verify", file, "--key", trusted).code == 0
    assert run("audit", "verify", "--head", head, "--key", key.with_suffix(".pub")).code == 0
    good = head.read_text("utf-8")
    for old, new in (('"entries": 5', '"entries": 4'), ('"first": 0', '"first": 1'), ('"hash": "', '"hash": "00')):
        head.write_text(good, "utf-8")
        edit(head, old, new)
        assert run("audit", "verify", file, "--key", key).code == 5, (old, new)
    unsigned = json.loads(good) | {"key": "", "signature": ""}
    head.write_text(json.dumps(unsigned, indent=2) + "\n", "utf-8")
    assert run("audit", "verify", file, "--key", key).code == 5
    head.write_text(good, "utf-8")
    other = Ed25519PrivateKey.generate().public_key()
    own = serialization
    wrong = tmp_path / "other.pub"
    wrong.write_bytes(other.public_bytes(own.Encoding.PEM, own.PublicFormat.SubjectPublicKeyInfo))
    assert run("audit", "verify", file, "--key", wrong).code == 5
    for content in ("", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        wrong.write_text(content)
        assert run("audit", "verify", file, "--key", wrong).code == (0 if not content else 2)


def test_openssl_makes_keys_and_checks_signatures(
    run: Run, log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, public = tmp_path / "k.pem", tmp_path / "k.pub"

    def openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    try:
        openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl 1.1.1 or newer")
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    monkeypatch.setenv("AIOPS_STORES__AUDIT_KEY_FILE", str(key))
    file = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", file)
    monkeypatch.delenv("AIOPS_STORES__AUDIT_KEY_FILE")
    assert run("audit", "verify", file, "--key", public).code == 0


def test_a_key_that_is_none_is_said_before_anything_is_written(
    run: Run, log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("hunter2")
    monkeypatch.setenv("AIOPS_STORES__AUDIT_KEY_FILE", str(tmp_path / "key"))
    told = run("audit", "export", "-o", tmp_path / "audit.jsonl")
    assert (told.code, "hunter2" in told.err) == (2, False)
    assert not (tmp_path / "audit.jsonl").exists()


def test_archives_go_on_where_the_one_before_ends(
    run: Run, log: None, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOPS_STORES__AUDIT_KEY_FILE", str(key))
    first, second, rest = (tmp_path / f"{name}.jsonl" for name in ("first", "second", "rest"))
    age(tmp_path, 3)
    told = run("audit", "export", "-o", first, "--archive", "30d")
    assert "archived 3 entries" in told.err
    assert run("audit", "verify").out.startswith("6 entries hold")
    assert [e["number"] for e in entries(run)] == [3, 4, 5]
    checkpoint = entries(run)[-1]
    assert (checkpoint["kind"], checkpoint["entry"]["file"], checkpoint["entry"]["until"]) == (
        "checkpoint",
        "first.jsonl",
        3,
    )
    none = run("audit", "export", "-o", second, "--archive", "30d")
    assert (none.code, second.exists()) == (2, False)
    age(tmp_path, 5)
    assert run("audit", "export", "-o", second, "--archive", "30d").code == 0
    run("audit", "export", "-o", rest)
    assert run("audit", "verify").code == 0
    told = run("audit", "verify", first, second, rest)
    assert (told.code, [line.split(": ")[1].split(" hold")[0] for line in told.out.splitlines()]) == (
        0,
        ["3 entries from 0", "2 entries from 3", "2 entries from 5"],
    )
    assert run("audit", "verify", first, rest).code == 5
    assert run("audit", "verify", second, first).code == 5
    assert run("audit", "export", "--archive", "30d").code == 2


def age(folder: Path, below: int) -> None:
    """Makes entries older, as time would, with the hashes that they would have."""
    from aiops.schema.audit import Entry, link

    with sqlite3.connect(folder / "home" / "store.db") as file:
        ((_, previous),) = file.execute("SELECT number, hash FROM audit_begin").fetchall()
        rows = file.execute("SELECT number, at, kind, entry, hash FROM audit ORDER BY number").fetchall()
        for number, at, kind, text, _ in rows:
            moved = at - 40 * 86_400_000 if number < below and at > 1_700_000_000_000 else at
            entry = Entry(number, moved, kind, text, link(previous, number, moved, kind, text))
            file.execute("UPDATE audit SET at = ?, hash = ? WHERE number = ?", (entry.at, entry.hash, number))
            previous = entry.hash
        file.execute("UPDATE audit_head SET hash = ?", (previous,))
    file.close()
