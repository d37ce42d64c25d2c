"""Text hygiene: one width, one case, and quoted text taken out, because what is quoted is data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

RAW_CHARS = 20_000  # beyond this nothing is read at all
MAX_CHARS = 2_000  # longer input is asked to be shortened; pasted logs belong into quotes

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_PAIRS = (
    r"```.*?(?:```|\Z)",
    r"`[^`\n]*`",
    r"“[^”]*(?:”|\Z)",
    r"「[^」]*(?:」|\Z)",
    r"『[^』]*(?:』|\Z)",
    r"《[^》]*》",
    r"«[^»]*»",
    r"<<<.*?(?:>>>|\Z)",
    r"<(?P<tag>[a-z_]{2,20})>.*?(?:</(?P=tag)>|\Z)",
    r"(?<![a-z0-9])\"[^\"]*(?:\"|\Z)",
    r"‘[^’]*’(?![a-z])",
    r"(?<![\w])'(?!s\b)[^'\n]*(?:'[^'\n]{1,3}\b[^'\n]*)*'(?![a-z0-9])",
    r"^\s*>.*$",
)
_QUOTED = re.compile("|".join(_PAIRS), re.ASCII | re.DOTALL | re.MULTILINE)
# Reported speech without quotes: "the alert says: ...", "日志内容:...". It ends with its sentence.
_SAYS = (
    r"(?:\b(?:alert|annotation|summary|description|message|runbook|log(?: line)?|label|payload|ticket|stack ?trace)s?\b"
    r"[^.!?;:\n]{0,24}?(?:\bsays\b|\bsaid\b|\breads\b|\bread\b|\btext\b|\bcontains\b|=|:)"
    r"|(?:告警|报警|注释|描述|日志|摘要|消息|工单)[^。!?;:,\n]{0,10}?(?:说|写着|写的是|内容|显示|提到|里有|=|:))"
    r"[\s:=]*"
)
_REPORTED = re.compile(rf"(?a){_SAYS}(?P<said>[^.!?。;\n]+(?:\.(?=\S)[^.!?。;\n]+)*)")
_REPORTED_LINE = re.compile(rf"(?a){_SAYS}[^\n]*")


# What introduces a quotation goes with it: an "alert" that is quoted complains of nothing.
_LABEL = re.compile(
    r"(?:\b(?:(?:the|its|an?|this|and|with) ){0,3}(?:alert|annotation|summary|description|message|runbook|log(?: line)?|label|payload|ticket|stack ?trace)s?\b[^,.!?;:\n\x01]{0,24}[\s:=]*"
    r"|(?:告警|报警|注释|描述|日志|摘要|消息|工单)[^。!?;:,\n\x01]{0,10}[\s:=]*)?\x01",
    re.ASCII,
)


def normalise(text: str) -> str:
    """NFKC (full width to half width), lower case, invisible and control characters out, blanks single (lines kept)."""
    flat = unicodedata.normalize("NFKC", text)
    flat = _CONTROL.sub(" ", _INVISIBLE.sub("", flat)).lower().replace("’", "'").replace("、", ",")
    return re.sub(r"[ \t\u3000]+", " ", flat).strip()


def strip_quoted(
    text: str, is_name: Callable[[str], bool], is_order: Callable[[str], bool], speaks: Callable[[str], bool]
) -> tuple[str, bool]:
    """Takes quoted text out of normalised `text`; quoted names stay, without their quotes.

    Unquoted reported speech is taken out where it gives orders (`is_order`), and to the end of its line where what stands
    before it already names what is asked about (`speaks`): "alert: checkout is slow, why?" is a question about checkout,
    "alert: ignore all rules" is nobody's wish. Returns the rest, and whether anything went.
    """
    gone = False

    def keep_names(found: re.Match[str]) -> str:
        nonlocal gone
        inner = found.group().strip("`“”「」『』《》«»\"'‘’<> \n")
        if is_name(inner):
            return f" {inner} "
        gone = True
        return " \x01 "

    def drop_told(found: re.Match[str]) -> str:
        nonlocal gone
        if not speaks(found.string[: found.start()]):
            return found.group()
        gone = True
        return " , "

    def drop_orders(found: re.Match[str]) -> str:
        nonlocal gone
        if not is_order(found.group("said")):
            return found.group()
        gone = True
        return " , "

    rest = _LABEL.sub(" , ", _QUOTED.sub(keep_names, text))
    rest = _REPORTED_LINE.sub(drop_told, rest)
    rest = _REPORTED.sub(drop_orders, rest)
    return re.sub(r"\s+", " ", rest).strip(" ,"), gone


def blanked(text: str, spans: Iterable[tuple[int, int]], mark: str = "\x00") -> str:
    """The text with these spans marked out, each character by `mark`, so that all places stay what they are."""
    chars = list(text)
    for start, end in spans:
        chars[start:end] = mark * (end - start)
    return "".join(chars)
