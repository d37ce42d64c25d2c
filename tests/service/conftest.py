"""The real server, on a free loopback port, with embedded stores under `tmp_path` and a recorded incident to diagnose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

import aiops
from aiops.ops import Ops
from aiops.ports import Annotations
from aiops.service import server
from aiops.service.access import Access
from aiops.service.worker import Terms

BODY_LIMIT = 2 * 2**20
INSIDE = Terms()
PATIENCE_S = 120.0  # what takes a second takes many on a machine that does much else
Serve = Callable[..., httpx.Client]


@contextmanager
def serving(
    ops: Ops,
    external_url: str = "",
    terms: Terms | None = INSIDE,
    access: Access | None = None,
    marks: Annotations | None = None,
) -> Iterator[httpx.Client]:
    ready = threading.Event()
    opened = server.bind("127.0.0.1:0")
    running = server.server(
        ops, external_url=external_url, body_limit=BODY_LIMIT, ready=ready.set, terms=terms, access=access, marks=marks
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(PATIENCE_S)
        opened.close()
        assert not thread.is_alive()


def figures(client: httpx.Client, *lines: str) -> str:
    """/metrics, once these lines are among it: an end is counted a moment after it is told."""
    give_up = time.monotonic() + PATIENCE_S
    while not set(lines) <= set((page := client.get("/metrics").text).splitlines()):
        assert time.monotonic() < give_up, (lines, page)
        time.sleep(0.05)
    return page


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an Ops until the test ends and answers its client."""
    with ExitStack() as stack:
        yield lambda ops, **more: stack.enter_context(serving(ops, **more))


@pytest.fixture
def ops(tmp_path: Path, demo_case: Path) -> Iterator[Ops]:
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "home"), flags={"model.url": ""}) as opened:
        yield opened


@pytest.fixture
def client(ops: Ops, serve: Serve) -> httpx.Client:
    return serve(ops)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[httpx.Client]:
    """One server for all requests that leave nothing behind."""
    home = str(tmp_path_factory.mktemp("shared"))
    with aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as opened, serving(opened) as client:
        yield client
