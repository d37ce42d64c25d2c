"""When: a grammar of spoken time in English and Chinese.

`find` reads normalised text and returns the time slot as it was spoken (units are kept: 24h stays 24h) and where it stood.
`window` turns the slot into absolute UTC against a reference time and zone; a wall clock that a DST change skips or repeats
is resolved by `zoneinfo` with fold=0 (PEP 495): a skipped 02:30 counts from before the change, a repeated one is the first.
A clock without am/pm and without a leading zero ("3 o'clock", 三点一刻) is the latest of its two readings that lies in
the past: engineers ask about what has happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiops.domain import TimeRange

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2, "仨": 3}
_SCALES = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_WORDS = {
    w: float(i)
    for i, w in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {"twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0, "a": 1.0, "an": 1.0}
_WORDS |= {"half a": 0.5, "half an": 0.5, "half": 0.5, "a half": 0.5, "quarter of an": 0.25, "a quarter of an": 0.25}
_WORDS |= dict.fromkeys(("couple", "couple of", "a couple", "a couple of"), 2.0)
_WORDS |= dict.fromkeys(("few", "a few", "several"), 3.0)

_UNIT_WORDS = {
    "s": r"seconds?|secs?",
    "m": r"minutes?|mins?|m",
    "h": r"hours?|hrs?|h",
    "d": r"days?|d",
    "w": r"weeks?|wks?|w",
    "2w": r"fortnights?",
    "30d": r"months?",
    "15m": r"quarters? (?:of an )?hours?",
}
_ZH_UNITS = {
    "s": "秒钟?",
    "m": "分钟|分",
    "h": "个?小时|个?钟头|个?钟",
    "d": "个?工作日|天|日",
    "w": "个?星期|个?礼拜|周",
    "30d": "个月|月",
    "15m": "刻钟",
}
_UNITS = tuple((unit, re.compile(words)) for table in (_UNIT_WORDS, _ZH_UNITS) for unit, words in table.items())
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TENS = r"(?:twenty|thirty|forty|fifty)[ -](?:one|two|three|four|five|six|seven|eight|nine)"
_EN_NUM = (
    rf"\d{{{{1,6}}}}(?:\.\d{{{{1,4}}}})?|(?:{_TENS}|" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")(?=[ -])"
)
_EN_UNIT = "|".join(_UNIT_WORDS.values())
_ZH_NUM = r"\d{{1,6}}(?:\.\d{{1,4}})?|[零〇一二两俩仨三四五六七八九十百千]{{1,12}}|半"
_ZH_UNIT = "|".join(_ZH_UNITS.values())
_EN_SPAN = (
    rf"(?:(?P<{{0}}n>{_EN_NUM})[ -]?)?(?P<{{0}}u>{_EN_UNIT})(?:\b|(?<=h)(?=\d))(?P<{{0}}half> and a half)?"
    rf"(?:(?:,? and |,? |(?<=[hm]))(?P<{{0}}n2>\d{{{{1,6}}}}|[a-z]{{{{1,12}}}})[ -]?(?P<{{0}}u2>{_UNIT_WORDS['m']}|{_UNIT_WORDS['h']})\b)?"
)
_ZH_SPAN = (
    rf"(?:(?P<{{0}}n>{_ZH_NUM})(?:来|多|几)?)?\s*(?P<{{0}}half>个半)?\s*(?P<{{0}}u>{_ZH_UNIT})(?P<{{0}}half2>半(?!夜))?"
)

# A number alone ("about 5") is no clock time: minutes, am/pm or o'clock must follow. In a range one of two may be bare.
_EN_CLOCK = (
    r"(?:(?P<{0}past>half|(?:a )?quarter|5|10|20|25|five|ten|twenty)(?: minutes?)? (?P<{0}dir>past|to|before|after) (?P<{0}pasth>\d{{1,2}}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b(?:\s?(?P<{0}pastap>[ap])\.?m\b)?"
    r"|(?P<{0}h>\d{{1,2}})(?::(?P<{0}m>[0-5]\d)(?::\d{{2}})?(?:\s?(?P<{0}ap>[ap])\.?m\b\.?)?|\s?(?P<{0}ap2>[ap])\.?m\b\.?|\s?o'?clock|(?= (?:in the|this) (?:morning|afternoon|evening)))"
    r"|(?P<{0}wh>one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?:\s?(?P<{0}wap>[ap])\.?m\b\.?|\s?o'?clock)"
    r"|\b(?P<{0}w>noon|midday|midnight|lunch(?:time)?))"
    r"(?: (?:in the|this|yesterday) (?P<{0}dp>morning|afternoon|evening))?"
)
_EN_LOOSE = r"(?:(?P<{0}h>\d{{1,2}})(?::(?P<{0}m>[0-5]\d)(?::\d{{2}})?)?(?:\s?(?P<{0}ap>[ap])\.?m\b\.?|\s?o'?clock)?|\b(?P<{0}w>noon|midday|midnight|lunch(?:time)?))"
_EN_BARE = r"(?P<{0}h>\d{{1,2}})(?::(?P<{0}m>\d{{2}}))?(?:\s?(?P<{0}ap>[ap])\.?m\b\.?|\s?o'?clock)?"
_ZH_PART = r"凌晨|清晨|早上|早晨|上午|中午|午后|下午|傍晚|晚上|夜里|深夜|半夜|今早|今晨|今晚|昨晚|昨夜|晚|早"
_ZH_CLOCK = (
    rf"(?:(?P<{{0}}part>{_ZH_PART})的?\s*)?"
    rf"(?:(?P<{{0}}zh>{_ZH_NUM})\s*(?:点钟?|时(?!候|间))(?:(?P<{{0}}q>半|[一三]刻|整)|(?P<{{0}}zm>\d{{{{1,2}}}}|[零〇一二三四五六七八九十]{{{{1,6}}}})分?)?"
    r"|(?P<{0}ch>\d{{1,2}}):(?P<{0}cm>\d{{2}}))"
)
_DAY = (
    r"(?P<yday>(?:since |from |during |for |over |of )?(?:yesterday(?:'s)?|last night|last evening)|昨天|昨日|昨晚|昨夜|昨)"
    r"|(?P<tday>(?:so far |since |earlier |for )?(?:today(?:'s)?|tonight|this (?:morning|afternoon|evening))|今天|今日|今早|今晨|今晚|今儿)"
)
_DAYS = re.compile(_DAY, re.ASCII)
_WEEKDAYS = {
    w: i for i, w in enumerate(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
} | {w: i for i, w in enumerate(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])}
_ZH_WEEKDAYS = {c: i for i, c in enumerate("一二三四五六日")} | {"天": 6}

_ZONES = {"utc": "UTC", "gmt": "UTC", "z": "UTC", "cst": "Asia/Shanghai", "cet": "Europe/Paris", "cest": "Europe/Paris"}
_ZONES |= {
    "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles",
    "est": "America/New_York",
    "edt": "America/New_York",
}
_ZONES |= {"jst": "Asia/Tokyo", "ist": "Asia/Kolkata", "bst": "Europe/London", "北京时间": "Asia/Shanghai"}
_ZONE = r"(?:\s*\(?(?P<zone>utc|gmt|c[se]t|cest|p[sd]t|e[sd]t|jst|ist|bst|北京时间)\b\)?)?"

_GLUE = r"(?:\s*(?:around|about|approximately|approx\.?|roughly|circa|~|at))*\s*"
_FUTURE_EN = r"(?:next|coming|following|upcoming)"
_PAST_EN = r"(?:last|past|previous|preceding|prior|trailing|recent|latest)"


_MARKED = re.compile(rf"(?:\w+ )?(?:the |these )?(?:{_PAST_EN}|{_FUTURE_EN})\b", re.ASCII)


def _c(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_RANGE = (
    _c(
        rf"\b(?:(?:between|from|btw|during|in the window)\s+)?{_GLUE}(?<![\d:.]){_EN_LOOSE.format('a')}\s*(?:-|–|—|~|to|till|til|until|and|through|thru)\s*{_GLUE}{_EN_LOOSE.format('b')}(?![\d:]|\s*(?:%|{_EN_UNIT})\b){_ZONE}"
    ),
    _c(
        rf"\b(?:between|from)\s+(?P<ah>\d{{1,2}})(?P<am>(?!.))?(?P<aap>(?!.))?\s*(?:-|to|and|till|until)\s*{_EN_LOOSE.format('b')}{_ZONE}"
    ),
    _c(rf"从?{_ZH_CLOCK.format('a')}\s*(?:到|至|-|–|—|~)\s*{_ZH_CLOCK.format('b')}{_ZONE}(?:之间|期间)?"),
)
_NEXT = (
    _c(rf"\b(?:(?:for|over|in|within|during|of)\s+)?(?:the\s+)?{_FUTURE_EN}\s+{_EN_SPAN.format('a')}"),
    _c(
        rf"\b(?:look(?:ing)?\s+)?{_EN_SPAN.format('a')}\s+(?:ahead|out|from now|into the future|forward|later|horizon)\b"
    ),
    _c(rf"\bhorizon\s*(?:of|:|=)?\s*{_EN_SPAN.format('a')}"),
    _c(rf"(?:未来|接下来|今后|往后|之后|将来|后续|下)的?\s*{_ZH_SPAN.format('a')}"),
    _c(rf"(?<!点)(?<!时){_ZH_SPAN.format('a')}(?:之后|以后|后)"),
)
_WITHIN = (
    _c(rf"\b(?:in|within|inside|for|over)\s+(?:the\s+)?{_EN_SPAN.format('a')}"),
    _c(
        rf"(?<!every )(?<!per )(?<!each )\b{_EN_SPAN.format('a')}(?! (?:average|avg|mean|rate|interval|window|bucket|step|old))"
    ),
    _c(
        rf"(?<![每隔第月])(?<![每隔]\d)(?<![每隔]\d\d){_ZH_SPAN.format('a')}(?:之内|以内|内(?!存|网|部|核)|里)?(?!一次|平均|均值|粒度|间隔|窗口)"
    ),
)
_LAST = (
    _c(
        rf"\b(?:(?:for|over|in|within|during|of|from)\s+)?(?:the\s+|these\s+)?{_PAST_EN}\s+(?:whole\s+|full\s+|entire\s+)?{_EN_SPAN.format('a')}(?! (?:of june|before))"
    ),
    _c(
        rf"\b(?:since\s+|from\s+|starting\s+|started\s+|began\s+)?{_GLUE}{_EN_SPAN.format('a')}\s+(?:ago|back|earlier)\b"
    ),
    _c(
        rf"\b(?:for|over|during|within|in)\s+(?:about\s+|around\s+|like\s+|the\s+)?(?:the better part of\s+)?{_EN_SPAN.format('a')}(?:\s+now)?"
    ),
    _c(
        rf"(?:最近|过去|近|之前|前面|这|前|刚过去|上)的?这?\s*{_ZH_SPAN.format('a')}(?:以来|之内|以内|内(?!存|网|部|核)|里|来|前)?"
    ),
    _c(rf"{_ZH_SPAN.format('a')}(?:以?前|之前|以来|来|内(?!存|网|部|核)|之内|以内|里)"),
    _c(rf"(?:持续了?|已经|连续|都|有|了)\s*{_ZH_SPAN.format('a')}(?:了)?"),
)
_SINCE = (
    _c(
        rf"\b(?:since|from|after|starting|started|begins?|beginning|began|as of|kicked off|onwards? from|ever since)\s*{_GLUE}(?P<since>){_EN_CLOCK.format('a')}{_ZONE}"
    ),
    _c(
        rf"\b(?:since|from|after|starting|started|began|ever since)\s*{_GLUE}{_EN_BARE.format('a')}(?!\d|[.:%]|\s*(?:to|-)\s*\d|\s*(?:%|k\b|{_EN_UNIT})\b|\s*(?:pods?|replicas?|instances?|nodes?|times?|restarts?|errors?|requests?|deploy))"
    ),
    _c(
        rf"(?:自|从|打)?{_ZH_CLOCK.format('a')}(?:多|左右|前后)?{_ZONE}(?:开始|以来|之后|以后|过后|起|后|的时候|那会儿?)?"
    ),
    _c(rf"\b(?:at|around|about|circa|~)\s*{_GLUE}{_EN_CLOCK.format('a')}{_ZONE}"),
    _c(rf"(?<![\d:.-])\b{_EN_CLOCK.format('a')}{_ZONE}(?![\d:])"),
)
_WEEKDAY = (
    _c(
        rf"\b(?:since|from|on|after)?\s*(?:last |this )?(?P<wd>{'|'.join(sorted(_WEEKDAYS, key=len, reverse=True))})\b(?! to)"
    ),
    _c(r"(?:自|从)?(?P<zlast>上)?(?:个)?(?:周|星期|礼拜)(?P<zwd>[一二三四五六日天])(?:开始|以来|起|到现在)?"),
)
_UNITLESS = _c(r"\b(?:over|for|in|during)? ?(?:the )?(?:last|past) (?P<n>[1-9]\d?)(?=\s*(?:[,.?!]|$))")  # "the last 15"
_FIXED = (
    (_c(r"\b(?:since )?(?:the )?day before yesterday\b|前天|前日"), "last:2d"),
    (
        _c(
            r"\bthis week(?:'s)?\b|本周|这一?周|这个?星期|这个?礼拜|上个?(?:周|星期|礼拜)(?![一二三四五六日天])|\ba week(?:'s worth)?\b(?! (?:ahead|out|from))"
        ),
        "last:1w",
    ),
    (_c(r"\b(?:all|the whole|the entire) week\b"), "last:1w"),
    (_c(r"\b(?:all|the whole|the entire) day(?: long)?\b(?! yesterday)|(?<!\w)一整天|整天"), "day:today"),
    (_c(r"\b(?:this|last) month(?:'s)?\b|本月|这个月|上个?月"), "last:30d"),
    (_c(r"\blast (?:weekend)\b|这两天|这俩天"), "last:2d"),
    (_c(r"这几天|这些天|\bthese days\b|\b(?:the )?(?:last|past) few days\b"), "last:3d"),
    (_c(r"\b(?:by |until |for |over |through )?tomorrow(?:'s)?\b|明天|明日|明儿"), "next:24h"),
    (_c(r"后天|\bday after tomorrow\b"), "next:2d"),
    (_c(r"\bnext week(?:'s)?\b|下个?(?:周|星期|礼拜)(?![一二三四五六日天])"), "next:1w"),
    (_c(r"\bovernight\b(?! forecast)"), "day:yesterday"),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A time that was heard: its slot text, `day` (days before today), `zone` as spoken, and where it stood in the text."""

    text: str
    start: int
    end: int
    day: int = 0
    zone: str = ""
    problem: str = ""  # why it can't be meant as it stands


