"""aiops models: get, check and choose. The server of these tests is a real one that knows ranges, and drops connections."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from aiops import settings
from aiops.adapters.llm.models import Shelf
from aiops.errors import ConfigError

from servers.listening import listening

Run = Callable[..., Any]
# A header that makes sense, and more than one piece of a download.
FILE = (
    b"GGUF"
    + (3).to_bytes(4, "little")
    + (0).to_bytes(8, "little")
    + (1).to_bytes(8, "little")
    + bytes(range(256)) * 9_000
)
DIGEST = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder of its own: one model whose hash is known, one of which it is not."""
    folder = tmp_path / "models"
    folder.mkdir()
    rows = [("tiny", DIGEST), ("open", "")]
    text = "".join(
        f'[[model]]\nname = "{name}"\nfile = "{name}.gguf"\nsha256 = "{digest}"\nlicence = "MIT"\ncontext = 64\nget = "ask"\n'
        for name, digest in rows
    )
    (folder / "models.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("AIOPS_FOLDERS__MODELS", str(folder))
    return folder


class Server:
    """Serves FILE; `cut` is how many bytes an answer has before the connection ends, `ranges` whether it can go on."""

    def __init__(self) -> None:
        self.url, self.cut, self.ranges, self.asked = "", len(FILE), True, list[str]()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Front(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            made.asked.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and made.ranges else 0
            if self.path != "/model.gguf":
                self.send_error(404)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(FILE) - start))
            self.end_headers()
            with suppress(ConnectionError):  # who looks at the disk first wants no more than the header
                self.wfile.write(FILE[start : start + made.cut])

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with listening(Front) as url:
        made.url = f"{url}/model.gguf"
        yield made


def kept(tmp_path: Path, name: str = "tiny") -> Path:
    return tmp_path / "home" / "models" / f"{name}.gguf"


# ---------------------------------------------------------------- list, verify


def test_models_are_listed_with_licence_and_hash(run: Run) -> None:
    listed = {row["name"]: row for row in json.loads(run("models", "list", "--format", "json").out)}
    assert {"smollm2-135m-instruct", "llama-3-8b-instruct"} <= set(listed)
    assert all(row["licence"] and row["context"] and row["file"] for row in listed.values())
    assert "licence" in run("models", "list").out


def test_a_file_that_is_not_what_it_should_be_is_told(run: Run, shelf: Path) -> None:
    assert run("models", "verify").code == 0  # none is there, so none is wrong
    assert run("models", "verify", "tiny").code == 5
    for content, told in (
        (b"abc", "no GGUF"),
        (b"GGUF", "header"),
        (FILE[:-1], "its sha256 is"),
        (FILE, "can't be loaded"),
    ):
        (shelf / "tiny.gguf").write_bytes(content)
        checked = run("models", "verify", "tiny")
        assert checked.code == 5
        assert told in checked.out or "make llm" in checked.out
    assert run("models", "verify", "nothing").code == 2


@pytest.mark.llm
def test_the_model_that_ships_loads_and_keeps_to_a_grammar(run: Run) -> None:
    pytest.importorskip("llama_cpp", reason="make llm")
    checked = run("models", "verify", "smollm2-135m-instruct", "--format", "json")
    assert json.loads(checked.out) == [
        {"name": "smollm2-135m-instruct", "licence": "Apache-2.0", "file": "ok", "loads": "ok", "grammar": "ok"}
    ]
    assert checked.code == 0


# ---------------------------------------------------------------- pull


def test_a_model_is_pulled_from_a_url(run: Run, shelf: Path, server: Server, tmp_path: Path) -> None:
    pulled = run("models", "pull", "tiny", "--from", server.url)
    assert (pulled.code, pulled.out.strip()) == (0, str(kept(tmp_path)))
    assert "MIT" in pulled.err
    assert kept(tmp_path).read_bytes() == FILE
    assert "there already" in run("models", "pull", "tiny", "--from", server.url).err
    assert len(server.asked) == 1


def test_an_interrupted_download_goes_on(run: Run, shelf: Path, server: Server, tmp_path: Path) -> None:
    server.cut = 1_500_000
    first = run("models", "pull", "tiny", "--from", server.url)
    assert first.code == 5
    assert "goes on from there" in first.err
    assert not kept(tmp_path).exists()
    assert run("models", "pull", "tiny", "--from", server.url).code == 0
    assert server.asked == ["", "bytes=1500000-"]
    assert kept(tmp_path).read_bytes() == FILE


def test_a_server_that_cannot_go_on_begins_anew(run: Run, shelf: Path, server: Server, tmp_path: Path) -> None:
    server.cut, server.ranges = 1_500_000, False
    run("models", "pull", "tiny", "--from", server.url)
    server.cut = len(FILE)
    assert run("models", "pull", "tiny", "--from", server.url).code == 0
    assert kept(tmp_path).read_bytes() == FILE


