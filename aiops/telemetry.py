"""Which diagnosis is under way and how long its stages take, for logs, figures and traces; free when nobody asks.

    with diagnosis("0f3c5a1be0a94d77", watcher):     # whoever runs it
        with stage("detect"):                        # the corridor
            ...
        took()                                       # {"detect": 0.12}

It goes with the context (PEP 567): threads that are to belong to a diagnosis are given it by `carried`. What caches were worth is
counted for the process as a whole (`cached`, `caches`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Told the id of a diagnosis and what of it begins: "diagnosis" for all of it, else a stage. Entered there, left at the end.
Watcher: TypeAlias = Callable[[str, str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Running:
    id: str = ""
    watchers: tuple[Watcher, ...] = ()
    took: dict[str, float] = field(default_factory=dict)


_NONE = _Running()
_RUNNING: ContextVar[_Running] = ContextVar("diagnosis", default=_NONE)


@contextmanager
def diagnosis(diagnosis_id: str, *watchers: Watcher) -> Iterator[None]:
    """What is done in the block belongs to this diagnosis."""
    token = _RUNNING.set(_Running(diagnosis_id, watchers))
    try:
        with ExitStack() as stack:
            for watcher in watchers:
                stack.enter_context(watcher(diagnosis_id, "diagnosis"))
            yield
    finally:
        _RUNNING.reset(token)


def diagnosis_id() -> str:
    """Of the diagnosis that this belongs to; "" outside of any."""
    return _RUNNING.get().id


def took() -> Mapping[str, float]:
    """Seconds that each stage of the running diagnosis has taken so far."""
    return dict(_RUNNING.get().took)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """The block is one stage; nothing is measured outside of a diagnosis."""
    running = _RUNNING.get()
    if running is _NONE:
        yield
        return
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            for watcher in running.watchers:
                stack.enter_context(watcher(running.id, name))
            yield
    finally:
        running.took[name] = running.took.get(name, 0.0) + time.monotonic() - began


_CACHES: Counter[tuple[str, str]] = Counter()
_COUNTING = threading.Lock()


def cached(cache: str, hits: int, misses: int) -> None:
    """What was looked up in a cache, and how much of it was there."""
    with _COUNTING:
        _CACHES[cache, "hit"] += hits
        _CACHES[cache, "miss"] += misses


def caches() -> Mapping[tuple[str, str], int]:
    """(cache, "hit" or "miss") -> how often, since the start of the process."""
    with _COUNTING:
        return dict(_CACHES)


def carried(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, for another thread: what it does there belongs to the diagnosis that is running here."""
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.run(call, *args, **kwargs)

    return run