def number(word: str) -> float | None:
    """A spoken number: digits, English words up to ninety-nine, Chinese numerals up to 9999万, 半.

    >>> number("十五"), number("两百零三"), number("twenty five"), number("half an")
    (15.0, 203.0, 25.0, 0.5)
    """
    word = word.strip()
    if re.fullmatch(r"(?a)\d+(?:\.\d+)?", word):
        return float(word)
    if word == "半":
        return 0.5
    if word in _WORDS:
        return _WORDS[word]
    parts = re.split(r"(?a)[ -]", word)
    if len(parts) == 2 and all(p in _WORDS for p in parts):
        return _WORDS[parts[0]] + _WORDS[parts[1]]
    return _chinese(word)


def _chinese(word: str) -> float | None:
    total, section, digit = 0, 0, -1
    word = _in_full(word)
    for char in word:
        if char in _DIGITS:
            digit = _DIGITS[char] if digit < 0 or char in "零〇" or digit == 0 else digit * 10 + _DIGITS[char]
        elif char == "万":
            total, section, digit = (total + section + max(digit, 0)) * 10_000, 0, -1
        elif char in _SCALES:
            section += (1 if digit < 0 else digit) * _SCALES[char]
            digit = -1
        else:
            return None
    return float(total + section + max(digit, 0)) if word else None


