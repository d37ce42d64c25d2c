"""Where the data folders (models, prompts, rules) are: in the wheel inside the package, in a checkout beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

FOLDERS = ("models", "prompts", "rules")


def folder(name: str, override: str = "") -> Path:
    """The data folder `name`, or `override` where a setting names one. FileNotFoundError when neither is a folder."""
    package = Path(str(files("aiops")))
    candidates = [Path(override).expanduser()] if override else [package / "_data" / name, package.parent / name]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no data folder {name!r}: looked in {', '.join(map(str, candidates))}")


def fetched(program: str) -> Path | None:
    """A program that `make` fetched into the checkout; None when there is none, as beside an installed package."""
    found = Path(str(files("aiops"))).parent / ".servers" / "root" / "usr" / "bin" / program
    return found if found.is_file() else None


def demo_incident() -> Path:
    """The recorded incident that ships with aiops."""
    return Path(str(files("aiops"))) / "demo" / "incident"
