"""A LoRA adapter on disk: a folder with adapter.json, which names and hashes all the rest, and its signature.

    adapter.json       what it is, what it was made for, the hash of every other file
    adapter.json.sig   Ed25519 over the bytes of adapter.json, in base64; one that ships is pinned in models.toml instead
    *.gguf             the LoRA
    prompt.md          the prompt it was trained with, raw: control tokens are written in it, places are {{name}}
    golden.jsonl       questions and the one right answer to each: {"values": {place: text}, "answer": {...}}

Every check is made on a copy that nobody else writes to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.adapters.ed25519 import Checker, Signer
from aiops.adapters.llm.models import Model, Shelf, header, sha256, write_whole
from aiops.errors import ConfigError

SCHEMA = "aiops-adapter/1"
MANIFEST, SIGNATURE = "adapter.json", "adapter.json.sig"
PLACE = re.compile(r"\{\{(\w+)\}\}")
MAX_FILE = 64 << 20
MAX_TEXT = 1 << 20
MAX_CASES = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class UnfitError(Exception):
    """An adapter that must not be used; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question of the golden set, and its answer."""

    values: Mapping[str, str]
    answer: object


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter whose files are what its manifest says. `digest` is the sha256 of the manifest."""

    name: str
    version: str
    digest: str
    file: Path
    template: str
    schema: Mapping[str, Any]
    golden: tuple[Case, ...]
    at_least: float

    @property
    def key(self) -> str:
        """What it is called in the child: no two adapters share it."""
        return f"{self.name}-{self.digest[:16]}"

    @property
    def shown(self) -> str:
        return f"{self.name} {self.version}"


def take(folder: Path, room: Path) -> Path:
    """Copies an adapter into a folder of its own in `room`, and tells which. UnfitError when it can't be read."""
    try:
        manifest = _bytes(folder / MANIFEST, MAX_TEXT)
        told = _object(manifest)
        mine = room / hashlib.sha256(manifest).hexdigest()[:16]
        mine.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(mine / MANIFEST, manifest)
        names = [_plain(told, "file"), _plain(told, "prompt", "file"), _plain(told, "golden", "file")]
        for name in names:
            _copy(folder / name, mine / name)
        if (folder / SIGNATURE).is_file():
            write_whole(mine / SIGNATURE, _bytes(folder / SIGNATURE, 1 << 10))
    except OSError as error:
        raise UnfitError(f"{error.filename or folder}: {error.strerror or error}") from error
    return mine