def _in_full(word: str) -> str:
    """A last digit right after a scale is of the next smaller one: 一千五 is 一千五百, 两万三 is 两万三千."""
    smaller = {"百": "十", "千": "百", "万": "千"}
    if len(word) >= 3 and word[-1] in "一二两三四五六七八九" and word[-2] in smaller and "零" not in word:
        return word + smaller[word[-2]]
    return word


def _unit(word: str) -> str:
    return next(unit for unit, pattern in _UNITS if pattern.fullmatch(word))


def _span(found: re.Match[str], name: str = "a") -> str | None:
    """`30m`, `90m`, `2w`: the unit stays as spoken unless the amount isn't whole in it."""
    groups = found.groupdict()
    amount = 1.0 if groups[f"{name}n"] is None else number(groups[f"{name}n"])
    if amount is None:
        return None
    if groups.get(f"{name}half") or groups.get(f"{name}half2"):
        amount += 0.5
    unit = _unit(groups[f"{name}u"])
    if len(unit) > 1:  # fortnight, month, quarter of an hour
        amount, unit = amount * int(unit[:-1]), unit[-1]
    second = groups.get(f"{name}n2")
    extra = number(second) if second else None
    if second and extra is not None:
        seconds = amount * _SECONDS[unit] + extra * _SECONDS[_unit(groups[f"{name}u2"])]
        amount, unit = seconds / 60, "m"
    return _whole(amount, unit)


