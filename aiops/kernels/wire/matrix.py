"""Samples in answers of the Prometheus query API, `[[1700000000.123,"12.5"],...]`, read without an object for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiops.domain import FloatArray, IntArray
from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes
from aiops.kernels.wire.decimals import DIGITS, EXACT, EXACT_POWER, EXACT_POWERS, HARD, SIGN, nearest, number

_QUOTE, _COMMA, _MINUS, _POINT, _0, _LIST, _END = b'",-.0[]'
_1, _2, _TEN = (np.uint64(k) for k in (1, 2, 10))
_SHORTEST = 8  # bytes of a sample at least: `[1,"2"],`
_SLACK = 128  # bytes behind the text: more than the reader looks ahead
_LAST_SECOND = 9_000_000_000  # whose nanoseconds are an int64


def scan(texts: Sequence[bytes | memoryview]) -> tuple[IntArray, IntArray, FloatArray]:
    """(sizes, times in ms, values) of lists of samples, which are valid JSON; all samples behind one another.

    A size is -1 where a list is not as servers write it (blanks, times with more than three decimals, more than 19 digits),
    of which nothing is read."""
    body = np.frombuffer(b"".join([*texts, bytes(_SLACK)]), np.uint8)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    # Room for the shortest text that each could have: what isn't filled costs nothing.
    room = len(body) // _SHORTEST
    times, values, sizes = np.empty(room, np.int64), np.empty(room), np.empty(len(texts), np.int64)
    filled = _lists(body, ends, times, values, values.view(np.int64), sizes)
    return sizes, times[:filled], values[:filled]


@njit(cache=True)
def _lists(body: Bytes, ends: IntArray, times: IntArray, values: FloatArray, bits: IntArray, sizes: IntArray) -> int:
    """Read every list; how many samples there are."""
    at, filled = 0, 0
    for k in range(len(ends)):
        last = ends[k]
        now = _list(body, at, last, times, values, bits, filled)
        sizes[k] = now - filled if now >= 0 else -1
        filled, at = max(now, filled), last
    return filled


@njit(cache=True)
def _list(  # noqa: C901, PLR0911, PLR0912, PLR0915 - one loop, as the docstring says
    data: Bytes, at: int, last: int, times: IntArray, values: FloatArray, bits: IntArray, filled: int
) -> int:
    """Read the list in data[at:last]; how many samples there are then, or -1.

    One loop that calls nothing for the usual sample: it takes 15 ns, a tenth of what it takes in parts. No sample reaches
    farther than `_SLACK`, so that only its beginning is compared with the end."""
    place, stop = np.uint64(at + 1), np.uint64(last - 1)
    if last - at < 2 or data[at] != _LIST:
        return -1
    while place < stop:
        if data[place] != _LIST:
            return -1
        k = place + _1
        seconds, digit = 0, int(data[k]) - _0
        while 0 <= digit <= 9 and seconds < _LAST_SECOND:
            seconds = seconds * 10 + digit
            k += _1
            digit = int(data[k]) - _0
        if k == place + _1 or seconds > _LAST_SECOND:
            return -1
        ms, scale = seconds * 1000, 1000
        if data[k] == _POINT:
            k += _1
            digit = int(data[k]) - _0
            while 0 <= digit <= 9 and scale > 1:
                scale //= 10
                ms += digit * scale
                k += _1
                digit = int(data[k]) - _0
        if data[k] != _COMMA or data[k + _1] != _QUOTE:
            return -1
        k += _2
        start, negative = k, data[k] == _MINUS
        k += np.uint64(negative)
        begin, most, point = k, k + np.uint64(DIGITS), np.uint64(0)
        mantissa = np.uint64(0)
        while k < most:
            figure = np.uint64(data[k]) - np.uint64(_0)
            if figure < _TEN:
                mantissa = mantissa * _TEN + figure
            elif data[k] == _POINT and point == 0:
                point = k
                most += _1
            else:
                break
            k += _1
        decimals = int(k - point) - 1 if point else 0
        plain = data[k] == _QUOTE and k > begin and (point == 0 or k > begin + _1)
        if plain and mantissa <= EXACT and decimals <= EXACT_POWER:
            exact = np.float64(mantissa) / EXACT_POWERS[decimals]
            values[filled] = -exact if negative else exact
        else:
            found = nearest(mantissa, -decimals) if plain and mantissa > 0 else HARD
            if found >= 0:
                bits[filled] = found | SIGN if negative else found
            else:
                end = number(data, int(np.int64(start)), last, values, bits, filled)
                if end < 0 or data[end] != _QUOTE:
                    return -1
                k = np.uint64(end)
        if data[k + _1] != _END:
            return -1
        times[filled] = ms
        filled += 1
        place = k + _2
        if place < stop:
            if data[place] != _COMMA:
                return -1
            place += _1
    return filled
