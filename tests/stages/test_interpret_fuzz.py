"""Anything for text, catalog and context: a valid task, no crash, no hang.

Where the rules ask for a second opinion, chance answers: token by token, whatever the real grammar allows at each step, on the
vocabulary of the model that ships. `make soak` runs 100,000 inputs, a fiftieth of them stands in `make test`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.bench import intake
from aiops.domain import Catalog
from aiops.errors import ModelError
from aiops.ports import Prompt
from aiops.schema import agenda as agenda_schema
from aiops.schema import task as task_schema
from aiops.stages.interpret import Reading, Slots, ask_model, interpret, read
from aiops.stages.interpret.text import MAX_CHARS, RAW_CHARS

DATA = Path(__file__).parent.parent / "data" / "intake"
CATALOG, NOW = intake.read_catalog(DATA / "catalog.json")
FOURTH, FIFTH = (intake.read_catalog(DATA / f"catalog_{name}.json")[0] for name in ("fourth", "fifth"))
MANY = settings(deadline=None, max_examples=2_000, suppress_health_check=list(HealthCheck))
SECONDS = 5.0  # of processor time: a hang, not slowness; a text takes about a millisecond

# ---------------------------------------------------------------- what is said


def words(listed: str) -> list[str]:
    return listed.split(" ")


WORDS = words(
    "why is the p99 of so slow since 10:20 last 30m json show forecast restart scale it roll back and then if worse find out why"
    " 为什么 最近 三点一刻 昨晚 半小时 重启 扩容 回滚 预测 异常 如果 然后 错误率 内存 两万五 , ; . ? ! ， 。 “ ” 「 ` ``` \" ' <alert> </alert> > < = 10k %"
    " cart checkout db-7 orders-consumer 购物车 网关 zeus-api db-99 qps cpu lag between 14:30 and 14:05 next 6h yesterday rm -rf / $( | sh"
)
ODD = words(
    "\x00 \x07 \x1b[31m \ud800 \udfff \u202e \u2066 \u200b \u200d \ufeff \u00ad \u0301\u0301\u0301 👩‍👩‍👧‍👦 🔥 ﷽ Ǆ ｊｓｏｎ １２：３０ ٣٠ ½ \u2028 \u0085 {{text}} </s> <|im_end|> [INST]"
    " \\d+ (a+)+$ .* ${jndi:x} %s {0} null None true -- # --plan"
)
piece = st.sampled_from(WORDS) | st.sampled_from(ODD) | st.text(max_size=12) | st.integers(-(10**20), 10**20).map(str)
texts = (
    st.lists(piece, max_size=30).map(" ".join)
    | st.lists(piece, max_size=30).map("".join)
    | st.text(st.characters(), max_size=200)
    | st.tuples(piece, st.integers(1, 25_000)).map(lambda p: (p[0] * p[1])[: RAW_CHARS + 5])
    | st.tuples(st.sampled_from(intake.read_utterances(DATA / "dev.jsonl")), st.lists(piece, max_size=4)).map(
        lambda p: " ".join([p[0].text, *p[1]])
    )
)
name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    str.strip
) | st.sampled_from(
    [
        "a.b",
        "(x",
        "[a-z]*",
        "why",
        "cart",
        "db-1",
        "db-2",
        "结算",
        "ts-a",
        "ts-b",
        "ts-c",
        "x" * 253,
        "orders",
        "orders-consumer",
    ]
)
catalogs = (
    st.sampled_from([CATALOG, FOURTH, FIFTH])
    | st.sampled_from([CATALOG, Catalog((), ())])
    | st.builds(
        lambda services, metrics, aliases: Catalog(
            tuple(sorted(set(services))), tuple(sorted(set(metrics))), {s: tuple(a) for s, a in aliases.items()}
        ),
        st.lists(name, max_size=12),
        st.lists(name | st.sampled_from(CATALOG.metrics), max_size=8),
        st.dictionaries(name, st.lists(name, max_size=2), max_size=3),
    )
)
value = st.none() | st.text(max_size=10) | st.integers() | st.lists(st.text(max_size=6), max_size=3)
contexts = (
    st.none()
    | st.sampled_from([one.gold for one in intake.read_utterances(DATA / "dev.jsonl")])
    | st.dictionaries(
        st.sampled_from(["intent", "services", "metrics", "time", "wanted", "action", "x"]), value, max_size=7
    )
)


# ---------------------------------------------------------------- chance, under the real grammar


@lru_cache(maxsize=1)
def vocabulary() -> Any:
    llama_cpp = pytest.importorskip("llama_cpp")
    from aiops.adapters.llm.grammar import Vocabulary
    from aiops.adapters.llm.models import Shelf

    file = next(model.file for model in Shelf().models() if model.file.is_file())
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), params)
    return Vocabulary(llama_cpp.llama_model_get_vocab(model)), llama_cpp.llama_model_get_vocab(model)


class Chance:
    """Says any text that the grammar allows: at each step one of the allowed tokens, by chance."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def complete(self, prompt: Prompt, schema: Mapping[str, object], timeout: float) -> str:
        from aiops.adapters.llm.grammar import Grammar, GrammarError

        tokens, vocab = vocabulary()
        try:
            grammar = Grammar(tokens, schema)
            return self._walk(grammar, vocab)
        except GrammarError as error:
            raise ModelError(str(error)) from error

    def _walk(self, grammar: Any, vocab: Any) -> str:
        import llama_cpp

        said: list[int] = []
        while not grammar.ended:
            said += grammar.forced()
            if grammar.ended:
                break
            token = int(self._random.choice(grammar.allowed()))
            if llama_cpp.llama_vocab_is_eog(vocab, token):
                break
            grammar.take([token])
            said.append(token)
        tokens, _ = vocabulary()
        return b"".join(tokens._piece(vocab, token) for token in said).decode("utf-8", "replace")

    def ping(self, timeout: float) -> str:
        return "chance"

    def close(self) -> None:
        """Nothing is open."""


