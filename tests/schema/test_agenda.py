"""Several tasks as YAML: what is refused says where and why; one task stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops.domain import Task
from aiops.errors import DataError
from aiops.schema import agenda
from aiops.schema import task as task_schema

GOOD = """
agenda_id: two_things
tasks:
  - task_id: first_one
    intent: query
    inputs: {services: [orders, checkout], metrics: [qps]}
  - task_id: second_one
    intent: diagnose
    inputs: {services: [checkout]}
    only_if: {task: first_one, holds: worse, service: checkout}
"""


def test_a_condition_is_waited_for() -> None:
    loaded = agenda.load(GOOD)
    assert not isinstance(loaded, Task)
    assert loaded.steps[1].after == ("first_one",)
    assert agenda.load(agenda.dump(loaded)) == loaded
    assert agenda.AgendaModel.model_validate(agenda.plain(loaded)).agenda() == loaded


def test_one_task_is_one_task() -> None:
    assert isinstance(agenda.load("task_id: just_one\nintent: query\ninputs: {services: [orders]}"), Task)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("holds: worse", "holds: meh"), "tasks.1.only_if.holds: 'meh' is not allowed"),
        (("task: first_one", "task: third_one"), "second_one comes after third_one"),
        (("task_id: second_one", "task_id: first_one"), "stands twice"),
        (("intent: diagnose", "intent: reject"), "can't be one of several"),
        (
            ("service: checkout}", "service: checkout, when: now}"),
            "tasks.1.only_if.when is not a field here; known are task, holds, service",
        ),
        (("agenda_id: two_things", "agenda_id: X"), "agenda_id: 'X' is not allowed"),
        (("    intent: query\n", ""), "tasks.0.intent is missing"),
    ],
)
def test_errors_name_the_field_and_what_is_allowed(change: tuple[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said.replace(".", r"\.").replace("{", r"\{")):
        agenda.load(GOOD.replace(*change))


def test_a_cycle_can_not_be_written() -> None:
    with pytest.raises(DataError, match="stands not before it"):
        agenda.load(GOOD.replace("metrics: [qps]}", "metrics: [qps]}\n    after: [second_one]"))


def test_the_schema_is_one_that_validators_take() -> None:
    import jsonschema
    import yaml

    jsonschema.Draft202012Validator.check_schema(agenda.json_schema())
    jsonschema.validate(yaml.safe_load(GOOD), agenda.json_schema())


def test_the_docs_tables_are_the_schemas() -> None:
    page = (Path(__file__).parents[2] / "docs" / "asking.md").read_text("utf-8")
    assert task_schema.reference() in page
    assert agenda.reference() in page
