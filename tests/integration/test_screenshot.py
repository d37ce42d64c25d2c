"""The demo's report as a reader sees it: at a desk, in the dark, on a phone. One of the pictures is the README's.

`README_PICTURE=write make test PYTEST_ARGS=tests/integration/test_screenshot.py` draws docs/images/report.png again.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import servers

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = CHECKOUT / ".cache" / "pictures"
README_PICTURE = CHECKOUT / "docs" / "images" / "report.png"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    file = folder / "report.html"
    command = [Path(sys.executable).with_name("aiops"), "demo", "--format", "html", "-o", file]
    env = {**os.environ, "AIOPS_HOME": str(folder / "home"), "AIOPS_MODEL__URL": ""}
    subprocess.run(command, check=True, env=env, cwd=folder, stdin=subprocess.DEVNULL)
    PICTURES.mkdir(parents=True, exist_ok=True)
    return file


def rows(picture: Path) -> tuple[int, int]:
    """(height, number of different pixel rows) of a PNG: an empty page has one or two different rows."""
    data, at, packed, height, width = picture.read_bytes(), 8, b"", 0, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack(">IIBB", body[:10])
            assert (depth, colours in {2, 6}) == (8, True)
            width *= 3 if colours == 2 else 4
        packed += body if kind == b"IDAT" else b""
        at += size + 12
    raw = zlib.decompress(packed)
    return height, len({raw[i : i + width + 1] for i in range(0, len(raw), width + 1)})


@pytest.mark.parametrize(("name", "width", "height"), [("desk", 1280, 1150), ("narrow", 500, 1600)])
def test_the_report_fills_the_screen(browser: servers.Chromium, page: Path, name: str, width: int, height: int) -> None:
    picture = PICTURES / f"{name}.png"
    browser.screenshot(page.as_uri(), picture, width=width, height=height)
    tall, different = rows(picture)
    assert tall == height
    assert different > height / 4
    if name == "desk" and os.environ.get("README_PICTURE") == "write":
        shutil.copyfile(picture, README_PICTURE)


def test_a_blank_page_would_be_seen(browser: servers.Chromium, tmp_path: Path) -> None:
    page = tmp_path / "blank.html"
    page.write_text("<!doctype html><title>blank</title>")
    browser.screenshot(page.as_uri(), tmp_path / "blank.png", width=600, height=600)
    assert rows(tmp_path / "blank.png")[1] < 10


def test_the_readme_shows_a_picture() -> None:
    height, different = rows(README_PICTURE)
    assert height > 600
    assert different > 150
