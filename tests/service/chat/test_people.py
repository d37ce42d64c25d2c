"""Who somebody in a chat is, by the file that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiops.errors import ConfigError
from aiops.service.access import Principal, Role
from aiops.service.chat.people import People, parse

ALICE = Principal("alice", Role.APPROVER)


def test_lines_say_who_somebody_is_wherever_they_write() -> None:
    text = (
        "# ours\napprover alice slack:T1.U1  # on call\n\napprover alice mattermost:abc\nadmin bob feishu:acme.ou_1\n"
    )
    assert parse(text, "f") == {
        ("slack", "T1.U1"): ALICE,
        ("mattermost", "abc"): ALICE,
        ("feishu", "acme.ou_1"): Principal("bob", Role.ADMIN),
    }


@pytest.mark.parametrize(
    "line", ["approver alice", "boss alice slack:U1", "approver alice slack", "approver slack:U1", "viewer a slack:"]
)
def test_a_line_that_says_nothing_is_told_with_its_number(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        parse(f"viewer x slack:U0\n{line}\n", "f")


def test_nobody_is_two() -> None:
    with pytest.raises(ConfigError, match="twice"):
        parse("viewer a slack:U1\nadmin b slack:U1\n", "f")


def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "people"
    with pytest.raises(ConfigError):
        People(file)
    file.write_text("approver alice slack:U1\n")
    people = People(file)
    assert people.find("slack", "U1") == ALICE
    assert people.find("mattermost", "U1") is people.find("slack", "u1") is None
    for number, (text, found) in enumerate((("viewer bob slack:U1\n", "bob"), ("nonsense\n", "bob"), ("", None)), 1):
        file.write_text(text)
        os.utime(file, (number, number))
        known = people.find("slack", "U1")
        assert (known.name if known else None) == found
    assert People().find("slack", "U1") is None
