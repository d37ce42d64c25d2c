"""The second opinion: where the rules are not sure, the language model reads the whole utterance, and is checked.

The grammar lets it say only catalog names, `unknown` and well-formed times. What it says counts only if every service it
names stands in the text, it asks for no change that the text doesn't, and it doesn't contradict what the rules are sure of.
Otherwise the answer is the rules' own question. The person's text is data inside the prompt, quoted text was taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiops import resources
from aiops.domain import Catalog
from aiops.errors import ModelError
from aiops.ports import LanguageModel, Prompt
from aiops.stages.interpret import marking
from aiops.stages.interpret.slots import ACTIONS, OUTPUTS, READ_ONLY, TIME_PATTERN, Reading, Slots

NO_MODEL = "answered by rules alone: the language model is not installed (make llm)"
_NOW = re.compile(r"(?a)\bright now\b|\bcurrent(?:ly)?\b|\bat the moment\b|现在|这会儿|此刻|目前|当前|眼下")


def read(
    ruled: Reading, catalog: Catalog, context: Slots | None, model: LanguageModel | None, timeout: float
) -> Reading:
    """The model's reading where it stands the checks, else the rules' reading as a question or a best guess."""
    if model is None:
        return replace(_settled(ruled), note=NO_MODEL)
    try:
        said = model.complete(prompt(ruled.said, context, ruled.marked), schema(catalog), timeout)
        slots = _beside(Slots.from_dict(_grounded(json.loads(said))), ruled.slots)
    except (ModelError, ValueError, TypeError) as error:
        return replace(_settled(ruled), note=f"answered by rules alone: {error}"[:200])
    if not _stands(slots, ruled):
        return _settled(ruled)
    origins = {name: "said" if getattr(slots, name) != getattr(Slots(), name) else "default" for name in ruled.origins}
    return Reading(slots, route="model", origins=origins, wanted=slots.intent)


def unchecked(ruled: Reading, catalog: Catalog, context: Slots | None, model: LanguageModel, timeout: float) -> Reading:
    """What the model says, whatever the rules heard: to measure it by."""
    try:
        said = model.complete(prompt(ruled.said, context, ruled.marked), schema(catalog), timeout)
        return Reading(Slots.from_dict(_grounded(json.loads(said))), route="model")
    except (ModelError, ValueError, TypeError):
        return Reading(Slots(), route="model")


def schema(catalog: Catalog) -> dict[str, Any]:
    """JSON schema of the seven slots for this catalog; `unknown` keeps an unknown service from becoming a known one."""
    names = {"type": "array", "items": {"enum": [*catalog.services, "unknown"]}, "maxItems": 4}
    metrics = {"type": "array", "items": {"enum": list(catalog.metrics) or ["unknown"]}, "maxItems": 4}
    properties = {
        "intent": {"enum": [*READ_ONLY, "remediate", "clarify", "reject"]},
        "services": names,
        "metrics": metrics,
        "time": {"type": "string", "pattern": f"^(?:{TIME_PATTERN})$"},
        "action": {"enum": list(ACTIONS)},
        "output": {"enum": list(OUTPUTS)},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def prompt(text: str, context: Slots | None, marked: str = "") -> Prompt:
    """The prompt template, and the text for it, as JSON so that it can't end its own quotes.

    `before` and `said` are the same for a model that was trained on marked text (see `marking`)."""
    template = (resources.folder("prompts") / "intake.md").read_text(encoding="utf-8")
    before = json.dumps(context.as_dict(), ensure_ascii=False) if context else "null"
    told = {"context": before, "text": json.dumps(text[:2_000], ensure_ascii=False)}
    return Prompt(template, told | {"before": marking.before(context), "said": marked[:2_000]})


def _grounded(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise TypeError("the model's answer is no object")
    return {**values, "filters": [], "services": [s for s in values.get("services", ()) if s != "unknown"]}


def _beside(slots: Slots, ruled: Slots) -> Slots:
    """With what only the rules read: conditions, the day and zone of a clock, the order, and the format."""
    return replace(slots, filters=ruled.filters, day=ruled.day, zone=ruled.zone, order=ruled.order, output=ruled.output)


def _stands(slots: Slots, ruled: Reading) -> bool:
    """What the rules heard is the ground: no service, time or change may come from nowhere, and only a forecast looks ahead."""
    mine = ruled.slots
    if slots.intent not in READ_ONLY or not slots.services:
        return False
    if slots.time != "none" and slots.time.startswith("next:") != (slots.intent == "forecast"):
        return False
    if slots.intent == "forecast" and _NOW.search(ruled.said):
        return False
    return slots.services == mine.services and slots.time == mine.time and slots.action == mine.action == "none"


def _settled(ruled: Reading) -> Reading:
    return replace(ruled, route="clarify" if ruled.slots.intent == "clarify" else "rules")
