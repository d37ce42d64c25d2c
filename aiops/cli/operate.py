"""The commands of whoever runs aiops: serve, worker, doctor, config."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.service.chat.platforms import Platforms
    from aiops.service.worker import Terms
    from aiops.settings import Settings


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to listen (default: 127.0.0.1:8642; port 0: any free one).")
@click.option("--external-url", metavar="URL", help="How people reach this server; makes every link absolute.")
@common.sources
def serve(listen: str | None, external_url: str | None, home: str | None) -> int:
    """Take alerts over HTTP and diagnose them.

    Point an Alertmanager receiver at /v1/webhooks/alertmanager, a Grafana contact point at /v1/webhooks/grafana. Without
    service.tokens_file it listens on the loopback alone. SIGTERM lets the running diagnosis end (10 s at most)."""
    from aiops import app
    from aiops.errors import ConfigError
    from aiops.service import server
    from aiops.service.access import Access, Tokens
    from aiops.service.hooks import Signature

    flags = {"service__listen": listen, "service__external_url": external_url}
    settings = common.config(home, **{k: v for k, v in flags.items() if v is not None})
    if not settings.text("sources.metrics"):
        raise ConfigError("no metrics source: give --metrics prometheus+http://HOST:PORT")
    tokens = Tokens(Path(named).expanduser()) if (named := settings.text("service.tokens_file")) else None
    secret = settings.secret("service.grafana_secret_file")
    stamped = settings.text("service.grafana_timestamp_header").lower().encode()
    common.log_to_stderr(settings)
    # The server raises the signal again once it has drained; this way everything is closed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    opened = server.bind(settings.text("service.listen"), anywhere=tokens is not None)

    def listening() -> None:
        server.settle()
        common.note(f"aiops listens on {server.url(opened)}")

    code: int | str | None = 0
    with opened, _terms(settings) as terms, app.build(settings) as ops:
        serving = server.server(
            ops,
            external_url=settings.text("service.external_url"),
            body_limit=int(settings.number("service.body_limit_mb") * 2**20),
            ready=listening,
            access=Access(tokens),
            signature=Signature(secret.encode(), stamped) if secret else None,
            terms=terms if settings.truth("service.worker") else None,
            platforms=_platforms(settings),
            marks=app.grafana(settings),
        )
        try:
            serving.run(sockets=[opened])
        except SystemExit as ended:
            code = ended.code
    _leave(int(code or 0))


def _platforms(settings: Settings) -> Platforms:
    """The chat platforms that are set up."""
    from aiops.service.chat import setup

    return setup.platforms(settings)


def _leave(code: int) -> NoReturn:
    """Ends the process at once: a read that hangs would keep it until its own deadline. What is durable is so by now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@click.command()
@click.option("--labels", metavar="NAME:VALUE...", help="What this worker has; jobs that need more are not its.")
@click.option("--jobs", metavar="N", help="How many diagnoses it makes at once (default: 1).")
@click.option("--listen", metavar="HOST:PORT", help="Where /metrics, /healthz and /readyz are (default: nowhere).")
@common.sources
def worker(labels: str | None, jobs: str | None, listen: str | None, home: str | None) -> int:
    """Make the diagnoses that wait in a queue.

    Takes jobs from --queue, which it shares with an `aiops serve` and other workers; the server stores what they make.
    SIGTERM lets the running diagnoses end (10 s at most); what does not end in time goes back to the queue."""
    from aiops import app
    from aiops.errors import ConfigError
    from aiops.service import standalone

    flags = {"worker__labels": labels, "worker__jobs": jobs, "worker__listen": listen}
    settings = common.config(home, **{k: v for k, v in flags.items() if v is not None})
    if not settings.text("sources.metrics"):
        raise ConfigError("no metrics source: give --metrics prometheus+http://HOST:PORT")
    common.log_to_stderr(settings)
    with _terms(settings) as terms, app.hand(settings) as hand:
        standalone.run(hand, terms, settings.text("worker.listen"), common.note)
    _leave(0)


@click.command()
@common.sources
def mcp(home: str | None) -> int:
    """Let an agent ask, over standard input and output.

    Speaks the Model Context Protocol: an agent starts this command and gets tools that read words, start diagnoses, read
    reports and forecast. None of them acts on a system. `aiops serve` has the same tools at /mcp."""
    from aiops import app
    from aiops.errors import ConfigError
    from aiops.service import mcp as agents

    settings = common.config(home)
    if not settings.text("sources.metrics"):
        raise ConfigError("no metrics source: give --metrics prometheus+http://HOST:PORT")
    common.log_to_stderr(settings)
    with _terms(settings) as terms, app.build(settings) as ops:
        agents.stdio(ops, settings.text("service.external_url"), terms if settings.truth("service.worker") else None)
    _leave(0)


