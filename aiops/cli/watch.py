"""`aiops watch`: the stream in the terminal and as a service."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import TimeRange
    from aiops.flows.watch import Plan, Watch
    from aiops.ports import MetricsSource
    from aiops.settings import Settings


@click.command()
@click.option("--select", "selects", multiple=True, metavar="PROMQL", help="A selector or expression; may be repeated.")
@click.option("--step", type=common.Duration(), metavar="DURATION", help="How often each series is evaluated (30s).")
@click.option("--remember", multiple=True, metavar="SELECTOR", help="Series that get the second tier's memory.")
@click.option("--forecast", multiple=True, metavar="SELECTOR", help="Series whose forecast is exposed.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where /metrics is (default: 127.0.0.1:8643; port 0: any free one)."
)
@click.option(
    "--shard", metavar="K/N", help="Watch the K-th of N parts of the series; other processes watch the others."
)
@click.option("--once", is_flag=True, help="Evaluate what there is, print what /metrics would say, and end.")
@click.option("--report", is_flag=True, help="Print what the saved state knows of the labels, and end.")
@click.option("--metrics", metavar="URL", help="case:PATH or prometheus+http(s)://HOST[:PORT].")
@common.home
def watch(once: bool, report: bool, home: str | None, **given: Any) -> int:
    """Score and forecast every series of a Prometheus at every step.

    Scrape its /metrics: aiops_anomaly_score is 1 where an alert begins. SIGTERM saves what was learnt; the next start goes
    on where it stopped."""
    from aiops import app
    from aiops.errors import ConfigError
    from aiops.flows.watch import Watch, saved, state_file

    settings = common.config(home, **_flags(given))
    plan = _plan(settings)
    file = state_file(settings.home, plan)
    if report:
        return _report(file)
    if not settings.text("sources.metrics"):
        raise ConfigError("no metrics source: give --metrics prometheus+http://HOST:PORT")
    common.log_to_stderr(settings)
    with app.metrics(settings) as source:
        if recording := source.window():
            if not once:
                raise ConfigError("a recording has an end: aiops watch evaluates it with --once")
            return _recorded(source, plan, recording, settings)
        with saved.locked(settings.home, plan.name):
            watched = Watch(source, plan, file, time.time())
            return _once(watched) if once else _serve(watched, settings)


def _flags(given: dict[str, Any]) -> dict[str, str]:
    """The command line as settings."""
    flags = {
        "sources__metrics": given["metrics"],
        "watch__listen": given["listen"],
        # A line is a selection; within one a line break is a space.
        "watch__select": "\n".join(" ".join(text.split("\n")) for text in given["selects"]),
        "watch__remember": "\n".join(given["remember"]),
        "watch__forecast": "\n".join(given["forecast"]),
        "watch__shard": given["shard"],
        "watch__step_s": str(int(given["step"] / timedelta(seconds=1))) if given["step"] else None,
    }
    return {name: text for name, text in flags.items() if text}


def _plan(settings: Settings) -> Plan:
    from aiops.flows.watch import Plan

    def lines(name: str) -> tuple[str, ...]:
        return tuple(filter(None, map(str.strip, settings.text(f"watch.{name}").splitlines())))

    def whole(name: str) -> int:
        return int(settings.number(f"watch.{name}"))

    names = ("pull", "catch_up_s", "overlap_s", "expire_s", "hold_s", "series", "limit", "step_s")
    return Plan(
        queries=lines("select"),
        remember=lines("remember"),
        forecast=lines("forecast"),
        floor=settings.number("watch.floor"),
        timeout_s=settings.number("watch.timeout_s"),
        many=whole("label_values"),
        buckets=whole("label_buckets"),
        shard=_shard(settings.text("watch.shard")),
        shard_by=settings.text("watch.shard_by"),
        **{name: whole(name) for name in names},
    )


def _shard(text: str) -> tuple[int, int]:
    from aiops.errors import ConfigError

    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal()):
        raise ConfigError(f"watch.shard: {text!r} is not K/N, as in 2/4")
    return int(number), int(shards)


def _once(watched: Watch) -> int:
    now = time.time()
    watched.tick(now)
    watched.save(now)
    return _tell(watched)


def _recorded(source: MetricsSource, plan: Plan, window: TimeRange, settings: Settings) -> int:
    """Evaluates the whole of a recording, by default at the interval at which it was sampled."""
    from aiops.flows.watch import recorded

    if settings.origins["watch.step_s"] == "default":
        plan = replace(plan, step_s=recorded.interval_s(source, plan, window))
        common.note(f"a step is {plan.step_s} s, as the recording was sampled")
    return _tell(recorded.evaluated(source, plan, window))


def _tell(watched: Watch) -> int:
    """The page, and for people how far it is."""
    from aiops.schema import exposition

    common.put(exposition.page(watched.families()), None)
    for line in watched.summary():
        common.note(line)
    return 0 if watched.ready else 3


def _serve(watched: Watch, settings: Settings) -> int:
    from aiops.service import server, watching

    # The server raises the signal again once it has drained; this way everything is closed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def end() -> None:
        running.should_exit = True

    watcher = watching.Watcher(watched, settings.number("watch.save_s"), failed=end)
    with server.bind(settings.text("watch.listen"), "watch.listen") as opened:
        told = f"aiops watch tells at {server.url(opened)}/metrics"
        running = server.of(watching.create(watcher), ready=lambda: common.note(told))
        running.run(sockets=[opened])
    if watcher.failure:
        raise watcher.failure
    return 0


def _report(file: Path) -> int:
    """The labels as the saved state knows them."""
    from aiops.cli.answers import columns
    from aiops.errors import NotFound
    from aiops.flows.watch import Names, saved

    if not file.exists():
        raise NotFound(f"there is no {file}: no watch has saved its state there yet")
    names = Names()
    with saved.opened(file) as (head, _):
        names.take(head["names"])
    titles = ("label", "values", "series", "series_per_value", "growth", "chance_bits", "why")
    rows = [tuple(str(row[title] or "") for title in titles) for row in names.report()]
    common.put(columns([tuple(title.replace("_", " ") for title in titles), *rows]), None)
    return 0
