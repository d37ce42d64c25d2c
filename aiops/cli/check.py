"""What `aiops doctor` looks at: whether each part is there and, `--live`, whether it answers what a diagnosis asks of it."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aiops.errors import AiopsError

if TYPE_CHECKING:
    from aiops.flows.checkup import Finding
    from aiops.ops import Ops
    from aiops.settings import Settings

PING_S = 5.0
ASK_S = 20.0  # for what a diagnosis asks, which is more than a knock
LOW, FULL = 1 << 30, 100 << 20  # bytes left on the disk: few, and too few
_MARKS = {"ok": "ok     ", "poor": "poor   ", "missing": "missing", "failed": "FAILED "}


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `ok`, `poor` (works, and a diagnosis gets less of it than it could), `missing` (works without) or `failed`; what was
    seen, and in how many seconds; the one thing that mends it."""

    name: str
    state: str
    says: str
    mend: str = ""
    exit_code: int = 0
    seconds: float | None = None

    def line(self) -> str:
        took = "" if self.seconds is None else f"   ({self.seconds * 1000:.0f} ms)"
        return f"{_MARKS[self.state]}  {self.name:<16}{self.says}{took}" + (
            f"\n{'':25}-> {self.mend}" if self.mend else ""
        )

    def plain(self) -> dict[str, Any]:
        told = {k: v for k, v in asdict(self).items() if k != "exit_code"}
        return told | ({} if self.seconds is None else {"seconds": round(self.seconds, 4)})


def parts(load: Callable[[], Settings], *, live: bool) -> Iterator[Part]:
    """Every part, needed ones first. `live` asks each what a diagnosis would, instead of only knocking."""
    yield Part("python", "ok", f"{platform.python_version()} on {platform.machine()}")
    yield _package("numba")
    try:
        settings = load()
    except AiopsError as error:
        yield Part("settings", "failed", str(error), "aiops config check", error.exit_code)
        return
    yield Part("settings", "ok", f"home {settings.home}")
    yield _disk(settings)
    yield from _house(settings, live)
    yield _sandbox(settings)


def _package(name: str) -> Part:
    if find_spec(name) is None:
        return Part(name, "failed", "is not installed", "make install", 5)
    return Part(name, "ok", version(name))


def _disk(settings: Settings) -> Part:
    """Room for what is kept: where there is none, notifications are refused."""
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    says = f"{free / 2**30:.1f} GiB free at {place}"
    if free >= LOW:
        return Part("disk", "ok", says)
    return Part("disk", "failed" if free < FULL else "poor", says, f"df {place}", 5 if free < FULL else 0)


def _house(settings: Settings, live: bool) -> Iterator[Part]:
    """Stores, rules and sources: opened as every command opens them."""
    from aiops import app

    try:
        ops = app.build(settings)
    except AiopsError as error:
        yield Part("house", "failed", str(error), "aiops config check", error.exit_code)
        return
    with ops:
        yield from _rules(ops, settings, live)
        for name, ping in (("store", ops.store.ping), ("queue", ops.queue.ping), ("graph", ops.sources.graph.ping)):
            local = name == "store" or settings.text(f"stores.{name}").startswith("sqlite:")
            yield _pinged(name, ping, f"ls -ld {settings.home}" if local else f"aiops config show stores.{name}")
        yield from _workers(ops)
        if stopped := ops.repairs.stopped():
            yield Part("repairs", "missing", f"are stopped: {stopped}", "aiops remediate resume")
        yield from _sources(ops, settings)
        if live:
            yield from _live(ops, settings)


def _rules(ops: Ops, settings: Settings, live: bool) -> Iterator[Part]:
    from aiops import app
    from aiops.stages import prescribe

    books = ops.rules.runbooks
    says = f"{len(books)} runbooks, hash {ops.rules.hashes.get('rules', '')}"
    wrong = [failure for book in books for failure in prescribe.failures(book)] if live else []
    if wrong:
        yield Part("rules", "failed", f"{len(wrong)} of their tests fail: {wrong[0]}", "aiops rules test", 2)
    else:
        yield Part("rules", "ok", f"{says}; their tests pass" if live else says)
    try:
        app.executor(settings)
    except AiopsError as error:
        yield Part("targets", "failed", str(error), "mend rules/targets.yaml", error.exit_code)


def _workers(ops: Ops) -> Iterator[Part]:
    """Who is alive, and whether somebody may take what waits."""
    from aiops.flows import work

    try:
        workers, lanes = ops.queue.workers(), ops.queue.lanes()
    except AiopsError:
        return  # the queue has said so itself
    alive = [f"{worker.name} ({', '.join(worker.labels) or 'no labels'})" for worker in workers if worker.alive]
    for needed, waiting in sorted(work.unmatched(lanes, workers).items()):
        says = f"{waiting} jobs wait; {work.no_worker(needed, workers)}"
        yield Part(
            "workers", "failed", says, f"aiops worker --labels '{' '.join(needed)}'" if needed else "aiops worker", 3
        )
        return
    if alive:
        yield Part("workers", "ok", "; ".join(alive))
    else:
        yield Part("workers", "missing", "none is alive", "aiops serve, or aiops worker")


