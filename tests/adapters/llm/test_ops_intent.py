"""The recipe of the ops-intent adapter and the adapter that ships. Training needs torch; none of this does."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from aiops import resources
from aiops.domain import Intent
from aiops.schema import task as schema
from aiops.stages.interpret import ask_model, convert
from aiops.stages.interpret.slots import Reading, Slots

HOME = resources.folder("models") / "ops-intent"
RECIPE = ("catalogs", "chinese", "compose", "english", "notation", "times")


@pytest.fixture(scope="module")
def compose() -> Iterator[Any]:
    """The generator, whose modules import each other by their plain names."""
    sys.path.insert(0, str(HOME))
    try:
        import compose as module

        yield module
    finally:
        sys.path.remove(str(HOME))
        for name in RECIPE:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def some(compose: Any) -> list[Any]:
    return [e for held in (False, True) for e in compose.examples(3, 220, held_out=held, systems=20)]


def test_the_same_seed_gives_the_same_examples(compose: Any) -> None:
    first, second = (list(compose.examples(5, 60, held_out=False, systems=6)) for _ in range(2))
    assert first == second
    assert [e.text for e in first] != [e.text for e in compose.examples(6, 60, held_out=False, systems=6)]


def test_no_text_stands_twice_and_both_languages_and_all_intents_are_there(some: list[Any]) -> None:
    train = some[:220]
    assert len({e.text for e in train}) == 220
    assert {e.lang for e in train} == {"en", "zh"}
    assert {e.slots.intent for e in some} == {str(intent) for intent in Intent}


def test_held_out_frames_are_in_no_training_example(some: list[Any], compose: Any) -> None:
    frames = {held: {e.frame for e in part if e.kind != "follow"} for held, part in ((0, some[:220]), (1, some[220:]))}
    assert not frames[0] & frames[1]
    assert all(compose.held(frame) for frame in frames[1])


def test_every_answer_keeps_to_the_grammar_of_its_own_system(some: list[Any], compose: Any) -> None:
    for example in some:
        answer = json.loads(compose.answer(example.slots))
        assert list(answer) == ask_model.schema(example.system.catalog)["required"]
        jsonschema.validate(answer, ask_model.schema(example.system.catalog))


def test_every_gold_is_a_task_of_the_schema(some: list[Any], compose: Any) -> None:
    for example in some:
        known = tuple(name for name in example.slots.services if name != "unknown")
        task = convert.task_of(Reading(replace(example.slots, services=known)), compose.NOW, compose.NOW)
        assert schema.load(schema.dump(task)) == task


def test_nothing_is_changed_without_being_asked_for(some: list[Any]) -> None:
    for example in some:
        assert (example.slots.action != "none") <= (example.slots.intent in {"remediate", "clarify"})
        assert (example.slots.intent != "remediate") or example.slots.action != "none"


def test_quoted_orders_reach_neither_the_model_nor_the_gold(some: list[Any]) -> None:
    quoted = [e for e in some if e.kind == "injection"]
    assert quoted
    for example in quoted:
        assert example.slots.action == "none"
        assert not re.search(r"(?i)system:|action=|ignore all|忽略|执行回滚", example.said)


def test_almost_all_examples_are_marked_as_they_are_meant(some: list[Any]) -> None:
    assert sum(e.linked for e in some) >= 0.93 * len(some)


def test_an_unknown_service_is_never_mapped_to_a_known_one(some: list[Any]) -> None:
    for example in some:
        if example.kind == "unknown" and example.linked:
            assert "unknown" in example.slots.services
            assert example.slots.intent == "clarify"


def test_slots_and_spelling_of_one_example(compose: Any) -> None:
    slots = Slots("query", ("unknown",), ("qps",), "last:1h", ("env=prod",), "none", "json")
    assert compose.answer(slots) == (
        '{"intent":"query","services":["unknown"],"metrics":["qps"],"time":"last:1h","action":"none","output":"json"}'
    )


@pytest.fixture(scope="module")
def manifest() -> Any:
    return json.loads((HOME / "adapter.json").read_text(encoding="utf-8"))


def test_the_manifest_is_about_the_files_beside_it(manifest: Any) -> None:
    for part in (manifest, manifest["prompt"], manifest["golden"]):
        assert hashlib.sha256((HOME / part["file"]).read_bytes()).hexdigest() == part["sha256"], part["file"]
    assert (HOME / manifest["file"]).stat().st_size == manifest["size"] <= 10_000_000
    assert manifest["licence"] == "Apache-2.0"


def test_the_golden_set_is_what_the_generator_says(manifest: Any, compose: Any) -> None:
    rows = [json.loads(line) for line in (HOME / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    meant = list(compose.examples(manifest["golden"]["seed"], len(rows), held_out=True, systems=1))
    assert [row["answer"] for row in rows] == [json.loads(compose.answer(e.slots)) for e in meant]


def test_the_adapter_reaches_its_golden_score_on_the_model_that_it_was_made_for(manifest: Any, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="make llm")
    pytest.importorskip("llguidance", reason="make llm")
    from aiops.adapters.llm import engine
    from aiops.adapters.llm.models import Shelf

    base = Shelf().named(manifest["base"]["name"])
    if not base.file.is_file():
        pytest.skip("make llm")
    assert hashlib.sha256(base.file.read_bytes()).hexdigest() == manifest["base"]["sha256"]
    assert base.served_as == manifest["base"]["served_as"]
    served = tmp_path / "served.gguf"
    engine.requantise(base.file, served, base.served_as)
    model = engine.Engine(served, 2048)
    model.add("it", HOME / manifest["file"], (HOME / "prompt.md").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (HOME / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    golden = manifest["golden"]
    right = sum(
        json.loads(model.complete("", row["values"], golden["schema"], 60.0, 256, "it")[0]) == row["answer"]
        for row in rows
    )
    assert right / len(rows) >= golden["at_least"]
