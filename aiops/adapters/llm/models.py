"""The models that aiops knows by name: models.toml, and where each file is on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import struct
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops import resources
from aiops.errors import ModelError

Progress = Callable[[int, int], None]  # done and all, in bytes; all is 0 where nobody knows


def _nothing(done: int, size: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `file` may not be there yet; an empty `sha256` is not known.

    `served_as`: the form into which the weights are written once, for speed. `requirement`: the package that carries the file."""

    name: str
    file: Path
    sha256: str = ""
    licence: str = ""
    context: int = 4096
    get: str = ""
    default: bool = False
    served_as: str = ""
    requirement: str = ""
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where models are: `folder` is what ships (None: found), `home` is where this user's are kept (None: nothing is kept)."""

    folder: Path | None = None
    home: Path | None = None
    _hashes: dict[tuple[str, int, int], str] = field(default_factory=dict)

    @property
    def ships(self) -> Path:
        return self.folder or resources.folder("models")

    @property
    def cache(self) -> Path | None:
        """Where what can be made again is kept."""
        return self.home / "cache" if self.home else None

    def models(self) -> tuple[Model, ...]:
        """The models of models.toml, in its order. ModelError when it can't be read."""
        rows = self.table().get("model", [])
        try:
            return tuple(self._model(row) for row in rows)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{self.ships / 'models.toml'} can't be read: {error!r}") from error

    def table(self) -> Mapping[str, Any]:
        """models.toml as it stands. ModelError when it can't be read."""
        try:
            return tomllib.loads((self.ships / "models.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.ships / 'models.toml'} can't be read: {error}") from error

    def named(self, name: str) -> Model:
        """The model of that name, whether its file is there or not; "" is the default. ModelError lists the names."""
        models = self.models()
        found = next((m for m in models if (m.name == name if name else m.default)), None)
        if found is None:
            known = ", ".join(m.name for m in models)
            raise ModelError(
                f"no model {name!r}; known are {known}" if name else "models.toml marks no model as default"
            )
        return found

    def find(self, name: str) -> Model:
        """A model whose file is there: by name, by the path of a GGUF, or the default. ModelError says how to get it."""
        if "/" in name or name.endswith(".gguf"):
            file = Path(name).expanduser()
            if not file.is_file():
                raise ModelError(f"no model file {file}")
            known = next((m for m in self.models() if m.file == file), None)
            return known or Model(file.stem, file)
        model = self.named(name)
        if not model.file.is_file():
            raise ModelError(f"the model {model.name} is not there: {model.get}")
        return model

    def sha256(self, file: Path, progress: Progress = _nothing) -> str:
        """The hash of a large file, remembered while neither its size nor its time changes. ModelError when unreadable."""
        try:
            told = file.stat()
        except OSError as error:
            raise ModelError(f"can't read {file}: {error.strerror}") from error
        key = (str(file), told.st_size, told.st_mtime_ns)
        if key in self._hashes:
            return self._hashes[key]
        kept = self.home / "hashes.json" if self.home else None
        known = _read(kept)
        text = json.dumps(key)
        self._hashes[key] = known.get(text) or sha256(file, progress)
        if kept and text not in known:
            write_whole(kept, json.dumps({**known, text: self._hashes[key]}, indent=0).encode())
        return self._hashes[key]

    def learnt(self) -> Mapping[str, str]:
        """sha256 of the files that this user pulled with a hash of their own."""
        return _read(self.home / "pulled.json" if self.home else None)

    def learn(self, name: str, digest: str) -> None:
        """Keeps the hash of a pulled model, so that `verify` can compare."""
        if self.home:
            write_whole(self.home / "pulled.json", json.dumps({**self.learnt(), name: digest}, indent=0).encode())

    def _model(self, row: Mapping[str, Any]) -> Model:
        name, file = str(row["name"]), str(row["file"])
        return Model(
            name=name,
            file=self._place(file, str(row.get("package", ""))),
            sha256=str(row.get("sha256", "")) or self.learnt().get(name, ""),
            licence=str(row["licence"]),
            context=int(row["context"]),
            get=str(row["get"]),
            default=bool(row.get("default", False)),
            served_as=str(row.get("served_as", "")),
            requirement=str(row.get("requirement", "")),
            hashes=tuple(map(str, row.get("hashes", ()))),
        )

    def _place(self, file: str, package: str) -> Path:
        """Where it was pulled to, else inside the package that carries it (found, not imported), else what ships."""
        if self.home and (self.home / file).is_file():
            return self.home / file
        spec = importlib.util.find_spec(package) if package else None
        if spec is not None and spec.submodule_search_locations:
            inside = Path(next(iter(spec.submodule_search_locations))) / file
            if inside.is_file():
                return inside
        shipped = self.ships / file
        return shipped if shipped.is_file() or not self.home else self.home / file


def sha256(file: Path, progress: Progress = _nothing) -> str:
    """The hash of a file, read in pieces."""
    digest, done = hashlib.sha256(), 0
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        while part := opened.read(1 << 22):
            digest.update(part)
            done += len(part)
            progress(done, size)
    return digest.hexdigest()


def header(file: Path) -> str:
    """What is wrong with the first bytes of a GGUF; "" when they are in order."""
    with file.open("rb") as opened:
        head = opened.read(24)
    if head[:4] != b"GGUF":
        return "it is no GGUF"
    if len(head) < 24:
        return "its header is cut"
    version, tensors, pairs = struct.unpack("<IQQ", head[4:])
    if version not in {2, 3}:
        return f"its GGUF version is {version}, not 2 or 3"
    # A vocabulary alone has no tensors.
    return "" if tensors < 1 << 20 and 0 < pairs < 1 << 20 else "its header makes no sense"


def wrong_with(model: Model, shelf: Shelf, progress: Progress = _nothing) -> str:
    """What is wrong with the file of a model; "" when it is there, a GGUF, and of the right hash."""
    if not model.file.is_file():
        return f"not there: {model.get}"
    if wrong := header(model.file):
        return wrong
    digest = shelf.sha256(model.file, progress) if model.sha256 else ""
    return f"its sha256 is {digest}, not {model.sha256}" if digest != model.sha256 else ""


def write_whole(file: Path, data: bytes) -> None:
    """Writes a small file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(file)


def _read(file: Path | None) -> dict[str, str]:
    """A small JSON object; {} where there is none, or it is broken: it can all be found out again."""
    try:
        found = json.loads(file.read_bytes()) if file else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