def _sources(ops: Ops, settings: Settings) -> Iterator[Part]:
    if not settings.text("sources.metrics"):
        yield Part("metrics", "missing", "no source is configured", "aiops config init   (then set sources.metrics)")
    else:
        yield _pinged("metrics", ops.sources.metrics.ping, _mend("metrics", settings))
    for name, source in (("logs", ops.sources.logs), ("traces", ops.sources.traces)):
        if source is None:
            yield Part(name, "missing", "no source is configured", f"aiops config show sources.{name}")
        else:
            yield _pinged(name, source.ping, _mend(name, settings))
    if ops.silences is not None:
        yield _pinged("silences", ops.silences.ping, _mend("silences", settings))
    yield from _annotations(settings)
    yield from _chats(ops, settings)
    if ops.model is None:
        yield Part("model", "missing", "model.url is empty: rules alone read questions", "aiops config show model.url")
    else:
        yield _pinged("model", ops.model.ping, "make llm", needed=False)


def _annotations(settings: Settings) -> Iterator[Part]:
    """Where onsets and verdicts are annotated, if anywhere: no diagnosis needs it."""
    from aiops import app

    try:
        marks = app.grafana(settings)
    except AiopsError as error:
        yield Part("annotations", "failed", str(error), "aiops config check", error.exit_code)
        return
    if marks is not None:
        yield _pinged("annotations", marks.ping, f"curl {settings.text('grafana.url')}/api/health", needed=False)


def _chats(ops: Ops, settings: Settings) -> Iterator[Part]:
    """What chats are told, and whom people ask there: no diagnosis needs it."""
    from aiops.service.chat import setup

    for chat in ops.chats:
        name = f"chat {chat.name.partition(':')[0]}"  # the rest may be an address
        yield _pinged(name, chat.ping, "aiops config show chat.url", needed=False)
    try:
        apps = setup.platforms(settings).apps
    except AiopsError as error:
        yield Part("chat", "failed", str(error), "aiops config check", error.exit_code)
        return
    for name, app in apps.named():
        yield _pinged(name, app.ping, "aiops config show chat.apps_file", needed=False)


def _mend(name: str, settings: Settings) -> str:
    url = settings.text(f"sources.{name}") or settings.text("sources.metrics")
    rest = url.partition("+")[2]
    return f"curl {rest}" if rest.startswith("http") else f"ls {url.partition(':')[2]}"


# ---------------------------------------------------------------- live


def _live(ops: Ops, settings: Settings) -> Iterator[Part]:
    """What a diagnosis asks, of each part that is set up."""
    from aiops import app
    from aiops.flows import checkup

    sources, entities = ops.sources, ops.rules.entities
    yield _asked("queue, used", lambda: checkup.round_trip(ops.queue), "aiops config show stores.queue")
    yield _asked("graph, read", lambda: checkup.topology(sources.graph), "aiops config show stores.graph")
    seen = checkup.Survey.none()
    if settings.text("sources.metrics"):
        mend = _mend("metrics", settings)

        def look() -> Finding:
            nonlocal seen
            seen = checkup.survey(sources, entities, ASK_S)
            return checkup.names(seen, entities)

        yield _asked("metrics, names", look, mend)
        yield _asked("metrics, read", lambda: checkup.course(sources, entities, seen, ASK_S), mend)
        if sources.logs:
            yield _asked("logs, read", lambda: checkup.lines(sources, entities, seen, ASK_S), _mend("logs", settings))
        if sources.traces:
            yield _asked(
                "traces, read", lambda: checkup.spans(sources, entities, seen, ASK_S), _mend("traces", settings)
            )
    for name, skew in app.clocks(settings):
        yield _asked(f"{name}, clock", lambda skew=skew: checkup.clock(skew(ASK_S)), _mend(name, settings))  # type: ignore[misc]
    if alertmanager := app.alertmanager(settings):
        yield _asked(
            "alerts, sent", lambda: checkup.receivers(alertmanager.webhooks(ASK_S)), _mend("silences", settings)
        )
    if model := ops.model:
        yield _asked("model, asked", lambda: checkup.answer(model, seen, ops.model_timeout_s), "make llm", needed=False)


def _asked(name: str, ask: Callable[[], Finding], mend: str, *, needed: bool = True) -> Part:
    began = time.monotonic()
    try:
        found = ask()
        part = Part(name, "poor" if found.mend else "ok", found.says, found.mend)
    except AiopsError as error:
        part = Part(name, "failed" if needed else "missing", str(error), mend, error.exit_code if needed else 0)
    return replace(part, seconds=time.monotonic() - began)


def _pinged(name: str, ping: Callable[[float], str], mend: str, *, needed: bool = True) -> Part:
    from aiops.flows.checkup import Finding

    return _asked(name, lambda: Finding(ping(PING_S)), mend, needed=needed)


def _sandbox(settings: Settings) -> Part:
    """What repairs are confined with, proven by a run: where it can't be, repairs are only proposed."""
    from aiops import app

    return _pinged("sandbox", app.sandbox(settings).ping, "make sandbox, or apt-get install bubblewrap")