def forget(copy: Path) -> None:
    """Removes what `take` made."""
    shutil.rmtree(copy, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.stat().st_size > MAX_FILE:
        raise UnfitError(f"{source.name} is larger than {MAX_FILE >> 20} MiB")
    if source.resolve() != target.resolve():
        shutil.copyfile(source, target)


def read(folder: Path, base: Model, shelf: Shelf, *, keys: Path | None = None, pinned: str = "") -> Adapter:
    """The adapter of a folder, if all of it holds. `pinned`: the hash that its manifest must have, instead of a signature.

    UnfitError: unsigned, tampered, for another model, or broken; OSError never."""
    try:
        manifest = _bytes(folder / MANIFEST, MAX_TEXT)
        digest = hashlib.sha256(manifest).hexdigest()
        if not pinned:
            _verify(manifest, folder / SIGNATURE, keys)
        elif digest != pinned:
            raise UnfitError(f"{MANIFEST} is not the one that models.toml names")
        told = _object(manifest)
        _fits(told, base, shelf)
        return _adapter(folder, told, digest)
    except OSError as error:
        raise UnfitError(f"{error.filename or folder}: {error.strerror or error}") from error


def _adapter(folder: Path, told: Mapping[str, Any], digest: str) -> Adapter:
    if told.get("schema") != SCHEMA:
        raise UnfitError(f"its schema is {told.get('schema')!r}, not {SCHEMA}")
    weights = _checked(folder, told, MAX_FILE)
    if wrong := header(weights):
        raise UnfitError(f"{weights.name}: {wrong}")
    template = _text(_checked(folder, _part(told, "prompt"), MAX_TEXT))
    golden = _part(told, "golden")
    cases = _cases(_text(_checked(folder, golden, MAX_TEXT)))
    if unknown := {place for case in cases for place in PLACE.findall(template) if place not in case.values}:
        raise UnfitError(f"its prompt has places that its golden set does not fill: {', '.join(sorted(unknown))}")
    at_least = golden.get("at_least")
    if not isinstance(at_least, int | float) or not 0.0 < at_least <= 1.0:
        raise UnfitError("golden.at_least is not a share above 0")
    name, version = (_named(told, key) for key in ("name", "version"))
    return Adapter(name, version, digest, weights, template, _part(golden, "schema"), cases, float(at_least))


def _fits(told: Mapping[str, Any], base: Model, shelf: Shelf) -> None:
    wanted = _part(told, "base")
    if wanted.get("sha256") != shelf.sha256(base.file):
        raise UnfitError(f"it was made for {wanted.get('name')}, another file than that of {base.name}")
    if str(wanted.get("served_as", "")) != base.served_as:
        raise UnfitError(f"it was made for {base.name} served as {wanted.get('served_as')!r}, not {base.served_as!r}")


def _cases(text: str) -> tuple[Case, ...]:
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        cases = tuple(Case({str(k): str(v) for k, v in row["values"].items()}, row["answer"]) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnfitError(f"its golden set can't be read: {error!r}"[:200]) from error
    if not 0 < len(cases) <= MAX_CASES:
        raise UnfitError(f"its golden set has {len(cases)} cases, not 1 to {MAX_CASES}")
    return cases


# ---------------------------------------------------------------- signatures


def sign(folder: Path, key: Path) -> Path:
    """Writes the signature of a folder's manifest with an Ed25519 private key (PEM). UnfitError when it can't be done."""
    try:
        signature = Signer(_text(key), str(key)).sign((folder / MANIFEST).read_bytes())
        write_whole(folder / SIGNATURE, base64.b64encode(signature) + b"\n")
    except OSError as error:
        raise UnfitError(f"{error.filename}: {error.strerror}") from error
    except ConfigError as error:
        raise UnfitError(str(error)) from error
    return folder / SIGNATURE


def _verify(manifest: bytes, signature: Path, keys: Path | None) -> None:
    """Raises UnfitError unless one of the public keys in `keys` signed the manifest."""
    if keys is None:
        raise UnfitError("no keys are configured that could have signed it (model.adapter_keys_file)")
    if not signature.is_file():
        raise UnfitError("it is not signed")
    blocks = re.findall(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", _text(keys), re.DOTALL)
    if not blocks:
        raise UnfitError(f"{keys} holds no public key (PEM)")
    try:
        given = base64.b64decode(_bytes(signature, 1 << 10).strip(), validate=True)
        signed = any(Checker(block, str(keys)).holds(manifest, given) for block in blocks)
    except binascii.Error as error:
        raise UnfitError("its signature is no base64") from error
    except ConfigError as error:
        raise UnfitError(str(error)) from error
    if not signed:
        raise UnfitError(f"no key in {keys} signed it, or it was changed since")


# ---------------------------------------------------------------- reading what came from outside


def _bytes(file: Path, most: int) -> bytes:
    if not file.is_file():
        raise UnfitError(f"{file.name} is not there")
    if file.stat().st_size > most:
        raise UnfitError(f"{file.name} is larger than {most} bytes")
    return file.read_bytes()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError(f"{file.name} is no UTF-8") from error


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"{MANIFEST} is no JSON") from error
    if not isinstance(told, dict):
        raise UnfitError(f"{MANIFEST} is no object")
    return told


def _part(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = told.get(key)
    if not isinstance(inner, dict):
        raise UnfitError(f"{MANIFEST} lacks {key!r}")
    return inner


def _named(told: Mapping[str, Any], key: str) -> str:
    name = told.get(key)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UnfitError(f"{MANIFEST}: {key} {name!r} is no name")
    return name


def _plain(told: Mapping[str, Any], *keys: str) -> str:
    """The name of a file beside the manifest: no path leads out of the folder."""
    for key in keys[:-1]:
        told = _part(told, key)
    return _named(told, keys[-1])


def _checked(folder: Path, told: Mapping[str, Any], most: int) -> Path:
    """A file that is what the manifest says."""
    file = folder / _plain(told, "file")
    if file.stat().st_size > most:
        raise UnfitError(f"{file.name} is larger than {most >> 20} MiB")
    if sha256(file) != told.get("sha256"):
        raise UnfitError(f"{file.name} is not the file that {MANIFEST} names")
    return file
