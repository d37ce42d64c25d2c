"""Adapters for the real model, swapped while questions are asked; whatever is wrong with one, the one in place stays."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.adapters.llm import LlamaCpp
from aiops.adapters.llm import adapter as adapters
from aiops.adapters.llm.models import Shelf
from aiops.errors import ModelError
from aiops.ports import Prompt

PATIENCE = 180.0
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["diagnose", "query", "forecast"]},
        "services": {"type": "array", "items": {"enum": ["cart", "orders", "unknown"]}, "maxItems": 2},
    },
    "required": ["intent", "services"],
    "additionalProperties": False,
}
TEMPLATE = "<|im_start|>user\n{{text}}<|im_end|>\n<|im_start|>assistant\n"
QUESTIONS = ("why is cart slow", "orders qps now", "forecast the cart", "购物车怎么了")


def prompt(text: str) -> Prompt:
    return Prompt("In JSON: {{text}}", {"text": text})


# ---------------------------------------------------------------- making adapters


def gguf(metadata: Mapping[str, str | float], tensors: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """A GGUF of strings, floats and float32 tensors, by the letter of the format."""

    def text(said: str) -> bytes:
        return struct.pack("<Q", len(said.encode())) + said.encode()

    pairs = b"".join(
        text(key) + (struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<If", 6, value))
        for key, value in metadata.items()
    )
    infos, data = b"", b""
    for name, values in tensors.items():
        infos += text(name) + struct.pack("<I", 2) + struct.pack("<QQ", *reversed(values.shape))
        infos += struct.pack("<IQ", 0, len(data))
        data += values.astype("<f4").tobytes()
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + pairs + infos
    return head + b"\0" * (-len(head) % 32) + data


def lora(strength: float, seed: int = 0, width: int = 576) -> bytes:
    """Noise of that strength on the queries of every layer; 0 changes nothing."""
    chance = np.random.default_rng(seed)
    told = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
    }
    tensors = {}
    for layer in range(30):
        tensors[f"blk.{layer}.attn_q.weight.lora_a"] = chance.standard_normal((4, width))
        tensors[f"blk.{layer}.attn_q.weight.lora_b"] = chance.standard_normal((width, 4)) * strength
    return gguf(told, tensors)


def write(folder: Path, weights: bytes, answers: Sequence[object], **changes: Any) -> Path:
    """An adapter on disk, unsigned. `changes` overwrite parts of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    shelf = Shelf()
    base = shelf.find("")
    golden = "".join(
        json.dumps({"values": {"text": question}, "answer": answer}, ensure_ascii=False) + "\n"
        for question, answer in zip(QUESTIONS, answers, strict=True)
    )
    files = {"lora.gguf": weights, "prompt.md": TEMPLATE.encode(), "golden.jsonl": golden.encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)

    def told(name: str) -> dict[str, object]:
        return {"file": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    manifest = {
        "schema": adapters.SCHEMA,
        "name": "trial",
        "version": "1",
        **told("lora.gguf"),
        "base": {"name": base.name, "sha256": base.sha256, "served_as": base.served_as},
        "prompt": told("prompt.md"),
        "golden": {**told("golden.jsonl"), "at_least": 1.0, "schema": SCHEMA},
        **changes,
    }
    (folder / "adapter.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key, and the file of public keys that trusts it."""
    return pair(tmp_path_factory.mktemp("keys"))


def pair(folder: Path) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(
        b"# who may sign\n"
        + key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Sequence[object]:
    """What the bare model says to the golden questions in an adapter's prompt: so much a LoRA of nothing can do."""
    pytest.importorskip("llama_cpp", reason="make llm")
    from aiops.adapters.llm.child import opened

    base = Shelf().find("")
    engine = opened(base.file, 1024, 1, base.served_as)
    return [
        json.loads(engine.complete(TEMPLATE, {"text": question}, SCHEMA, PATIENCE, 64, raw=True)[0])
        for question in QUESTIONS
    ]


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    return tmp_path / "watched"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One derived model for all."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path: Path, cache: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cache").symlink_to(cache)
    return tmp_path / "home"


@pytest.fixture
def model(watched: Path, home: Path, keys: tuple[Path, Path]) -> Iterator[LlamaCpp]:
    pytest.importorskip("llama_cpp", reason="make llm")
    opened = LlamaCpp(shelf=Shelf(home=home), adapter=watched, keys=keys[1], ships=False)
    yield opened
    opened.close()


def put(watched: Path, signed_by: Path | None, weights: bytes, answers: Sequence[object], **changes: Any) -> Path:
    write(watched, weights, answers, **changes)
    (watched / adapters.SIGNATURE).unlink(missing_ok=True)
    if signed_by:
        adapters.sign(watched, signed_by)
    return watched


# ---------------------------------------------------------------- the swap


def test_an_adapter_is_taken_while_questions_are_answered(
    model: LlamaCpp, watched: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    assert "adapter" not in model.ping(PATIENCE)
    put(watched, keys[0], lora(0.0), answers)
    stop, failures = threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            try:
                json.loads(model.complete(prompt("why is cart slow"), SCHEMA, PATIENCE))
            except ModelError as error:
                failures.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        until(lambda: "adapter trial 1" in model.ping(PATIENCE))
        put(watched, keys[0], lora(0.0, seed=1), answers, version="2")
        until(lambda: "adapter trial 2" in model.ping(PATIENCE))
    finally:
        stop.set()
        for thread in asking:
            thread.join()
    assert failures == []
    assert model.counters()["aiops_model_adapter_swaps_total", ()] == 2
    assert model.counters()["aiops_model_adapter_info", (("adapter", "trial"), ("version", "2"))] == 1
    said = model.complete(prompt(QUESTIONS[0]), SCHEMA, PATIENCE)
    assert json.loads(said) == answers[0]  # in the adapter's own prompt


def until(true: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_last_good_one_stays_through_refusals_and_restarts(
    model: LlamaCpp, watched: Path, home: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    put(watched, keys[0], lora(0.0), answers)
    assert model.prove() == "trial 1"
    good = model.complete(prompt(QUESTIONS[0]), SCHEMA, PATIENCE)

    # One that is worse on the golden set of the one in place, although it is content with itself.
    easy = [{"intent": "diagnose", "services": []}] * len(QUESTIONS)
    golden = {**json.loads((watched / "adapter.json").read_text())["golden"], "at_least": 1e-9}
    put(watched, keys[0], lora(5.0), answers, version="3", golden=golden)
    with pytest.raises(ModelError, match=r"worse than trial 1|of its golden set"):
        model.prove()
    assert model.complete(prompt(QUESTIONS[0]), SCHEMA, PATIENCE) == good

    # One that does not keep what it promises.
    put(watched, keys[0], lora(5.0), easy, version="4")
    with pytest.raises(ModelError, match="of its golden set"):
        model.prove()

    # And after a restart, with that one still in the folder.
    again = LlamaCpp(shelf=Shelf(home=home), adapter=watched, keys=keys[1], ships=False)
    try:
        assert again.complete(prompt(QUESTIONS[0]), SCHEMA, PATIENCE) == good
        assert "trial 1" in again.ping(PATIENCE)
    finally:
        again.close()


def test_the_adapter_survives_the_death_of_the_process(
    model: LlamaCpp, watched: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    put(watched, keys[0], lora(0.0), answers)
    model.prove()
    assert model.pid is not None
    os.kill(model.pid, signal.SIGKILL)
    assert json.loads(model.complete(prompt(QUESTIONS[1]), SCHEMA, PATIENCE)) == answers[1]


def test_one_that_ships_answers_without_a_signature(tmp_path: Path, home: Path, answers: Sequence[object]) -> None:
    ships = Shelf().ships / "models.toml"
    write(tmp_path / "models" / "mine", lora(0.0), answers)
    digest = hashlib.sha256((tmp_path / "models" / "mine" / "adapter.json").read_bytes()).hexdigest()
    models = ships.read_text("utf-8").split("[[adapter]]")[0]

    def opened(pinned: str) -> LlamaCpp:
        row = f'[[adapter]]\nbase = "smollm2-135m-instruct"\nfolder = "mine"\nsha256 = "{pinned}"\n'
        (tmp_path / "models" / "models.toml").write_text(models + row, encoding="utf-8")
        return LlamaCpp(shelf=Shelf(tmp_path / "models", home))

    good, changed = opened(digest), opened("0" * 64)
    try:
        assert "refused: adapter.json is not the one" in changed.ping(PATIENCE)
        opened(digest)
        assert "adapter trial 1" in good.ping(PATIENCE)
        assert json.loads(good.complete(prompt(QUESTIONS[2]), SCHEMA, PATIENCE)) == answers[2]
        bare = LlamaCpp(shelf=Shelf(tmp_path / "models", home), ships=False)
        assert "adapter" not in bare.ping(PATIENCE)
        bare.close()
    finally:
        good.close()
        changed.close()


def test_every_adapter_that_ships_passes_its_own_examination(tmp_path: Path, home: Path) -> None:
    pytest.importorskip("llama_cpp", reason="make llm")
    shelf = Shelf(home=home)
    for row in shelf.table().get("adapter", []):
        model = LlamaCpp(row["base"], shelf)
        try:
            known = adapters.read(shelf.ships / row["folder"], shelf.named(row["base"]), shelf, pinned=row["sha256"])
            assert known.file.stat().st_size <= 10 << 20
            assert known.shown in model.ping(PATIENCE)
            values = [case.values for case in known.golden]
            said = [json.loads(model.complete(Prompt(known.template, one), known.schema, PATIENCE)) for one in values]
            right = sum(answer == case.answer for answer, case in zip(said, known.golden, strict=True))
            assert right / len(said) >= known.at_least
        finally:
            model.close()


# ---------------------------------------------------------------- what is refused, and why


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("offered")


@pytest.fixture(scope="module")
def bare(offered: Path, keys: tuple[Path, Path]) -> Iterator[LlamaCpp]:
    """A model that never takes an adapter."""
    pytest.importorskip("llama_cpp", reason="make llm")
    model = LlamaCpp(shelf=Shelf(), adapter=offered, keys=keys[1], ships=False)
    yield model
    model.close()


def refused(model: LlamaCpp, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        model.prove()
    assert json.loads(model.complete(prompt("why"), SCHEMA, PATIENCE))
    assert "refused" in model.ping(PATIENCE)


def test_an_unsigned_one_is_refused(bare: LlamaCpp, offered: Path, answers: Sequence[object]) -> None:
    put(offered, None, lora(0.0), answers)
    refused(bare, "not signed")


def test_the_signature_of_another_is_refused(
    bare: LlamaCpp, offered: Path, answers: Sequence[object], tmp_path: Path
) -> None:
    put(offered, pair(tmp_path)[0], lora(0.0), answers)
    refused(bare, "no key in .* signed it")
    (offered / adapters.SIGNATURE).write_bytes(b"\xff not base64")
    refused(bare, "no base64")
    (offered / adapters.SIGNATURE).write_bytes(b"QUJD")
    refused(bare, "no key in .* signed it")


@pytest.mark.parametrize("name", ["lora.gguf", "prompt.md", "golden.jsonl", "adapter.json"])
def test_a_changed_byte_is_refused(
    bare: LlamaCpp, offered: Path, keys: tuple[Path, Path], answers: Sequence[object], name: str
) -> None:
    put(offered, keys[0], lora(0.0), answers)
    data = bytearray((offered / name).read_bytes())
    data[len(data) // 2] ^= 1
    (offered / name).write_bytes(data)
    refused(bare, "is not the file that|changed since")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base": {"name": "other", "sha256": "0" * 64}}, "made for other"),
        ({"file": "../lora.gguf"}, "is no name"),
        ({"file": "absent.gguf"}, "absent"),
        ({"schema": "aiops-adapter/9"}, "schema"),
        ({"name": "a b"}, "is no name"),
        ({"version": None}, "is no name"),
        ({"golden": {}}, "is no name"),
        ({"prompt": []}, "lacks 'prompt'"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    bare: LlamaCpp,
    offered: Path,
    keys: tuple[Path, Path],
    answers: Sequence[object],
    changes: dict[str, Any],
    reason: str,
) -> None:
    put(offered, keys[0], lora(0.0), answers, **changes)
    refused(bare, reason)


@pytest.mark.parametrize(
    "weights", [b"", b"GGUF", b"not a model at all", lora(0.0)[:-4096], lora(0.0, width=64)], ids=len
)
def test_broken_weights_are_refused(
    bare: LlamaCpp, offered: Path, keys: tuple[Path, Path], answers: Sequence[object], weights: bytes
) -> None:
    put(offered, keys[0], weights, answers)
    refused(bare, "GGUF|header|can't load|ended")


def test_a_prompt_that_asks_for_more_is_refused(
    bare: LlamaCpp, offered: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    write(offered, lora(0.0), answers)
    (offered / "prompt.md").write_text("{{text}} {{secret}}", encoding="utf-8")
    told = json.loads((offered / "adapter.json").read_text("utf-8"))
    told["prompt"]["sha256"] = hashlib.sha256(b"{{text}} {{secret}}").hexdigest()
    (offered / "adapter.json").write_text(json.dumps(told), encoding="utf-8")
    adapters.sign(offered, keys[0])
    refused(bare, "secret")


def test_what_was_refused_leaves_nothing_behind(
    watched: Path, home: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    put(watched, None, lora(0.0), answers)
    model = LlamaCpp(shelf=Shelf(home=home), adapter=watched, keys=keys[1], ships=False)
    try:
        refused(model, "not signed")
        assert list((home / "adapters").iterdir()) == []
    finally:
        model.close()


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.just("lora.gguf"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["file", "sha256", "base", "prompt", "golden", "schema", "name"]), inner)
        ),
        max_leaves=20,
    )
    | st.binary(max_size=60)
    | st.just(b"[" * 100_000)
)
def test_no_manifest_does_more_than_be_refused(tmp_path: Path, told: Any) -> None:
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "adapter.json").write_bytes(told if isinstance(told, bytes) else json.dumps(told).encode())
    with pytest.raises(adapters.UnfitError):
        adapters.take(tmp_path / "a", tmp_path / "room")


def test_without_keys_nothing_is_trusted(
    offered: Path, home: Path, keys: tuple[Path, Path], answers: Sequence[object]
) -> None:
    put(offered, keys[0], lora(0.0), answers)
    model = LlamaCpp(shelf=Shelf(home=home), adapter=offered, ships=False)
    try:
        refused(model, "no keys are configured")
    finally:
        model.close()


def test_a_key_that_is_none_signs_nothing(offered: Path, tmp_path: Path, answers: Sequence[object]) -> None:
    write(offered, lora(0.0), answers)
    (tmp_path / "key.pem").write_text("no key", encoding="utf-8")
    with pytest.raises(adapters.UnfitError, match="private key"):
        adapters.sign(offered, tmp_path / "key.pem")
    with pytest.raises(adapters.UnfitError, match="absent"):
        adapters.sign(offered, tmp_path / "absent.pem")
