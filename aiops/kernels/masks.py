"""What varies in a log line becomes `*`, in one pass over its bytes.

Masked are, whatever program wrote the line:

- its leading time;
- every word with a digit: numbers, durations, sizes, dates, addresses of machines, hashes, UUIDs, parts of paths and URLs;
- mail addresses;
- quoted values, but neither those of a key that holds prose (`msg="..."`, `error="..."`) nor requests (`"GET /cart"`);
- bracketed values that hold data (a digit, `=`, `,` or `:`), innermost first.

Kept is a code position, `Service#451` or `server.go:112`: it names the statement that spoke. A line that is one JSON object is
read as its keys and values in a row, so that its message stays. Blanks become one, outer ones go.

Bytes beyond ASCII are never part of a masked word: where words are not spaced, a number must not take its neighbours along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from aiops.kernels.compiled import njit

BATCH = 20_000  # lines masked at once: bounds the memory, costs nothing
CODE = (
    "c",
    "cc",
    "cpp",
    "cs",
    "erl",
    "ex",
    "go",
    "java",
    "js",
    "jsx",
    "kt",
    "php",
    "pl",
    "py",
    "rb",
    "rs",
    "scala",
    "ts",
    "tsx",
)
PROSE = ("err", "error", "event", "exception", "message", "msg", "reason")

_DIGIT, _LETTER, _JOIN, _TAIL, _BLANK, _OPEN, _CLOSE, _DATA, _QUOTE = (1 << bit for bit in range(9))
_WORD = _DIGIT | _LETTER | _JOIN
_STAR, _SPACE, _DOUBLE, _SINGLE, _HASH, _COLON = (ord(c) for c in "* \"'#:")
_AT, _DOT, _COMMA, _PLUS = (ord(c) for c in "@.,+")


def mask_lines(lines: Sequence[str]) -> list[str]:
    """The masked text of every line, in order. O(characters); half surrogate pairs pass through."""
    masked: list[str] = []
    for begin in range(0, len(lines), BATCH):
        masked += (text.decode("utf-8", "surrogatepass") for text in _masked(lines[begin : begin + BATCH]))
    return masked


def _masked(lines: Sequence[str]) -> Iterable[bytes]:
    coded = [line.encode("utf-8", "surrogatepass") for line in lines]
    starts = np.zeros(len(coded) + 1, np.int64)
    np.cumsum([len(line) for line in coded], out=starts[1:])
    data = np.frombuffer(b"".join(coded), np.uint8)
    out = np.empty(len(data), np.uint8)
    ends = np.empty(len(coded), np.int64)
    _mask(data, starts, _CLASS, _EXTENSIONS, _KEYS, out, ends)
    text = out.tobytes()
    return [text[a:b] for a, b in zip(starts[:-1].tolist(), ends.tolist(), strict=True)]


def _classes() -> Any:
    table = np.zeros(256, np.uint16)
    for chars, kind in (
        ("0123456789", _DIGIT | _DATA),
        ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", _LETTER),
        ("_-", _JOIN),
        (".", _TAIL),
        (":", _TAIL | _DATA),
        ("=,", _DATA),
        (" \t\n\v\f\r", _BLANK),
        ("([{", _OPEN),
        (")]}", _CLOSE),
        ("\"'", _QUOTE),
    ):
        for char in chars:
            table[ord(char)] |= kind
    return table


def _number(name: str) -> int:
    """A short ASCII name as one number, as `_number_before` reads it; its last eight letters tell."""
    number = 0
    for byte in name.encode()[-8:]:
        number = number << 8 | byte
    return number


_CLASS = _classes()
_EXTENSIONS = np.array(sorted(map(_number, CODE)), np.uint64)
_KEYS = np.array(sorted(map(_number, PROSE)), np.uint64)
_DATE, _CLOCK, _ZONE, _ZONE_COLON = (
    np.frombuffer(f, np.uint8) for f in (b"0000-00-00", b"00:00:00", b"0000", b"00:00")
)


# ---------------------------------------------------------------- numba
# `data` are the bytes of all lines, line k being data[starts[k]:starts[k + 1]]; `kind` is the class of each byte.


@njit(cache=True, nogil=True)
def _mask(data: Any, starts: Any, kind: Any, extensions: Any, keys: Any, out: Any, ends: Any) -> None:
    """Writes masked line k to out[starts[k]:ends[k]]: no text grows by masking."""
    marks = np.empty(4, np.int64)
    for k in range(len(ends)):
        begin, end = starts[k], starts[k + 1]
        at = _after_time(data, kind, begin, end)
        if _is_object(data, kind, at, end):
            ends[k] = _mask_object(data, kind, at, end, out, begin)
        else:
            marks[:] = begin - 1
            ends[k] = _mask_text(data, kind, extensions, keys, at, end, out, begin, marks)


# What a scan of a line has found out ahead of itself, so that no byte is looked at twice for the same question.
_NO_MAIL = 0  # before here no mail address begins
_PROSE_END = 1  # the closing quote of the prose that the scan stands in
_OPEN_DOUBLE, _OPEN_SINGLE = 2, 3  # `end` once no such quote closes any more


@njit(cache=True, nogil=True)
def _mask_text(
    data: Any, kind: Any, extensions: Any, keys: Any, at: int, end: int, out: Any, begin: int, marks: Any
) -> int:
    """Returns where the masked text ends; it begins at out[begin]."""
    to = begin
    while at < end:
        c = data[at]
        k = kind[c]
        masked = -1  # the end of what is masked as a whole
        if k & _BLANK:
            to = _space(out, begin, to)
            at += 1
            continue
        if k & _WORD:
            if at >= marks[_NO_MAIL]:
                masked, marks[_NO_MAIL] = _mail(data, kind, at, end)
        elif k & _OPEN:
            masked = _data_bracket(data, kind, at, end)
        elif k & _QUOTE:
            masked = _quoted(data, kind, keys, begin, at, end, marks)
        if masked > at:
            to, at = _star(out, to), masked
        elif k & _WORD:
            to, at = _word(data, kind, at, end, out, to)
        else:
            stop = _code_position(data, kind, extensions, begin, at, end) if c in (_HASH, _COLON) else at + 1
            to, at = _copy(data, at, stop, out, to)
    return _trimmed(out, begin, to)


@njit(cache=True, nogil=True)
def _quoted(data: Any, kind: Any, keys: Any, begin: int, at: int, end: int, marks: Any) -> int:
    """Behind the quoted value at `at`; -1 where none is, or one of prose."""
    unclosed = _OPEN_DOUBLE if data[at] == _DOUBLE else _OPEN_SINGLE
    apostrophe = data[at] == _SINGLE and at > begin and kind[data[at - 1]] & (_DIGIT | _LETTER)
    if at <= marks[_PROSE_END] or marks[unclosed] == end or apostrophe:
        return -1
    close = _close(data, kind, at, end)
    if close < 0:
        marks[unclosed] = end
    elif _names_prose(data, kind, begin, at, keys) or _is_request(data, at + 1, close):
        marks[_PROSE_END] = close
    else:
        return close + 1
    return -1


@njit(cache=True, nogil=True)
def _code_position(data: Any, kind: Any, extensions: Any, begin: int, at: int, end: int) -> int:
    """Behind the line number whose sign stands at `at`, as in `Service#451` or `server.go:112`, else behind the sign."""
    named = (data[at] == _HASH and _names_class(data, kind, begin, at)) or (
        data[at] == _COLON and _number_before(data, kind, _LETTER, _DOT, begin, at, extensions)
    )
    stop = _digits(data, kind, at + 1, end) if named else at
    return stop if stop > at + 1 and (stop == end or not kind[data[stop]] & _WORD) else at + 1


@njit(cache=True, nogil=True)
def _mask_object(data: Any, kind: Any, at: int, end: int, out: Any, begin: int) -> int:
    """A JSON object: its signs are blanks, and wildcards in a row are one, since lists vary in length."""
    to = begin
    while at < end:
        c = data[at]
        k = kind[c]
        if k & (_BLANK | _OPEN | _CLOSE) or c in (_DOUBLE, _COLON, _COMMA):
            to = _space(out, begin, to)
            at += 1
        elif k & _WORD:
            was = to
            to, at = _word(data, kind, at, end, out, to)
            alone = to == was + 1 and out[was] == _STAR and (at == end or not kind[data[at]] & _WORD)
            if (
                alone
                and was >= begin + 2
                and out[was - 1] == _SPACE
                and out[was - 2] == _STAR
                and (was == begin + 2 or out[was - 3] == _SPACE)
            ):
                to = was
        else:
            out[to] = c
            to, at = to + 1, at + 1
    return _trimmed(out, begin, to)


@njit(cache=True, nogil=True)
def _space(out: Any, begin: int, to: int) -> int:
    if to == begin or out[to - 1] == _SPACE:
        return to
    out[to] = _SPACE
    return to + 1


@njit(cache=True, nogil=True)
def _copy(data: Any, at: int, stop: int, out: Any, to: int) -> tuple[int, int]:
    """Copies data[at:stop]: (where the text, where the line goes on)."""
    while at < stop:
        out[to] = data[at]
        to, at = to + 1, at + 1
    return to, at


@njit(cache=True, nogil=True)
def _star(out: Any, to: int) -> int:
    out[to] = _STAR
    return to + 1


@njit(cache=True, nogil=True)
def _trimmed(out: Any, begin: int, to: int) -> int:
    return to - 1 if to > begin and out[to - 1] == _SPACE else to


@njit(cache=True, nogil=True)
def _word(data: Any, kind: Any, at: int, end: int, out: Any, to: int) -> tuple[int, int]:
    """Masks or copies the word that begins at `at`: (where the text, where the line goes on)."""
    stop, digit = at, False
    while stop < end and kind[data[stop]] & _WORD:
        digit |= bool(kind[data[stop]] & _DIGIT)
        stop += 1
    if not digit:
        return _copy(data, at, stop, out, to)
    while True:
        while stop < end and kind[data[stop]] & (_WORD | _TAIL):
            stop += 1
        if stop == end or data[stop] != _COMMA or _digits(data, kind, stop + 1, end) != stop + 4:
            return _star(out, to), stop
        stop += 4  # thousands


@njit(cache=True, nogil=True)
def _digits(data: Any, kind: Any, at: int, end: int) -> int:
    while at < end and kind[data[at]] & _DIGIT:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _mail(data: Any, kind: Any, at: int, end: int) -> tuple[int, int]:
    """(end of the mail address that begins at `at`, else -1; up to where none begins)."""
    stop = at
    while stop < end and (kind[data[stop]] & _WORD or data[stop] in (_DOT, _PLUS)):
        stop += 1
    if stop + 1 >= end or data[stop] != _AT or not kind[data[stop + 1]] & _WORD:
        return -1, stop
    stop += 1
    while stop < end and (kind[data[stop]] & _WORD or data[stop] == _DOT):
        stop += 1
    return stop, stop


@njit(cache=True, nogil=True)
def _close(data: Any, kind: Any, at: int, end: int) -> int:
    """Where the quote at `at` closes, -1 when nowhere. An apostrophe within a word closes nothing."""
    quote = data[at]
    at += 1
    while at < end:
        if data[at] == quote and not (quote == _SINGLE and at + 1 < end and kind[data[at + 1]] & (_DIGIT | _LETTER)):
            return at
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _data_bracket(data: Any, kind: Any, at: int, end: int) -> int:
    """Behind the bracketed value at `at` if it holds data and no other bracket, else -1."""
    told = False
    at += 1
    while at < end:
        k = kind[data[at]]
        if k & _OPEN:
            return -1
        if k & _CLOSE:
            return at + 1 if told else -1
        told |= bool(k & _DATA)
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _names_class(data: Any, kind: Any, begin: int, at: int) -> bool:
    """Whether a qualified or camel-case name stands before `at`: `t.s.Service`, `TravelService`; `order` is none."""
    at -= 1
    if at < begin or not kind[data[at]] & (_LETTER | _DIGIT):
        return False
    while at > begin:
        capital = ord("A") <= data[at] <= ord("Z")
        before = kind[data[at - 1]]
        if data[at] == _DOT or (capital and before & _LETTER and not ord("A") <= data[at - 1] <= ord("Z")):
            return True
        if not (before & _WORD or data[at - 1] == _DOT):
            return False
        at -= 1
    return False


@njit(cache=True, nogil=True)
def _names_prose(data: Any, kind: Any, begin: int, at: int, keys: Any) -> bool:
    """Whether the quote at `at` opens the value of a key that holds prose."""
    return at > begin and data[at - 1] == ord("=") and _number_before(data, kind, _WORD, 0, begin, at - 1, keys)


@njit(cache=True, nogil=True)
def _is_request(data: Any, at: int, end: int) -> bool:
    """Whether a method, a blank and a path begin at `at`, as in the access logs of HTTP servers."""
    first = at
    while at < end and ord("A") <= data[at] <= ord("Z"):
        at += 1
    return at > first and at + 1 < end and data[at] == _SPACE and data[at + 1] == ord("/")


@njit(cache=True, nogil=True)
def _number_before(data: Any, kind: Any, of: int, after: int, begin: int, at: int, known: Any) -> bool:
    """Whether the name of bytes `of` before `at` is one of `known` (see `_number`) and stands behind `after` (0: anywhere)."""
    number, shift = np.uint64(0), 0
    at -= 1
    while at >= begin and kind[data[at]] & of:
        if shift < 64:
            number |= np.uint64(data[at] | (32 if kind[data[at]] & _LETTER else 0)) << np.uint64(shift)
        shift += 8
        at -= 1
    if shift == 0 or (after and (at <= begin or data[at] != after)):
        return False
    found = False
    for name in known:
        found |= bool(name == number)
    return found


@njit(cache=True, nogil=True)
def _is_object(data: Any, kind: Any, at: int, end: int) -> bool:
    """Whether the line looks like one JSON object with a key."""
    while end > at and kind[data[end - 1]] & _BLANK:
        end -= 1
    if end - at < 4 or data[at] != ord("{") or data[end - 1] != ord("}"):
        return False
    at += 1
    while kind[data[at]] & _BLANK:
        at += 1
    return bool(data[at] == _DOUBLE)


@njit(cache=True, nogil=True)
def _after_time(data: Any, kind: Any, begin: int, end: int) -> int:
    """Behind a leading `[date] hh:mm:ss[.fraction][zone]` and blanks; `begin` where the line does not begin so."""
    at = begin
    while at < end and data[at] < 128 and not kind[data[at]] & (_DIGIT | _LETTER) and data[at] != ord("{"):
        at += 1
    if _like(data, kind, at, end, _DATE):
        at += len(_DATE)
        if at == end or data[at] not in (ord("T"), _SPACE, _COMMA):
            return begin
        while at < end and data[at] in (ord("T"), _SPACE, _COMMA):
            at += 1
    if not _like(data, kind, at, end, _CLOCK):
        return begin
    at = _after_zone(data, kind, _digits(data, kind, at + len(_CLOCK), end), end)
    while at < end and kind[data[at]] & (_BLANK | _CLOSE):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _after_zone(data: Any, kind: Any, at: int, end: int) -> int:
    """Behind the fraction of a second and the zone at `at`, where they are."""
    if at < end and data[at] in (_DOT, _COMMA):
        at = _digits(data, kind, at + 1, end)
    if at < end and data[at] == ord("Z"):
        return at + 1
    if at < end and data[at] in (_PLUS, ord("-")):
        for zone in (_ZONE, _ZONE_COLON):
            if _like(data, kind, at + 1, end, zone):
                return at + 1 + len(zone)
    return at


@njit(cache=True, nogil=True)
def _like(data: Any, kind: Any, at: int, end: int, form: Any) -> bool:
    """Whether what stands at `at` has this form: a digit for 0, a sign that parts dates for `-`, else the same byte."""
    if at + len(form) > end:
        return False
    for i in range(len(form)):
        c = data[at + i]
        if form[i] == ord("0"):
            if not kind[c] & _DIGIT:
                return False
        elif form[i] == ord("-"):
            if c not in (_DOT, ord("-"), ord("/")):
                return False
        elif c != form[i]:
            return False
    return True
