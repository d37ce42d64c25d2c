"""What the commands share: options, times, opening the house, and putting an answer out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aiops import settings

if TYPE_CHECKING:
    from aiops.domain import Report
    from aiops.ops import Ops

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("text", "json", "yaml", "md", "html")
LANGUAGES = ("en", "zh")  # of aiops.render.language
OF_ENDING = {".txt": "text", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".md": "md", ".html": "html"}
OF_TASK = {"json": "json", "markdown": "md", "plaintext": "text"}

_NAMED = ("sources.metrics", "sources.logs", "sources.traces", "stores.graph", "stores.queue")
_FLAGS = {name.partition(".")[2]: name for name in _NAMED}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


# ---------------------------------------------------------------- parameters


class Moment(click.ParamType[datetime]):
    """RFC 3339 with a time zone, or seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from aiops.schema import moments

        if isinstance(value, datetime):
            return value
        try:
            if re.fullmatch(r"\d+(\.\d+)?", value):
                return moments.utc(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(value)))
            return moments.utc(datetime.fromisoformat(value))
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r}: {error}; write 2026-01-31T12:00:00Z or seconds since the epoch", param, ctx)


class Duration(click.ParamType[timedelta]):
    """`90s`, `1h30m`, `2d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if not re.fullmatch(r"(\d{1,9}[smhdw])+", value):
            self.fail(f"{value!r} is no duration; write 90s, 1h30m or 2d", param, ctx)
        seconds = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhdw])", value))
        if not 0 < seconds <= 10 * 366 * 86_400:
            self.fail(f"{value!r} must be above 0 and at most ten years", param, ctx)
        return timedelta(seconds=seconds)


def sources(command: F) -> F:
    """The flags that say where data is; handed on as `flags`, a mapping of setting names, and `home`."""
    docs = {setting.name: setting.doc for setting in settings.TABLE}
    for flag, name in reversed(_FLAGS.items()):
        option = click.option(f"--{flag}", metavar="URL", help=f"{docs[name]}.", expose_value=False, callback=_keep)
        command = option(command)
    return home(command)


def home(command: F) -> F:
    """`--home`, where there are no sources to name."""
    return click.option(
        "--home", metavar="DIR", help="Where reports and settings are kept (default: $AIOPS_HOME or ~/.aiops)."
    )(command)


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta.setdefault("aiops.flags", {})[_FLAGS[str(param.name)]] = value


def answers(command: F) -> F:
    """`--format`, `--lang` and `-o`."""
    command = click.option(
        "--lang",
        type=click.Choice(LANGUAGES),
        help="Language of the answer (default: that of the question, else en).",
        expose_value=False,
        callback=_speak,
    )(command)
    command = click.option(
        "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
    )(command)
    return click.option(
        "--format", "form", type=click.Choice(FORMATS), help="Form of the answer (default: text, or as FILE ends)."
    )(command)


def _speak(ctx: click.Context, param: click.Parameter, value: str | None) -> None:  # noqa: ARG001 - click's signature
    if value is not None:
        ctx.meta["aiops.language"] = value


def asked_in(text: str) -> None:
    """The answer is in the language of the question, unless `--lang` says otherwise."""
    from aiops.render import language

    click.get_current_context().meta.setdefault("aiops.language", language.of_text(text))


def note(message: str) -> None:
    """Progress and remarks: stderr, so that stdout stays data."""
    click.echo(message, err=True)


# ---------------------------------------------------------------- the house


def config(home: str | None, **more: str) -> settings.Settings:
    """Settings with this command line's flags; `more` names settings with `__` for the dot."""
    ctx = click.get_current_context()
    flags = dict(ctx.meta.get("aiops.flags", {})) | {k.replace("__", "."): v for k, v in more.items()}
    return settings.load(flags, home)


def connect(home: str | None, **more: str) -> Ops:
    """The wired house, where this user asks through the terminal; the caller closes it."""
    from aiops import app
    from aiops.domain import Actor

    ops = app.build(config(home, **more))
    return ops.by(Actor("cli", ops.actor.name))


def session(name: str) -> str:
    """A session's name; `.` stands for this terminal."""
    if name != ".":
        return name
    terminal = next((os.ttyname(stream) for stream in range(3) if os.isatty(stream)), "")
    return f"terminal {terminal} {os.getsid(0)}"


def log_to_stderr(config: settings.Settings) -> None:
    """The program's log, as the settings say, without the secrets in it."""
    from aiops.service import logs

    logs.to_stderr(config.text("log.form"), config.text("log.level"))


# ---------------------------------------------------------------- answers


def answer(ops: Ops, report: Report, form: str | None, output: Path | None) -> int:
    """Puts the report out and returns the exit code that its verdict stands for."""
    from aiops.domain import Verdict

    put(rendered(ops, report, chosen(form, output)), output)
    return 0 if report.verdict is Verdict.FOUND else 1


def chosen(form: str | None, output: Path | None) -> str:
    """The form asked for, or the one the file's ending means, or text."""
    return form or (OF_ENDING.get(output.suffix.lower(), "text") if output else "text")


def rendered(ops: Ops, report: Report, form: str) -> str:
    """The report in one of FORMATS, times in the zone of the settings, words in the language of `--lang` or the question."""
    from zoneinfo import ZoneInfo

    from aiops.render import html, markdown, text
    from aiops.schema import wire

    zone, language = ZoneInfo(ops.timezone), click.get_current_context().meta.get("aiops.language", "en")
    if form == "text":
        return text.text(report, tz=zone, language=language)
    if form == "md":
        return markdown.markdown(report, tz=zone, language=language)
    if form == "html":
        return html.html(report, tz=zone, language=language)
    return dumped(wire.public_report(report), form)


def dumped(data: Any, form: str) -> str:
    """Plain data as JSON or YAML."""
    if form == "json":
        import json

        return json.dumps(data, indent=2, ensure_ascii=False, default=str)
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def put(text: str, output: Path | None) -> None:
    """Writes data to the file or to stdout. A reader that closes the pipe (`| head`) has read enough: no failure."""
    from aiops.errors import UsageError

    text = text if text.endswith("\n") else text + "\n"
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"can't write {output}: {error.strerror}") from error
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read(path: str) -> bytes:
    """A file's content, or stdin for `-`. UsageError when it can't be read."""
    from aiops.errors import UsageError

    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
