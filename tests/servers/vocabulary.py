"""Llama 3's vocabulary without its weights: one GGUF out of the source package of llama-cpp-python.

With it the prompt, the grammar and the catalog are tested for the 8B model that nobody wants to download for a test.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from servers.parts import CHECKOUT, HOME, Missing, Unprovisionable, say
from servers.parts import VOCABULARY as NAME

MEMBER = "ggml-vocab-llama-bpe.gguf"
SHA256 = "97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e"
PLACE = HOME / "vocabulary" / MEMBER


def vocabulary() -> Path:
    """Where the GGUF is. Raises `Missing`."""
    if not _is_there():
        raise Missing(NAME)
    return PLACE


def _is_there() -> bool:
    return PLACE.is_file() and hashlib.sha256(PLACE.read_bytes()).hexdigest() == SHA256


def provision() -> None:
    """Fetches the package as it is locked, and keeps that one file. Raises `Unprovisionable`."""
    if not _is_there():
        _fetch()
    say(NAME, f"ready: {PLACE}")


def _fetch() -> None:
    lock = (CHECKOUT / "requirements" / "llm.txt").read_text(encoding="utf-8")
    locked = re.search(r"^llama-cpp-python==.*?(?<!\\)$", lock, re.MULTILINE | re.DOTALL)
    assert locked, "requirements/llm.txt names no llama-cpp-python"
    say(NAME, "downloading the source package that carries it")
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(locked[0] + "\n", encoding="utf-8")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "-r", str(wanted)]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tar.gz"), None)
        if done.returncode or archive is None:
            raise Unprovisionable(f"{NAME}: pip can't download the source package; its reason stands above")
        _extract(archive)
    if not _is_there():
        raise Unprovisionable(f"{NAME}: the package holds another {MEMBER} than the one that was looked at")


def _extract(archive: Path) -> None:
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as opened:
        member = next((one for one in opened if one.isfile() and Path(one.name).name == MEMBER), None)
        source = opened.extractfile(member) if member else None
        if source is None:
            raise Unprovisionable(f"{NAME}: {archive.name} holds no {MEMBER}")
        with PLACE.open("wb") as out:
            shutil.copyfileobj(source, out)