def _whole(amount: float, unit: str) -> str | None:
    for smaller in {"w": "wdhm", "d": "dhm", "h": "hms", "m": "ms", "s": "s"}[unit]:
        count = amount * _SECONDS[unit] / _SECONDS[smaller]
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{smaller}" if count < 100_000 else None
    return None


@dataclass(frozen=True, slots=True)
class _Clock:
    hour: int
    minute: int
    half: bool  # am or pm was not said: twelve hours later is possible too

    def shifted(self, now: datetime) -> _Clock:
        later = self.hour + 12
        past = (later, self.minute) <= (now.hour, now.minute)
        return _Clock(later, self.minute, False) if self.half and self.hour < 12 and past else self

    def __str__(self) -> str:
        return f"{self.hour:02d}:{self.minute:02d}"


_NAMED = {"noon": 12, "midday": 12, "lunch": 12, "lunchtime": 12, "midnight": 0}
_PM = ("下午", "午后", "傍晚", "晚上", "夜里", "深夜", "半夜", "今晚", "昨晚", "昨夜", "晚")


def _clock(found: re.Match[str], name: str) -> _Clock | None:
    groups = found.groupdict()
    if groups.get(f"{name}w"):
        return _Clock(_NAMED[groups[f"{name}w"]], 0, False)
    if groups.get(f"{name}zh") or groups.get(f"{name}ch"):
        return _zh_clock(groups, name)
    if groups.get(f"{name}past"):
        return _past_clock(groups, name)
    if groups.get(f"{name}wh"):
        return _checked(
            int(_WORDS[groups[f"{name}wh"]]), 0, groups.get(f"{name}wap") or _half_day(groups, name), padded=False
        )
    hour = groups.get(f"{name}h")
    if hour is None:
        return None
    half_day = groups.get(f"{name}ap") or groups.get(f"{name}ap2") or _half_day(groups, name)
    return _checked(int(hour), int(groups.get(f"{name}m") or 0), half_day, padded=hour.startswith("0"))


