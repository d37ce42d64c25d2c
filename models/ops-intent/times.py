"""Times as people say them, with their slots."""

from __future__ import annotations

import random

from notation import expanded, parts

SPELT = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 8: "eight", 10: "ten", 12: "twelve"}


def past(rng: random.Random, lang: str) -> tuple[str, str]:
    """A time in the past as people say it, and its slot."""
    n, (unit, letter) = (
        rng.choice((2, 3, 4, 5, 6, 8, 10, 12)),
        rng.choice((("hour", "h"), ("hour", "h"), ("day", "d"), ("minute", "m"), ("minute", "m"), ("week", "w"))),
    )
    if letter == "m":
        n = rng.choice((5, 10, 15, 20, 25, 30, 40, 45, 50, 90))
    a, b = rng.randint(0, 13), rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50))
    clock, later = f"{a:02d}:{b:02d}", f"{a + 1:02d}:{b:02d}"
    if lang == "en":
        words = SPELT[n] if n in SPELT and rng.random() < 0.25 else str(n)
        return _said(
            rng,
            (
                (f"(for|over|in|during|) the (last|past) {words} {unit}s", f"last:{n}{letter}"),
                (f"(last|past) {n}{'min' if letter == 'm' else letter}", f"last:{n}{letter}"),
                (f"for {words} {unit}s( now| already|)", f"last:{n}{letter}"),
                ("(in |over |for |)the (last|past) hour", "last:1h"),
                ("for half an hour|for the last half hour", "last:30m"),
                (f"(since|ever since) {clock}", f"since:{clock}"),
                (f"since {(a - 1) % 12 + 1}:{b:02d}{'am' if a < 12 else 'pm'}", f"since:{clock}"),
                (f"(from|between) {clock} (to|and) {later}", f"range:{clock}-{later}"),
                ("today|all day today|so far today", "day:today"),
                ("yesterday", "day:yesterday"),
                ("(over |in |)the (last|past) week", "last:1w"),
            ),
        )
    unit_zh = {"h": "小时", "d": "天", "m": "分钟", "w": "周"}[letter]
    digits = "一两三四五六七八九十"
    spoken = digits[n - 1] if n <= 10 and rng.random() < 0.5 else str(n)
    half = "上午" if a < 12 else "下午"
    return _said(
        rng,
        (
            (
                f"(最近|过去|近|这){spoken}(个|){unit_zh}".replace("(个|)", "个" if letter == "h" else ""),
                f"last:{n}{letter}",
            ),
            (f"(最近|过去|近){n}{unit_zh}", f"last:{n}{letter}"),
            ("(最近|过去|近|这)(一个小时|一小时|1小时)", "last:1h"),
            ("(最近|过去|近|这)(半小时|半个小时)", "last:30m"),
            (f"从{clock}(开始|起|以来)|{clock}(以来|之后|以后|开始)", f"since:{clock}"),
            (f"从{half}{(a - 1) % 12 + 1}点{b or ''}{'分' if b else ''}(开始|起)", f"since:{clock}"),
            (f"{clock}到{later}(之间|)", f"range:{clock}-{later}"),
            ("今天|今儿", "day:today"),
            ("昨天|昨儿", "day:yesterday"),
            ("(最近|过去|近)一周|(最近|过去|近)一个星期", "last:1w"),
        ),
    )


def future(rng: random.Random, lang: str) -> tuple[str, str]:
    """A time to come as people say it, and its slot."""
    n, (unit, letter) = rng.choice((2, 3, 4, 5, 6, 8, 10, 12)), rng.choice((("hour", "h"), ("day", "d"), ("week", "w")))
    if lang == "en":
        return _said(
            rng,
            (
                (f"(over|in|for|during|) the next {n} {unit}s", f"next:{n}{letter}"),
                (f"(next|for the next) {n}{letter}", f"next:{n}{letter}"),
                (f"(over|in) the coming {n} {unit}s", f"next:{n}{letter}"),
                ("tomorrow", "next:24h"),
                ("next week", "next:1w"),
                ("(in |over |)the next hour", "next:1h"),
            ),
        )
    unit_zh = {"h": "小时", "d": "天", "w": "周"}[letter]
    spoken = "一两三四五六七八九十"[n - 1] if n <= 10 and rng.random() < 0.5 else str(n)
    return _said(
        rng,
        (
            (f"(未来|接下来|今后|往后){spoken}{'个' if letter == 'h' else ''}{unit_zh}", f"next:{n}{letter}"),
            (f"(未来|接下来|今后){n}{unit_zh}", f"next:{n}{letter}"),
            ("明天", "next:24h"),
            ("下周|下个星期", "next:1w"),
            ("(未来|接下来)一小时", "next:1h"),
        ),
    )


def _said(rng: random.Random, choices: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    said, slot = rng.choice(choices)
    return expanded(rng.choice(parts(said)), rng), slot
