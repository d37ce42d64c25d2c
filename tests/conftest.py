"""Fixtures for all tests: the real servers, one of each per session."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from aiops import resources

import servers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A property says what is right; how long an example takes hangs on who else uses the machine.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", type=int, metavar="N", help="only the properties, with N times as many examples each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`--soak N`: what `make soak` runs for an hour or a night. Tests marked `soak` choose their size by it."""
    if not (times := config.getoption("soak")):
        return
    properties = [item for item in items if hypothesis.is_hypothesis_test(getattr(item, "obj", None))]
    for test in {getattr(item.obj, "__func__", item.obj) for item in properties}:
        usual = test._hypothesis_internal_use_settings  # there is no public way to a decorated test's settings
        test._hypothesis_internal_use_settings = hypothesis.settings(usual, max_examples=usual.max_examples * times)
    kept = [item for item in items if item in properties or item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """The virtual machine works for two minutes, on one processor: beside the tests that come before its own."""
    if session.config.option.collectonly or not any(i.path.name == "test_version_2.py" for i in session.items):
        return
    from confined import machine

    with suppress(servers.Missing):  # its own tests say so
        session.config.add_cleanup(machine.running().close)


@contextmanager
def needed() -> Iterator[None]:
    """A server that isn't provisioned skips its tests and says how to mend it; under CI it fails them."""
    try:
        yield
    except servers.Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def demo_case() -> Path:
    """The recorded incident that ships."""
    return resources.demo_incident()


@pytest.fixture(scope="session")
def prometheus(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A Prometheus that holds the demo incident's metrics, at their own time."""
    from servers.backfill import backfill

    data = tmp_path_factory.mktemp("prometheus")
    with needed():
        backfill(demo_case, data)
        with servers.prometheus(data) as server:
            yield server


@pytest.fixture(scope="session")
def victoria_metrics(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A VictoriaMetrics that holds the demo incident's metrics, at their own time."""
    from aiops import recording

    from servers.backfill import remote_write

    panel, _ = recording.read_metrics(recording.open_files(demo_case))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    with needed(), servers.victoria_metrics(tmp_path_factory.mktemp("victoria-metrics")) as server:
        write = urllib.request.Request(f"{server.url}/api/v1/write", remote_write(panel), headers)
        for request in (write, f"{server.url}/internal/force_flush"):  # so that it is there to be read
            with urllib.request.urlopen(request) as reply:
                reply.read()
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[servers.Chromium]:
    with needed(), servers.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The same browser, to click in. Of a module only: while Playwright is there, its thread runs no other event loop."""
    from servers.browsing import browsing

    with needed(), browsing() as found:
        yield found


def pytest_unconfigure() -> None:
    """llama_cpp opens /dev/null when it is imported and leaves it open, of which Python would tell after the summary."""
    if utils := sys.modules.get("llama_cpp._utils"):
        utils.outnull_file.close()
        utils.errnull_file.close()
