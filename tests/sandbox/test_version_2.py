"""Control groups of version 2, on whatever machine: proven in a virtual one. It works beside the tests before these
(conftest.py); under CI it is never skipped."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from confined import attacks, machine
from conftest import needed

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the virtual machine is one of x86_64")


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    with needed():
        running = machine.running()
    return running.told()


def about(told: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    found = [line for line in told if line["about"] == what]
    assert found, told
    return found


def test_the_machine_has_version_2(told: list[dict[str, Any]]) -> None:
    assert "version 2" in about(told, "ping")[0]["says"]


def test_every_attack_on_resources_is_contained(told: list[dict[str, Any]]) -> None:
    lines = about(told, "attack")
    assert {line["name"] for line in lines} >= {attack.name for attack in attacks.RESOURCES}
    assert [line["wrong"] for line in lines if line["wrong"]] == []
    bomb = next(line for line in lines if line["name"] == "memory bomb")
    assert bomb["status"] == "oom"
    assert 120 << 20 < bomb["memory"] <= 128 << 20


def test_one_file_kills_a_whole_tree(told: list[dict[str, Any]]) -> None:
    kill = about(told, "kill")[0]
    assert (kill["many"], kill["has"], kill["emptied"], kill["by"]) == (16, True, True, True)


def test_processor_time_is_shared_by_weight(told: list[dict[str, Any]]) -> None:
    line = about(told, "weight")[0]
    assert 2 < line["100"] / line["20"] < 20  # 5, as far as a machine that has little time keeps it; 1 without weights


def test_a_delegated_subtree_is_enough(told: list[dict[str, Any]]) -> None:
    assert about(told, "delegated")[0]["wrong"] == []


def test_nothing_is_left(told: list[dict[str, Any]]) -> None:
    assert about(told, "left")[0]["groups"] == []