def _half_day(groups: dict[str, str | None], name: str) -> str | None:
    part = groups.get(f"{name}dp")
    return None if part is None else "a" if part == "morning" else "p"


def _past_clock(groups: dict[str, str | None], name: str) -> _Clock | None:
    """Reads "half past nine" and "quarter to ten"."""
    said, hour = (groups[f"{name}past"] or "").removeprefix("a "), number(groups[f"{name}pasth"] or "")
    minutes = {"half": 30.0, "quarter": 15.0}.get(said) or number(said)
    if hour is None or minutes is None or minutes >= 60:
        return None
    before = groups[f"{name}dir"] in {"to", "before"}
    clock = _checked(int(hour), 0, groups.get(f"{name}pastap") or _half_day(groups, name), padded=False)
    if clock is None:
        return None
    total = clock.hour * 60 + (-int(minutes) if before else int(minutes))
    return _Clock(total // 60 % 24, total % 60, clock.half)


def _zh_clock(groups: dict[str, str | None], name: str) -> _Clock | None:
    part, said = groups.get(f"{name}part"), groups.get(f"{name}zh")
    quarter = groups.get(f"{name}q")
    hour = number(said or groups[f"{name}ch"] or "")
    minute = {"半": 30.0, "一刻": 15.0, "三刻": 45.0, "整": 0.0}.get(quarter or "")
    if minute is None:
        minute = number(groups.get(f"{name}zm") or groups.get(f"{name}cm") or "0")
    if hour is None or minute is None or hour != int(hour):
        return None
    half_day = None
    if part:
        late = part in _PM and not (
            part in {"半夜", "深夜", "夜里", "晚上", "昨晚", "昨夜"} and (hour < 5 or hour == 12)
        )
        half_day = "p" if late or (part == "中午" and hour < 5) else "a"
        if hour == 12 and part == "中午":
            half_day = "p"
    padded = bool(groups.get(f"{name}ch") or (said or "").startswith("0"))
    return _checked(
        int(hour), int(minute), half_day, padded=padded and (groups.get(f"{name}ch") or "0").startswith("0")
    )


def _checked(hour: int, minute: int, half_day: str | None, *, padded: bool) -> _Clock | None:
    if half_day and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half_day == "p" else 0)
        half_day = "known"
    if hour == 24 and minute == 0:
        hour = 0
    if hour > 23 or minute > 59:
        return None
    return _Clock(hour, minute, half=half_day is None and not padded and 1 <= hour < 12)


