"""Spoken time in English and Chinese."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.stages.interpret.text import normalise
from aiops.stages.interpret.timegrammar import find, number, window

NOW = datetime(2026, 11, 20, 15, 40, tzinfo=ZoneInfo("Asia/Shanghai"))  # a Friday


def heard(text: str, *, future: bool = False) -> str:
    found = find(normalise(text), NOW, future=future)
    return found[0].text if found else "none"


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("in the last 30 minutes", "last:30m"),
        ("over the past fortnight", "last:2w"),
        ("for the last 24h", "last:24h"),
        ("the last hour and a half", "last:90m"),
        ("during the previous two days", "last:2d"),
        ("half an hour ago", "last:30m"),
        ("a couple of hours ago", "last:2h"),
        ("for the last 2h30m", "last:150m"),
        ("past quarter of an hour", "last:15m"),
        ("twenty five minutes ago", "last:25m"),
        ("pegged for 20 min", "last:20m"),
        ("over the last 15", "last:15m"),
        ("since monday", "last:4d"),
        ("since 3pm", "since:15:00"),
        ("since 3", "since:15:00"),
        ("after 9:40", "since:09:40"),
        ("started around 3:15pm", "since:15:15"),
        ("since half past nine", "since:09:30"),
        ("from a quarter to ten", "since:09:45"),
        ("since noon", "since:12:00"),
        ("at about 8 in the morning", "since:08:00"),
        ("three o'clock in the afternoon", "since:15:00"),
        ("between 2 and 4pm", "range:14:00-16:00"),
        ("from 9:15 to 10", "range:09:15-10:00"),
        ("from 9 till noon", "range:09:00-12:00"),
        ("14:05-14:30", "range:14:05-14:30"),
        ("from 23:30 to 01:00", "range:23:30-01:00"),
        ("today", "day:today"),
        ("last night", "day:yesterday"),
        ("最近三十分钟", "last:30m"),
        ("过去一个半小时", "last:90m"),
        ("近两周", "last:2w"),
        ("最近半小时", "last:30m"),
        ("最近一刻钟", "last:15m"),
        ("这十来分钟", "last:10m"),
        ("２４小时以内", "last:24h"),
        ("五分钟之前", "last:5m"),
        ("三点一刻开始", "since:15:15"),
        ("从上午９点４０", "since:09:40"),
        ("凌晨两点", "since:02:00"),
        ("晚上十二点", "since:00:00"),
        ("中午十二点半", "since:12:30"),
        ("昨晚八点到十点", "range:20:00-22:00"),
        ("下午两点至四点半", "range:14:00-16:30"),
        ("14点30分到15点", "range:14:30-15:00"),
        ("昨晚", "day:yesterday"),
        ("今早", "day:today"),
        ("restarted 3 times", "none"),
        ("from 2 to 5 replicas", "none"),
        ("5 percent", "none"),
        ("how about 5xx", "none"),
        ("p99 and p95", "none"),
        ("两小时内存", "last:2h"),
    ],
)
def test_the_past(text: str, slot: str) -> None:
    assert heard(text) == slot


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("the next 6 hours", "next:6h"),
        ("14 days ahead", "next:14d"),
        ("in two days", "next:2d"),
        ("two hours from now", "next:2h"),
        ("next week", "next:1w"),
        ("tomorrow", "next:24h"),
        ("未来三天", "next:3d"),
        ("接下来两周", "next:2w"),
        ("三天内", "next:3d"),
        ("五天之后", "next:5d"),
        ("明天", "next:24h"),
    ],
)
def test_the_future(text: str, slot: str) -> None:
    assert heard(text, future=True) == slot


def test_a_window_that_ends_before_it_starts_is_a_problem() -> None:
    (only,) = find("from 14:30 to 14:05", NOW)
    assert only.text == "range:14:30-14:05"
    assert "before it starts" in only.problem


def test_a_clock_belongs_to_the_day_beside_it() -> None:
    (only,) = find(normalise("昨天下午三点到五点"), NOW)
    span = window(only.text, NOW, day=only.day)
    assert span is not None
    assert span.start.isoformat() == "2026-11-19T07:00:00+00:00"


def test_a_spoken_zone_is_heard() -> None:
    (only,) = find("since 06:00 utc", NOW)
    span = window(only.text, NOW, zone_name=only.zone)
    assert span is not None
    assert span.start.isoformat() == "2026-11-20T06:00:00+00:00"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("十五", 15),
        ("两百零三", 203),
        ("一千", 1000),
        ("二十", 20),
        ("半", 0.5),
        ("ninety", 90),
        ("twenty five", 25),
        ("3.5", 3.5),
    ],
)
def test_numbers(word: str, value: float) -> None:
    assert number(word) == value


DIGITS = "零一二三四五六七八九"


def chinese(value: int) -> str:
    """A plain way to write 1..99, to check the reader against."""
    tens, ones = divmod(value, 10)
    return (f"{DIGITS[tens] if tens > 1 else ''}十" if tens else "") + (DIGITS[ones] if ones else "")


@given(st.integers(1, 99))
def test_chinese_numerals_round_trip(value: int) -> None:
    assert number(chinese(value)) == value
    assert heard(f"最近{chinese(value)}分钟") == f"last:{value}m"


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_padded_clock_is_taken_literally(hour: int, minute: int) -> None:
    assert heard(f"since {hour:02d}:{minute:02d}") == f"since:{hour:02d}:{minute:02d}"


@given(st.sampled_from("mhdw"), st.integers(1, 200))
def test_a_window_is_as_long_as_said(unit: str, count: int) -> None:
    span = window(f"last:{count}{unit}", NOW)
    assert span is not None
    assert span.duration == timedelta(**{{"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[unit]: count})


@given(st.integers(0, 23), st.integers(0, 59), st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)))  # noqa: DTZ001 - the zone comes below
def test_since_is_always_in_the_past_and_less_than_a_day_away(hour: int, minute: int, moment: datetime) -> None:
    now = moment.replace(tzinfo=ZoneInfo("America/New_York"))
    span = window(f"since:{hour:02d}:{minute:02d}", now)
    assert span is not None
    assert timedelta(0) <= span.duration <= timedelta(hours=25)
