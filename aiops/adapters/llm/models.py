"""The models that aiops knows by name: models.toml, and where each file is on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path

from aiops import resources
from aiops.errors import ModelError


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `file` may not be there yet; an empty `sha256` is not checked."""

    name: str
    file: Path
    sha256: str = ""
    licence: str = ""
    context: int = 4096
    get: str = ""
    default: bool = False


def models_of(folder: Path | None = None) -> tuple[Model, ...]:
    """The models of models.toml, in its order. ModelError when it can't be read."""
    home = folder or resources.folder("models")
    try:
        table = tomllib.loads((home / "models.toml").read_text(encoding="utf-8"))["model"]
        return tuple(
            Model(
                name=str(row["name"]),
                file=_place(str(row["file"]), str(row.get("package", "")), home),
                sha256=str(row.get("sha256", "")),
                licence=str(row["licence"]),
                context=int(row["context"]),
                get=str(row["get"]),
                default=bool(row.get("default", False)),
            )
            for row in table
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{home / 'models.toml'} can't be read: {error}") from error


def default_model(models: tuple[Model, ...]) -> Model:
    """The default model, when its file is there. ModelError says how to get it."""
    model = next((m for m in models if m.default), None)
    if model is None:
        raise ModelError("models.toml marks no model as default")
    if not model.file.is_file():
        raise ModelError(f"the model {model.name} is not there: {model.get}")
    return model


def verify(model: Model) -> str:
    """What is wrong with the file of a model; empty when it is there and its sha256 is right."""
    if not model.file.is_file():
        return f"not there: {model.get}"
    with model.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if model.sha256 and digest != model.sha256:
        return f"its sha256 is {digest}, not {model.sha256}"
    return ""


def _place(file: str, package: str, home: Path) -> Path:
    """Inside the package that carries it (found, not imported), else in the models folder."""
    if package:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))) / file
    return home / file