def _range(found: re.Match[str], now: datetime) -> Heard | None:
    groups = found.groupdict()
    first, last = _clock(found, "a"), _clock(found, "b")
    if first is None or last is None:
        return None
    if not _says_clock(groups, found.group()):
        return None
    said_b = groups.get("bap") or groups.get("bpart")
    if first.half and said_b and last.hour >= 12 and first.hour + 12 <= last.hour:
        first = _Clock(first.hour + 12, first.minute, False)  # "2 to 3pm"
    elif last.half and not first.half and last.hour < first.hour and last.hour + 12 > first.hour:
        last = _Clock(last.hour + 12, last.minute, False)  # "from 2pm to 4", 下午两点到四点
    elif first.half and last.half and last.shifted(now) != last and first.shifted(now) != first:
        first, last = first.shifted(now), last.shifted(now)
    day = _part_day(groups)
    overnight = first.hour >= 18 and last.hour <= 8
    backwards = (last.hour, last.minute) <= (first.hour, first.minute) and not overnight
    problem = f"the window ends at {last}, before it starts at {first}" if backwards else ""
    return Heard(f"range:{first}-{last}", *found.span(), day=day, zone=groups.get("zone") or "", problem=problem)


def _says_clock(groups: dict[str, str | None], said: str) -> bool:
    """Two bare numbers ("from 2 to 5 replicas") are no clock times: a colon, am/pm, 点 or a clock word must show."""
    marks = ("aap", "bap", "am", "bm", "aw", "bw", "azh", "ach")
    return any(groups.get(mark) for mark in marks) or "clock" in said


def _part_day(groups: dict[str, str | None]) -> int:
    return 1 if groups.get("apart") in {"昨晚", "昨夜"} else 0


def _since(found: re.Match[str], now: datetime) -> Heard | None:
    clock = _clock(found, "a")
    if clock is None:
        return None
    groups = found.groupdict()
    return Heard(f"since:{clock.shifted(now)}", *found.span(), day=_part_day(groups), zone=groups.get("zone") or "")


def _days_since(found: re.Match[str], now: datetime) -> Heard | None:
    groups = found.groupdict()
    english = groups.get("wd")
    weekday = _WEEKDAYS[english] if english else _ZH_WEEKDAYS[groups["zwd"] or "一"]
    if english in {"sat", "sun", "mon", "wed"} and not re.match(r"(?a)since|from|on|after", found.group()):
        return None
    back = (now.weekday() - weekday) % 7 or 7
    if groups.get("zlast") and back < now.weekday() + 1:
        back += 7
    return Heard(f"last:{back}d", *found.span())


def find(text: str, now: datetime, *, future: bool = False) -> tuple[Heard, ...]:
    """All times spoken in normalised `text`, in order, not overlapping. `future`: the question is a forecast, so an amount
    of time alone ("in 6 hours", 三天内) is a horizon. `now` is aware, in the speaker's zone. Linear in the text."""
    heard: list[Heard] = []
    for candidate in _candidates(text, now, future):
        if all(candidate.end <= other.start or candidate.start >= other.end for other in heard):
            heard.append(candidate)
    return _joined(tuple(sorted(heard, key=lambda h: h.start)))


def _candidates(text: str, now: datetime, future: bool) -> Iterator[Heard]:
    for pattern in _RANGE:
        yield from filter(None, (_range(found, now) for found in pattern.finditer(text)))
    for pattern, slot in _FIXED[:1]:
        yield from (Heard(slot, *found.span()) for found in pattern.finditer(text))
    yield from _spans(_NEXT, text, "next")
    if future:
        yield from _spans(_LAST[:2] + _LAST[3:4], text, "last")
    else:
        yield from _spans(_LAST, text, "last")
    for pattern, slot in _FIXED[1:]:
        yield from (Heard(slot, *found.span()) for found in pattern.finditer(text))
    for pattern in _SINCE:
        yield from filter(None, (_since(found, now) for found in pattern.finditer(text)))
    for pattern in _WEEKDAY:
        yield from filter(None, (_days_since(found, now) for found in pattern.finditer(text)))
    for found in _DAYS.finditer(text):
        yield Heard("day:yesterday" if found.group("yday") else "day:today", *found.span())
    for found in _UNITLESS.finditer(text):
        yield Heard(f"last:{found.group('n')}m", *found.span())
    yield from _spans(_WITHIN if future else _WITHIN[1:], text, "next" if future else "last")


