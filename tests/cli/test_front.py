"""What holds for every command: instant help, one line for a failure, the documented exit codes, docs that are the code."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from aiops import cli
from aiops.cli import manual

DOCS = Path(__file__).parents[2] / "docs" / "help.md"
Run = Callable[..., Any]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_sentences_of_the_table_are_the_commands_own(name: str) -> None:
    module, sentence = cli.COMMANDS[name]
    command = getattr(importlib.import_module(module), name)
    assert isinstance(command, click.Command)
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == sentence


def test_docs_help_is_what_the_commands_say() -> None:
    assert DOCS.read_text(encoding="utf-8") == manual.page(), "python -m aiops.cli.manual > docs/help.md"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from aiops import cli; cli.run(['--help']); print(sorted({m.partition('.')[0] for m in sys.modules}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = told.splitlines()[-1]
    for heavy in ("numpy", "numba", "pyarrow", "pandas", "fastapi", "pydantic", "yaml", "requests", "jinja2"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    told = run(name, "--help")
    assert told.code == 0
    assert told.out.startswith("Usage: aiops")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["diagnose"], "--alert, --case and --symptom"),
        (["diagnose", "--symptom", "a", "--at", "noon"], "noon"),
        (["diagnose", "--symptom", "a", "--at", "2026-01-31T12:00:00"], "time zone"),
        (["diagnose", "--symptom", ":metric", "--at", "0"], "service"),
        (["diagnose", "--symptom", "a", "--since", "0s"], "above 0"),
        (["diagnose", "--symptom", "a", "--since", "99999999w"], "ten years"),
        (["diagnose", "--symptom", "a"], "--metrics"),
        (["diagnose", "--symptom", "a", "--format", "pdf"], "pdf"),
        (["diagnose", "--case", "/no/such/case"], "/no/such/case"),
        (["diagnose", "--alert", "/no/such/file"], "/no/such/file"),
        (["diagnose", "--metrics", "carbon://x", "--symptom", "a"], "prometheus+http"),
        (["diagnose", "--metrics", "prometheus+http://u:hush@x", "--symptom", "a"], "password"),
        (["ask"], "TEXT"),
        (["ask", "why", "is", "it", "slow?"], "--metrics"),
        (["run", "/no/such/task.yaml"], "/no/such/task.yaml"),
        (["reports", "none"], "none"),
        (["replay", "none"], "none"),
        (["graph", "show", "nobody"], "nobody"),
        (["graph", "cut", "a", "b"], "a -> b"),
        (["config", "show", "no.such"], "no.such"),
        (["serve"], "--metrics"),
        (["bench", "rca", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_usage_is_one_line_and_exit_2(run: Run, args: list[str], named: str) -> None:
    told = run(*args)
    assert told.code == 2
    assert named in told.err
    assert told.err.count("\n") == 1
    assert "hush" not in told.err
    assert told.out == ""


def test_arguments_that_are_not_utf_8(spawn: Run, demo_case: Path) -> None:
    told = spawn("diagnose", "--case", demo_case, "--symptom", os.fsdecode(b"caf\xe9"))
    assert told.code == 2
    assert "UTF-8" in told.err


def test_a_wrong_setting_is_exit_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_DIAGNOSIS__DEADLINE_S", "soon")
    told = run("reports")
    assert told.code == 2
    assert "diagnosis.deadline_s" in told.err


def test_a_home_that_cannot_be_used_is_exit_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = run("reports", "--home", tmp_path / "file" / "home")
    assert told.code == 2
    assert str(tmp_path / "file") in told.err


def test_a_store_that_is_none_is_exit_5(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store.db").write_text("no database" * 100)
    told = run("reports")
    assert told.code == 5
    assert "store.db" in told.err


def test_a_defect_is_exit_5_with_a_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\ndefect")

    monkeypatch.setattr("aiops.settings.load", broken)
    told = run("reports")
    assert told.code == 5
    assert told.err == "aiops: internal error: ZeroDivisionError: a defect (aiops --debug ... shows the traceback)\n"
    with pytest.raises(ZeroDivisionError):
        cli.run(["--debug", "reports"])


def test_the_version_is_printed(run: Run) -> None:
    from aiops import __version__

    assert run("--version").out == f"aiops, version {__version__}\n"


def test_a_closed_pipe_is_no_failure(environment: None, demo_case: Path) -> None:
    """`aiops demo | head -1`: the reader has read enough."""
    aiops = Path(sys.executable).with_name("aiops")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [aiops, "config", "show"], stdout=closed, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_is_exit_130(environment: None) -> None:
    aiops = Path(sys.executable).with_name("aiops")
    command = ["env", "--default-signal=INT", aiops, "run", "-"]  # a suite that runs in the background ignores it
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_read(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
        assert process.stderr
        told = process.stderr.read()
    assert "interrupted" in told
    assert "Traceback" not in told


def wait_for_read(process: subprocess.Popen[str]) -> None:
    """Until the process sleeps in read(0, ...): its start-up, where Python itself would print, lies behind it."""
    for _ in range(2400):
        if Path(f"/proc/{process.pid}/syscall").read_text().startswith("0 0x0 "):
            return
        time.sleep(0.05)
    raise AssertionError("it does not read stdin")
