"""Text from outside becomes one harmless line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.render.clean import cell, clean, link, width, wrap
from aiops.render.shell import command

ANYTHING = st.text(st.characters(), max_size=80)


@given(ANYTHING)
def test_only_visible_characters_are_left(text: str):
    line = clean(text)
    assert all(unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" for c in line)
    assert clean(line) == line
    line.encode("utf-8")


@given(ANYTHING, st.integers(1, 30))
def test_never_longer_than_the_limit(text: str, limit: int):
    assert len(clean(text, limit)) <= limit


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;new title\x07shell", "shell"),
        ("\x9b2Jwiped", "wiped"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("one\r\ntwo\u2028three\tfour", "one two three four"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("plain", "plain"),
    ],
)
def test_what_a_terminal_would_obey_goes(text: str, seen: str):
    assert clean(text) == seen


def test_a_cell_never_starts_a_formula():
    for start in "=+-@":
        assert cell(f" {start}1+1")[0] == "'"
    assert cell("cart") == "cart"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "//evil.example/x", "/relative", "http://", "",
        "java\nscript:alert(1)", "https://a b.example", "https://a\u202eb.example", "http://[::1", "vbscript:x", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_no_link(url: str):
    assert link(url) == ""


def test_web_addresses_are_links():
    assert link("https://grafana.example.net/d/1?from=2&to=3#x") == "https://grafana.example.net/d/1?from=2&to=3#x"


@given(ANYTHING, st.integers(4, 40))
def test_wrapping_loses_nothing_and_fits(text: str, columns: int):
    lines = wrap(clean(text), columns)
    assert "".join("".join(lines).split()) == "".join(clean(text).split())
    assert all(width(line) <= columns for line in lines)


def test_chinese_is_two_columns_wide():
    assert width("订单 a") == 6
    assert wrap("连接池已耗尽", 4) == ["连接", "池已", "耗尽"]


def test_a_command_is_shown_exactly():
    assert command(("kubectl", "get", "pod with blank", "it's")) == "kubectl get 'pod with blank' 'it'\"'\"'s'"
    assert command(("echo", "a\x1b[2Jb\n")) == r"echo $'a\x1b[2Jb\x0a'"
    assert command(("echo", "a\u202eb")) == r"echo $'a\xe2\x80\xaeb'"
    command(("\ud800",))
