"""Whether a model can be used: its file, that it loads, and that it keeps to a grammar."""

from __future__ import annotations

import json

from aiops.adapters.llm.llamacpp import LlamaCpp
from aiops.adapters.llm.models import Progress, Shelf, wrong_with
from aiops.errors import ModelError
from aiops.ports import Prompt

PATIENCE_S = 120.0
SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["diagnose", "query"]},
        "services": {"type": "array", "items": {"enum": ['we"ird', "购物车", "unknown"]}, "maxItems": 2},
        "time": {"type": "string", "pattern": "^(?:none|last:[1-9][0-9]?[mh])$"},
    },
    "required": ["intent", "services", "time"],
    "additionalProperties": False,
}
UNTRIED = "not tried"


def check(shelf: Shelf, name: str, progress: Progress) -> dict[str, str]:
    """`file`, `loads`, `grammar`: "ok", or what is wrong. `name` as in model.url. ModelError for a name that is none."""
    told = {"file": "ok", "loads": UNTRIED, "grammar": UNTRIED}
    by_path = "/" in name or name.endswith(".gguf")
    told["file"] = wrong_with(shelf.find(name) if by_path else shelf.named(name), shelf, progress) or "ok"
    if told["file"] != "ok":
        return told
    model = LlamaCpp(name, shelf, ships=False)
    try:
        model.ping(PATIENCE_S)
        told["loads"] = "ok"
        told["grammar"] = _keeps(model)
    except ModelError as error:
        told["loads" if told["loads"] == UNTRIED else "grammar"] = str(error)
    finally:
        model.close()
    return told


def _keeps(model: LlamaCpp) -> str:
    """Asks one question, and looks at the answer as somebody who trusts nothing."""
    said = model.complete(Prompt("Answer in JSON.\n{{text}}", {"text": "why is 购物车 slow"}), SCHEMA, PATIENCE_S)
    try:
        answer = json.loads(said)
    except ValueError:
        return f"its answer is no JSON: {said[:60]!r}"
    services = {'we"ird', "购物车", "unknown"}
    fits = list(answer) == SCHEMA["required"] and set(answer["services"]) <= services and len(answer["services"]) <= 2
    return "ok" if fits else f"its answer does not keep to the grammar: {said[:60]!r}"