def test_a_model_is_pulled_from_a_path(run: Run, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(FILE)
    assert run("models", "pull", "tiny", "--from", tmp_path / "mine.gguf").code == 0
    assert kept(tmp_path).read_bytes() == FILE
    assert (tmp_path / "mine.gguf").exists()


def test_what_is_not_the_file_is_not_put_in_place(run: Run, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(FILE + b"!")
    pulled = run("models", "pull", "tiny", "--from", tmp_path / "other.gguf")
    assert pulled.code == 5
    assert DIGEST in pulled.err
    assert list(kept(tmp_path).parent.glob("*.gguf*")) == []


def test_a_hash_that_nobody_knows_must_be_given(run: Run, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(FILE)
    asked = run("models", "pull", "open", "--from", tmp_path / "mine.gguf")
    assert (asked.code, "--sha256" in asked.err) == (5, True)
    assert run("models", "pull", "open", "--from", tmp_path / "mine.gguf", "--sha256", "12").code == 2
    assert run("models", "pull", "open", "--from", tmp_path / "mine.gguf", "--sha256", DIGEST.upper()).code == 0
    row = next(row for row in json.loads(run("models", "list", "--format", "json").out) if row["name"] == "open")
    assert row["sha256"] == DIGEST  # and `verify` compares from now on
    kept(tmp_path, "open").write_bytes(FILE[:-1] + b"!")
    assert "its sha256 is" in run("models", "verify", "open").out


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("http://127.0.0.1:1/model.gguf", "downloaded"),
        ("ftp://host/model.gguf", "no way to get"),
        ("/nowhere/model.gguf", "No such file"),
        ("", "comes in no package"),
    ],
)
def test_a_source_that_gives_nothing_is_told(run: Run, shelf: Path, source: str, told: str) -> None:
    pulled = run("models", "pull", "tiny", "--from", source)
    assert pulled.code == 5
    assert told in pulled.err


def test_a_server_that_has_it_not_is_told(run: Run, shelf: Path, server: Server) -> None:
    assert "404" in run("models", "pull", "tiny", "--from", server.url.replace("model", "other")).err


def test_a_disk_that_is_full_is_told_before(
    run: Run, shelf: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.adapters.llm import pull

    monkeypatch.setattr(pull, "SPARE", 1 << 60)
    pulled = run("models", "pull", "tiny", "--from", server.url)
    assert (pulled.code, "free" in pulled.err) == (5, True)


# ---------------------------------------------------------------- use


@pytest.mark.llm
def test_the_choice_is_written_into_the_configuration(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp", reason="make llm")
    monkeypatch.delenv("AIOPS_MODEL__URL")
    config = tmp_path / "home" / "config.toml"
    run("config", "init")
    before = config.read_text("utf-8")
    assert run("models", "use", "smollm2-135m-instruct").code == 0
    assert tomllib.loads(config.read_text("utf-8"))["model"] == {"url": "llamacpp:smollm2-135m-instruct"}
    changed = set(before.splitlines()) ^ set(config.read_text("utf-8").splitlines())
    assert len(changed) == 2  # the commented line, and the one in its place
    # The same weights by another path, as somebody's own GGUF.
    own = tmp_path / "own.gguf"
    own.symlink_to(Shelf().find("").file)
    assert run("models", "use", own).code == 0
    assert settings.load(home=str(tmp_path / "home")).text("model.url") == f"llamacpp:{own.resolve()}"


def test_what_cannot_be_used_is_not_chosen(run: Run, shelf: Path, tmp_path: Path) -> None:
    assert "not there: ask" in run("models", "use", "tiny").err
    (shelf / "tiny.gguf").write_bytes(FILE)
    refused = run("models", "use", "tiny")
    assert refused.code == 5
    assert "is not used" in refused.err
    assert run("models", "use", "/nowhere.gguf").code == 2
    assert not (tmp_path / "home" / "config.toml").exists()


def test_an_adapter_that_is_none_is_not_chosen(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp", reason="make llm")
    assert run("models", "use", tmp_path).code == 2  # there is no local model that could have one
    monkeypatch.setenv("AIOPS_MODEL__URL", "llamacpp:")
    refused = run("models", "use", tmp_path)
    assert refused.code == 5
    assert "adapter.json" in refused.err


def test_an_adapter_is_signed(run: Run, tmp_path: Path) -> None:
    import subprocess

    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    (tmp_path / "adapter").mkdir()
    assert "adapter.json" in run("models", "sign", tmp_path / "adapter", "--key", key).err
    (tmp_path / "adapter" / "adapter.json").write_text("{}", encoding="utf-8")
    assert run("models", "sign", tmp_path / "adapter", "--key", key).code == 0
    assert (tmp_path / "adapter" / "adapter.json.sig").stat().st_size == 89


# ---------------------------------------------------------------- writing a setting


@pytest.mark.parametrize(
    "old",
    [
        "",
        "# mine\n",
        '[model]\nurl = "x"\n',
        '[model]\n# url = 1\n[chat]\nurl = "console:"\n',
        "[chat]\n\n[model]",
        "[model] # here\n",
    ],
)
def test_a_setting_is_written_whatever_stood_there(tmp_path: Path, old: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(old, encoding="utf-8")
    before = tomllib.loads(old)
    settings.write(tmp_path, "model.url", 'llamacpp:/a "b"/模型.gguf')
    after = tomllib.loads(file.read_text("utf-8"))
    assert after["model"]["url"] == 'llamacpp:/a "b"/模型.gguf'
    assert after.get("chat") == before.get("chat")
    assert settings.load(home=str(tmp_path)).text("model.url") == 'llamacpp:/a "b"/模型.gguf'


def test_a_form_that_it_does_not_know_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for old in ('model = { url = "x" }\n', 'model.url = "x"\n'):
        file.write_text(old, encoding="utf-8")
        with pytest.raises(ConfigError):
            settings.write(tmp_path, "model.url", "llamacpp:")
        assert file.read_text("utf-8") == old
        assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ConfigError, match="no such setting"):
        settings.write(tmp_path, "model.nothing", "x")
