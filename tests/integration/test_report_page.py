"""The demo's page in a real browser: complete without the network, readable, and pictured for the README."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import servers

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURE = CHECKOUT / ".cache" / "report.png"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    file = folder / "report.html"
    command = [Path(sys.executable).with_name("aiops"), "demo", "--format", "html", "-o", file]
    env = {**os.environ, "AIOPS_HOME": str(folder / "home"), "AIOPS_MODEL__URL": ""}
    subprocess.run(command, check=True, env=env, stdin=subprocess.DEVNULL)
    return file


def test_the_page_asks_the_network_for_nothing(browser: servers.Chromium, page: Path):
    assert browser.requests(page.as_uri()) == frozenset()


def test_the_browser_would_have_noticed(browser: servers.Chromium, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script src="https://example.com/x.js"></script>')
    assert browser.requests(page.as_uri()) == {"http://127.0.0.1:9/x.png", "https://example.com/x.js"}


def test_the_page_can_be_pictured(browser: servers.Chromium, page: Path):
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.unlink(missing_ok=True)
    browser.screenshot(page.as_uri(), PICTURE)
    assert PICTURE.read_bytes().startswith(b"\x89PNG")
    assert PICTURE.stat().st_size > 20_000  # more than an empty page
