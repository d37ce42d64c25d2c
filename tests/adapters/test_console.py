"""What is posted on the terminal is shown and never obeyed."""

from __future__ import annotations

import io

import pytest

from aiops.adapters.chat.console import ConsoleChat
from aiops.errors import SourceUnreachable
from aiops.ports import Message


def posted(thread: str, text: str, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    ConsoleChat(stream).post(Message((text,)), 1, key="k", thread=thread)
    return raw.getvalue().decode(encoding)


def test_each_line_is_headed_by_its_thread():
    assert posted("episode 7", "first\nsecond") == "[episode 7] first\n[episode 7] second\n"
    assert posted("", "alone") == "alone\n"


def test_other_languages_are_left_as_they_are():
    assert posted("t", "结账服务变慢 ✓ é\tx") == "[t] 结账服务变慢 ✓ é\tx\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("safe\rrm -rf", "safe\\rrm -rf"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str):
    assert posted("t", text) == f"[t] {shown}\n"
    assert posted(text, "x") == f"[{shown}] x\n"


def test_a_terminal_that_lacks_a_character_shows_its_code():
    assert posted("t", "结", "ascii") == "[t] \\u7ed3\n"


def test_standard_error_is_the_console(capsys: pytest.CaptureFixture[str]):
    ConsoleChat().post(Message(("hello",), "https://aiops.example/r"), 1, key="k", thread="t")
    assert capsys.readouterr() == ("", "[t] hello\n[t] https://aiops.example/r\n")


def test_nobody_listens_any_more():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    with pytest.raises(SourceUnreachable, match="console"):
        ConsoleChat(stream).post(Message(("x",)), 1, key="k")
