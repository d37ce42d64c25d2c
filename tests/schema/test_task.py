"""The task as YAML: a round trip, and errors that name the field, the value and what is allowed."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import Alert, Inputs, Intent, Symptom, Task, TimeRange
from aiops.errors import DataError
from aiops.schema import task as task_schema

NAME = st.text(
    st.characters(min_codepoint=0x20, blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40
)
MOMENT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001
WINDOW = st.builds(lambda start, s: TimeRange(start, start + timedelta(seconds=s)), MOMENT, st.integers(1, 10**7))
ALERT = st.builds(
    Alert,
    fingerprint=st.text(max_size=20),
    status=st.sampled_from(["firing", "resolved"]),
    labels=st.dictionaries(NAME, NAME, max_size=3),
    annotations=st.dictionaries(NAME, st.text(max_size=60), max_size=3),
    starts_at=MOMENT,
    ends_at=st.none() | MOMENT,
)
INPUTS = st.builds(
    Inputs,
    symptom=st.none() | st.builds(Symptom, service=st.none() | NAME, metric=st.none() | NAME, at=MOMENT),
    alerts=st.lists(ALERT, max_size=2).map(tuple),
    services=st.lists(NAME, max_size=3).map(tuple),
    metrics=st.lists(NAME, max_size=3).map(tuple),
    window=st.none() | WINDOW,
    horizon=st.none() | st.integers(1, 10_000).map(lambda m: timedelta(minutes=m)),
    filters=st.lists(st.sampled_from(["env=prod", "cpu_usage>90", "qps<0.5", "path=/v1/x:y"]), max_size=2).map(tuple),
)
TASK = st.builds(
    Task,
    task_id=st.from_regex(r"[a-z0-9_]{4,32}", fullmatch=True),
    intent=st.sampled_from([i for i in Intent if i is not Intent.REMEDIATE]),
    inputs=INPUTS,
    expected_output_format=st.sampled_from(["json", "markdown", "plaintext"]),
    question=st.text(max_size=100),
)


@given(TASK)
def test_every_task_comes_back_from_its_yaml(task: Task) -> None:
    written = task_schema.dump(
        task, {"intent": "said", "inputs.window": "default", "expected_output_format": "session"}
    )
    assert task_schema.load(written) == task


@given(TASK)
def test_every_task_satisfies_the_published_schema(task: Task) -> None:
    jsonschema.validate(task_schema.plain(task), task_schema.json_schema())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", ["a mapping", "task_id"]),
        ("task_id: Not-An-Id\nintent: query", ["task_id", "'Not-An-Id'", "4 to 32 of a-z"]),
        ("intent: query", ["task_id is missing", "4 to 32"]),
        ("task_id: abcd\nintent: explode", ["intent", "'explode'", "diagnose", "reject"]),
        ("task_id: abcd\nintent: query\ninputs: {horizon: soon}", ["inputs.horizon", "'soon'", "6h"]),
        ("task_id: abcd\nintent: query\ninputs: {filters: ['a b']}", ["inputs.filters.0", "'a b'", "label=value"]),
        ("task_id: abcd\nintent: query\ninputs: {serivces: [cart]}", ["inputs.serivces", "services"]),
        ("task_id: abcd\nintent: remediate", ["remediate needs inputs.action", "restart"]),
        ("task_id: abcd\nintent: query\ninputs: {action: restart}", ["action restart needs intent remediate"]),
        (
            "task_id: abcd\nintent: query\ninputs: {window: {start: 2026-01-02T00:00:00Z, end: 2026-01-01T00:00:00Z}}",
            ["inputs.window", "ends at 2026-01-01", "2026-01-02"],
        ),
        (
            "task_id: abcd\nintent: query\ninputs: {window: {start: 2026-01-02T00:00:00, end: 2026-01-03T00:00:00Z}}",
            ["inputs.window.start", "time zone"],
        ),
        ("task_id: abcd\nintent: query\ntask_id: efgh", ["stands twice"]),
        ("a: &x [1]\nb: *x", ["aliases are not allowed"]),
        ("[" * 5_000, ["not YAML"]),
        ("task_id: [", ["not YAML"]),
        ("!!python/object/apply:os.system ['true']", ["not YAML"]),
    ],
)
def test_an_error_names_the_field_the_value_and_what_is_allowed(text: str, told: list[str]) -> None:
    with pytest.raises(DataError) as error:
        task_schema.load(text, "mine.yaml")
    assert str(error.value).startswith("mine.yaml: ")
    for words in told:
        assert words in str(error.value)


def test_words_that_yaml_reads_as_something_else_stay_words() -> None:
    task = Task("abcd", Intent.QUERY, Inputs(services=("no", "10:20", "null", "1e3", "true", "")[:5]))
    assert task_schema.load(task_schema.dump(task)) == task
    assert task_schema.load("task_id: '1234'\nintent: query\ninputs: {services: [no, 10:20]}").inputs.services == (
        "no",
        "10:20",
    )


def test_json_is_taken_too() -> None:
    assert task_schema.load('{"task_id": "abcd", "intent": "query"}') == Task("abcd", Intent.QUERY)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_task_or_a_data_error(text: str | bytes) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(task_schema.load(text), Task)


def test_the_reference_names_every_field() -> None:
    table = task_schema.reference()
    for field in ("task_id", "intent", "inputs.window", "inputs.symptom.at", "inputs.action", "expected_output_format"):
        assert f"`{field}`" in table
    assert yaml.safe_dump(task_schema.json_schema())


@pytest.mark.parametrize(
    "odd", ["\x85", "\u2028", "\u2029", "\ufeff", "a\nb\n", "\x7f", " lead", "结算 # no", "'", '"', "- x", "…"]
)
def test_odd_characters_survive(odd: str) -> None:
    task = Task("abcd", Intent.CLARIFY, Inputs(), question=odd)
    assert task_schema.load(task_schema.dump(task, {"question": "said"})) == task
