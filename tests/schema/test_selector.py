"""Plain selectors: what is one, what it matches, and what is an expression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import quote
from aiops.schema.selector import Matcher, chooser, parse


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("up", [("__name__", "=", "up")]),
        (" a:b:rate5m { } ", [("__name__", "=", "a:b:rate5m")]),
        ('up{a="b", c!~"d.*" ,}', [("__name__", "=", "up"), ("a", "=", "b"), ("c", "!~", "d.*")]),
        ('{__name__!=""}', [("__name__", "!=", "")]),
        ("{a='\"}', b=`\\n`}", [("a", "=", '"}'), ("b", "=", "\\n")]),
        ('{a="\\"\\\\\\n\\x41\\101\\u6f22"}', [("a", "=", '"\\\nAA漢')]),
    ],
)
def test_plain_selectors(text: str, told: list[tuple[str, str, str]]) -> None:
    assert parse(text) == tuple(Matcher(*one) for one in told)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "1",
        "NaN",
        "inf",
        "rate(up[5m])",
        "up[5m]",
        "up offset 5m",
        "up @ 3",
        "up > 1",
        "a b",
        '{a="b"} or {c="d"}',
        '{a="b"',
        "{a}",
        '{a="b",,}',
        '{a="b" c="d"}',
        '{a=="b"}',
        '{a="\\q"}',
        '{a="\\ud800"}',
        '{a="\\xff"}',
        '{"a"="b"}',
    ],
)
def test_what_is_none(text: str) -> None:
    assert parse(text) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_quoted_value_comes_back(value: str) -> None:
    assert parse(f"{{a={quote(value)}}}") == (Matcher("a", "=", value),)


def test_which_series_are_meant() -> None:
    fits = chooser(
        (Matcher("a", "=~", "x.+"), Matcher("b", "!=", "y"), Matcher("c", "=", ""), Matcher("d", "!~", "z?"))
    )
    assert fits({"a": "x\n1", "d": "w"})
    assert not fits({"a": "x", "d": "w"})
    assert not fits({"a": "x1", "b": "y", "d": "w"})
    assert not fits({"a": "x1", "c": "1", "d": "w"})
    assert not fits({"a": "x1"})
    with pytest.raises(ValueError, match="regular expression"):
        chooser((Matcher("a", "=~", "("),))