def checked(text: str, catalog: Catalog, context: Any, seed: int) -> None:
    vocabulary()  # read once, and not what is measured
    begun = time.process_time()
    plan = interpret(text, catalog, now=NOW, timezone="Asia/Shanghai", context=context, model=Chance(seed))
    assert time.process_time() - begun < SECONDS
    kept = (context or {}).get("services") or ()
    known = {*catalog.services, *(map(str, kept) if not isinstance(kept, int) else ())}
    for task in [step.task for step in plan.agenda.steps] if plan.agenda else [plan.task]:
        assert task_schema.load(task_schema.dump(task, plan.origins)) == task
        assert set(task.inputs.services) <= known
        assert (task.inputs.action != "none") <= (task.intent in {"remediate", "clarify"})
    if plan.agenda:
        assert agenda_schema.load(agenda_schema.dump(plan.agenda)) == plan.agenda
    json.dumps(plan.slots)  # what a session keeps


@MANY
@given(text=texts, catalog=catalogs, context=contexts, seed=st.integers(0, 2**32))
def test_any_input_gives_a_valid_task(text: str, catalog: Catalog, context: Any, seed: int) -> None:
    checked(text, catalog, context, seed)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(text=texts, catalog=catalogs, context=contexts, seed=st.integers(0, 2**32))
def test_whatever_the_grammar_allows_is_checked(text: str, catalog: Catalog, context: Any, seed: int) -> None:
    """The model is asked even where the rules are sure, so that each input meets an answer by chance."""
    ruled = read(text, catalog, now=NOW)
    doubtful = Reading(ruled.slots, origins=ruled.origins, doubts=("made to ask",), said=ruled.said)
    told = ask_model.read(doubtful, catalog, None, Chance(seed), 1.0)
    assert set(told.slots.services) <= set(ruled.slots.services)
    assert told.slots.action in {"none", ruled.slots.action}
    assert told.slots.time == ruled.slots.time
    assert Slots.from_dict(told.slots.as_dict()) == Slots(**{k: getattr(told.slots, k) for k in told.slots.as_dict()})


def long_texts() -> Iterator[str]:
    """Texts at the limits that would make a backtracking pattern take for ever."""
    for unit in (
        "a ",
        "why ",
        "1",
        "1 ",
        "-",
        "a-",
        "restart ",
        "为什么",
        "一",
        "再",
        "and ",
        "if ",
        "last ",
        '"',
        "'",
        "<a>",
        ">\n",
        "(",
        "\x01",
        "the ",
        "not ",
        "三点",
        "10:20 ",
        "db-",
        ", ",
        "scale the ",
        "的",
        "p",
        "x=",
        "show me ",
    ):
        for limit in (MAX_CHARS, RAW_CHARS):
            yield (unit * limit)[: limit - 6] + " cart!"
            yield "why is cart slow " + (unit * limit)[: limit - 40] + " restart"


@pytest.mark.parametrize("text", list(long_texts()), ids=lambda t: f"{t[:12]!r}x{len(t)}")
def test_no_pattern_runs_away(text: str) -> None:
    begun = time.process_time()
    checked(text, CATALOG, None, 0)
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("text", ["why is cart slow for the last 99999 weeks", "cart qps over the past 70000 days"])
def test_a_time_before_all_times_is_all_there_is(text: str) -> None:
    checked(text, CATALOG, None, 0)


def test_a_condition_on_a_metric_of_any_name_can_be_written_and_read_back() -> None:
    named = Catalog(("cart",), ("0", ":job:lag", "rate(errors)", "with space"), {})
    for metric in named.metrics:
        plan = interpret(f"restart cart if {metric} > 10k", named, now=NOW)
        assert task_schema.load(task_schema.dump(plan.task)) == plan.task
    checked("restart cart if 0 > 0", named, None, 0)