def _spans(patterns: tuple[re.Pattern[str], ...], text: str, kind: str) -> Iterator[Heard]:
    for pattern in patterns:
        for found in pattern.finditer(text):
            span = _span(found)
            bare = found.groupdict().get("an") is None
            if span and not (bare and _needs_number(found.group(), found.group("au"))):
                yield Heard(f"{kind}:{span}", *found.span())


def _needs_number(said: str, unit: str) -> bool:
    """A unit without an amount is an hour only after last/next ("last hour", 近一周 says 一); a lone `m` or 分 is nothing."""
    marked = _MARKED.match(said)
    return not marked or (len(unit) == 1 and unit.isascii())


def _joined(heard: tuple[Heard, ...]) -> tuple[Heard, ...]:
    """A clock time beside a day is that day's clock time: "yesterday between 2 and 4pm", 昨天下午三点."""
    clocks = [h for h in heard if h.text.startswith(("since:", "range:"))]
    if len(clocks) == 2 and clocks[1].start - clocks[0].end <= 4:
        heard = tuple(h for h in heard if h is not clocks[0])  # "since lunch, 12:30 or so": the second says it exactly
        clocks = clocks[1:]
    days = [h for h in heard if h.text.startswith("day:")]
    if len(clocks) != 1 or not days:
        return heard
    day = 1 if days[0].text == "day:yesterday" else 0
    clock = clocks[0]
    merged = Heard(clock.text, clock.start, clock.end, day=clock.day or day, zone=clock.zone, problem=clock.problem)
    return tuple(merged if h is clock else h for h in heard if h not in days)


def zone(name: str, default: tzinfo) -> tzinfo:
    """The zone that was spoken (an abbreviation or an IANA name), else `default`."""
    try:
        return ZoneInfo(_ZONES.get(name.lower(), name)) if name else default
    except (ZoneInfoNotFoundError, ValueError):
        return default


def window(slot: str, now: datetime, *, day: int = 0, zone_name: str = "") -> TimeRange | None:
    """Absolute UTC of a time slot, seen from `now` (aware, in the speaker's zone); None for `none`.

    >>> window("last:30m", datetime(2026, 11, 20, 8, tzinfo=UTC)).start.isoformat()
    '2026-11-20T07:30:00+00:00'
    """
    kind, _, value = slot.partition(":")
    if kind == "none":
        return None
    if kind in {"last", "next"}:
        length = timedelta(seconds=int(value[:-1]) * _SECONDS[value[-1]])
        utc = now.astimezone(UTC)
        return TimeRange(utc - length, utc) if kind == "last" else TimeRange(utc, utc + length)
    here = zone(zone_name, now.tzinfo or UTC)
    today = now.astimezone(here).date() - timedelta(days=day + (value == "yesterday"))
    if kind == "day":
        start, end = _wall(today, "00:00", here), _wall(today + timedelta(days=1), "00:00", here)
        return TimeRange(start, min(end, max(start, now.astimezone(UTC))))
    if kind == "since":
        start = _wall(today, value, here)
        return TimeRange(start if start <= now else _wall(today - timedelta(days=1), value, here), now)
    first, last = value.split("-")
    return _between(first, last, today, here, now)


def _between(first: str, last: str, today: date, here: tzinfo, now: datetime) -> TimeRange:
    start, end = _wall(today, first, here), _wall(today, last, here)
    if end <= start:  # overnight
        end = _wall(today + timedelta(days=1), last, here)
    if start > now:  # it hasn't happened yet today: the one before is meant
        start, end = start - timedelta(days=1), end - timedelta(days=1)
    return TimeRange(start, end)


def _wall(day: date, clock: str, here: tzinfo) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime.combine(day, time(hour, minute), tzinfo=here).astimezone(UTC)