@contextmanager
def _terms(settings: Settings) -> Iterator[Terms]:
    """Of the worker in this process; at the end the last of its traces are sent."""
    from aiops.flows import work
    from aiops.service import tracing
    from aiops.service.worker import Terms, name

    labels = work.lane(settings.text("worker.labels"), "worker.labels")
    token = settings.secret("trace.token_file")
    with tracing.watching(settings.text("trace.url"), name(), token) as watchers:
        yield Terms(labels, int(settings.number("worker.jobs")), watchers)


@click.command()
@click.option("--live", is_flag=True, help="Also ask each part what a diagnosis asks of it, and time it.")
@click.option(
    "--send-test-alert", is_flag=True, help="Instead send an alert to the running server, and follow it to its report."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An operator's token, for a test alert that goes straight to a server with tokens.",
)
@click.option("--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True)
@common.sources
def doctor(live: bool, send_test_alert: bool, token_file: Path | None, form: str, home: str | None) -> int:
    """Say what is there, what is missing, and how to mend it.

    A test alert goes by the Alertmanager of sources.silences, where one is set, else straight to service.listen. It is a real one,
    named AiopsTest and a number, about a service that there is: it is diagnosed, told in the chat, and resolved again.

    Exit code: 0 when all that is needed works (what is poor or missing costs a diagnosis something, and is told), 2 for a setting or
    a rule that is wrong, 3 for a source, the queue's workers or a test alert that did not arrive, 4 for a sandbox that can't confine,
    5 for a store."""
    from aiops.cli import check, testalert

    def load() -> Settings:
        return common.config(home)

    told = testalert.parts(load, token_file) if send_test_alert else check.parts(load, live=live)
    seen = []
    for part in told:
        seen.append(part)
        if form == "text":
            common.put(part.line(), None)
    if form != "text":
        common.put(common.dumped([part.plain() for part in seen], form), None)
    return next((part.exit_code for part in seen if part.exit_code), 0)


# ---------------------------------------------------------------- config


@click.group()
def config() -> None:
    """Write, show and check the settings."""


@config.command()
@common.home
def init(home: str | None) -> int:
    """Write config.toml into the home directory, every setting commented out."""
    from aiops import settings
    from aiops.errors import ConfigError

    where = settings.load(home=home).home / "config.toml"
    try:
        where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with where.open("x", encoding="utf-8") as file:
            file.write(settings.template())
    except FileExistsError as error:
        raise ConfigError(f"{where} is there already; it is left as it is") from error
    except OSError as error:
        raise ConfigError(f"can't write {where}: {error.strerror}") from error
    common.note(f"wrote {where}")
    return 0


@config.command()
@click.argument("name", required=False, metavar="[SETTING]")
@click.option("--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True)
@common.sources
def show(name: str | None, form: str, home: str | None) -> int:
    """Show every setting, or one, with its value and where that came from."""
    from aiops.cli.answers import columns
    from aiops.errors import NotFound
    from aiops.settings import TABLE

    settings = common.config(home)
    chosen = [s for s in TABLE if name in (None, s.name)]
    if not chosen:
        raise NotFound(f"no setting {name!r}; there are {', '.join(s.name for s in TABLE)}")
    if form == "text":
        rows = [(s.name, json.dumps(settings.values[s.name]), settings.origins[s.name], s.doc) for s in chosen]
        common.note(f"home: {settings.home}")
        common.put(columns([("setting", "value", "origin", "meaning"), *rows]), None)
    else:
        plain = {s.name: {"value": settings.values[s.name], "origin": settings.origins[s.name]} for s in chosen}
        common.put(common.dumped({"home": str(settings.home), "settings": plain}, form), None)
    return 0


@config.command()
@common.sources
def check(home: str | None) -> int:
    """Check settings, rules and that every adapter they name exists and opens; contacts nobody."""
    from aiops import app

    settings = common.config(home)
    if not settings.text("sources.metrics"):
        common.note("sources.metrics is not set: nothing can be diagnosed but recorded incidents")
    app.build(settings).close()
    app.grafana(settings)
    common.put(f"{settings.home}: settings and rules are in order", None)
    return 0


@config.command()
@click.argument("role", type=click.Choice(("viewer", "operator", "approver", "admin")))
@click.argument("name")
@common.home
def token(role: str, name: str, home: str | None) -> int:
    """Make a token for NAME: its hash goes into service.tokens_file, the token itself to stdout, once.

    A server that runs takes it within a second. To take it back, remove its line."""
    from aiops.errors import ConfigError
    from aiops.service import access

    file = common.config(home).text("service.tokens_file")
    if not file:
        raise ConfigError("service.tokens_file is not set: name a file for the tokens' hashes in config.toml")
    made, line = access.new_token(role, name)
    where = Path(file).expanduser()
    try:
        with open(where, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as tokens:
            tokens.write(f"{line}\n")
    except OSError as error:
        raise ConfigError(f"can't write {where}: {error.strerror}") from error
    common.note(f"wrote the hash to {where}")
    common.put(made, None)
    return 0
