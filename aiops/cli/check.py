"""What `aiops doctor` looks at."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aiops.errors import AiopsError

if TYPE_CHECKING:
    from aiops.ops import Ops
    from aiops.settings import Settings

PING_S = 5.0
_MARKS = {"ok": "ok     ", "missing": "missing", "failed": "FAILED "}


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `ok`, `missing` (works without) or `failed`; what was seen; the one command that mends it."""

    name: str
    state: str
    says: str
    mend: str = ""
    exit_code: int = 0

    def line(self) -> str:
        return f"{_MARKS[self.state]}  {self.name:<14}{self.says}" + (f"\n{'':23}-> {self.mend}" if self.mend else "")

    def plain(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "exit_code"}


def parts(load: Callable[[], Settings], *, live: bool) -> list[Part]:
    """Every part, needed ones first. `live` reads from the sources instead of only knocking."""
    return list(_parts(load, live))


def _parts(load: Callable[[], Settings], live: bool) -> Iterator[Part]:
    yield _python()
    yield _package("numba")
    try:
        settings = load()
    except AiopsError as error:
        yield Part("settings", "failed", str(error), "aiops config check", error.exit_code)
        return
    yield Part("settings", "ok", f"home {settings.home}")
    yield from _house(settings, live)
    yield _sandbox(settings)


def _python() -> Part:
    return Part("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def _package(name: str) -> Part:
    if find_spec(name) is None:
        return Part(name, "failed", "is not installed", "make install", 5)
    return Part(name, "ok", version(name))


def _house(settings: Settings, live: bool) -> Iterator[Part]:
    """Stores, rules and sources: opened as every command opens them."""
    from aiops import app

    try:
        ops = app.build(settings)
    except AiopsError as error:
        yield Part("house", "failed", str(error), "aiops config check", error.exit_code)
        return
    with ops:
        rules = ops.rules
        yield Part("rules", "ok", f"{len(rules.runbooks)} runbooks, hash {rules.hashes.get('rules', '')}")
        for name, ping in (("store", ops.store.ping), ("queue", ops.queue.ping), ("graph", ops.sources.graph.ping)):
            local = name == "store" or settings.text(f"stores.{name}").startswith("sqlite:")
            yield _pinged(name, ping, f"ls -ld {settings.home}" if local else f"aiops config show stores.{name}")
        yield from _workers(ops)
        yield from _sources(ops, settings, live)


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


def _sources(ops: Ops, settings: Settings, live: bool) -> Iterator[Part]:
    if not settings.text("sources.metrics"):
        yield Part("metrics", "missing", "no source is configured", "aiops config init   (then set sources.metrics)")
    else:
        yield _pinged("metrics", ops.sources.metrics.ping, _mend("metrics", settings))
        if live:
            yield _pinged(
                "metrics, read", lambda t: f"{len(ops.sources.metrics.catalog(t))} series", _mend("metrics", settings)
            )
    for name, source in (("logs", ops.sources.logs), ("traces", ops.sources.traces)):
        if source is None:
            yield Part(name, "missing", "no source is configured", f"aiops config show sources.{name}")
        else:
            yield _pinged(name, source.ping, _mend(name, settings))
    if ops.model is None:
        yield Part("model", "missing", "model.url is empty: rules alone read questions", "aiops config show model.url")
    else:
        yield _pinged("model", ops.model.ping, "make llm", needed=False)


def _mend(name: str, settings: Settings) -> str:
    url = settings.text(f"sources.{name}") or settings.text("sources.metrics")
    rest = url.partition("+")[2]
    return f"curl {rest}" if rest.startswith("http") else f"ls {url.partition(':')[2]}"


def _pinged(name: str, ping: Callable[[float], str], mend: str, *, needed: bool = True) -> Part:
    try:
        return Part(name, "ok", ping(PING_S))
    except AiopsError as error:
        return Part(name, "failed" if needed else "missing", str(error), mend, error.exit_code if needed else 0)


def _sandbox(settings: Settings) -> Part:
    """What repairs are confined with, proven by a run: where it can't be, repairs are only proposed."""
    from aiops import app

    return _pinged("sandbox", app.sandbox(settings).ping, "make sandbox, or apt-get install bubblewrap")
