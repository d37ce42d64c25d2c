"""Every attack gets nowhere, as root and as a user that has only a delegated subtree; and nothing of it is left."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from aiops.adapters.sandbox import Bubblewrap

from confined import Host, as_user, attacked, attacks, contained, groups_left

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks' system calls are those of x86_64")


@pytest.mark.parametrize("attack", attacks.ALL, ids=lambda attack: attack.name)
def test_an_attack_gets_nowhere(attack: attacks.Attack, sandbox: Bubblewrap, host: Host) -> None:
    before = sorted(host.folder.iterdir())
    outcome, escaped = attacked(sandbox, attack, host)
    assert not contained(attack, outcome, escaped, host)
    assert sorted(host.folder.iterdir()) == before
    assert not groups_left(os.getpid())


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as a user without privileges already")
def test_no_attack_gets_anywhere_without_privileges(bwrap: Path, host: Host) -> None:
    def act() -> list[str]:
        sandbox = Bubblewrap(bwrap)
        return [wrong for one in attacks.ALL if (wrong := contained(one, *attacked(sandbox, one, host), host))]

    assert as_user(act) == []
    assert not groups_left(os.getpid())


def test_only_plain_files_are_taken_from_the_sandbox(sandbox: Bubblewrap, host: Host) -> None:
    outcome, _ = attacked(sandbox, attacks.NAMED["artefacts that lead out"], host)
    assert outcome.artefacts == {"line\nbreak": b"odd"}
    outcome, _ = attacked(sandbox, attacks.NAMED["out is a link"], host)
    assert outcome.artefacts == {}


def test_output_can_steer_no_terminal(sandbox: Bubblewrap, host: Host) -> None:
    outcome, _ = attacked(sandbox, attacks.NAMED["terminal sequences"], host)
    line = outcome.output.splitlines()[0]
    assert line == "\\x1b]0;owned\\x07\\x1b[2J�31m\\x0d2026-01-01 ok: approved\\x00\\x08 \\u202e�"
