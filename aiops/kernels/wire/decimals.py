"""Decimal text to the nearest float64, ties to even, as IEEE 754 asks for and `float` does.

Up to 2^53 and 10^22 one multiplication or division of exact doubles is correctly rounded (W. Clinger, How to read floating point
numbers accurately, PLDI 1990); beyond, the product with a 128-bit power of ten nearly always decides (D. Lemire, Number parsing
at a gigabyte per second, Software: Practice and Experience 51, 2021). What neither decides is left to `float`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiops.domain import FloatArray, IntArray
from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes

HARD = -1  # instead of where the number ends: `float` has to look

_LEAST, _MOST = -342, 308  # exponents of ten at which 19 digits are no zero and no infinity for sure
DIGITS = 19  # that fit into 64 bits
EXACT, EXACT_POWER = np.uint64(1 << 53), 22
_NONE = np.uint64(0)
SIGN = -(1 << 63)
_PLUS, _MINUS, _POINT, _0, _9 = b"+-.09"


def _powers() -> NDArray[np.uint64]:
    """(651, 2): the upper and lower 64 bits of each power of ten, scaled to 128 bits and cut off."""
    table = np.empty((_MOST - _LEAST + 1, 2), np.uint64)
    for exponent in range(_LEAST, _MOST + 1):
        if exponent >= 0:
            power = 10**exponent
            shift = power.bit_length() - 128
            power = power >> shift if shift > 0 else power << -shift
        else:
            divisor = 10**-exponent
            power = (1 << divisor.bit_length() + 127) // divisor
            power >>= power.bit_length() - 128
        table[exponent - _LEAST] = power >> 64, power & (1 << 64) - 1
    return table


_POWERS = _powers()
EXACT_POWERS: FloatArray = np.array([10.0**k for k in range(EXACT_POWER + 1)])


@njit(cache=True)
def number(data: Bytes, at: int, last: int, values: FloatArray, bits: IntArray, k: int) -> int:  # noqa: C901, PLR0911, PLR0912 - one pass
    """Where the number in data[at:last] ends, which is then values[k]; or HARD. `bits` are those of `values`.

    It may also be NaN or an infinity, as Go writes them."""
    negative = at < last and data[at] == _MINUS
    if negative or (at < last and data[at] == _PLUS):
        at += 1
    mantissa, digits, exponent, begin = _NONE, 0, 0, at
    while at < last and _0 <= data[at] <= _9:
        if mantissa or data[at] != _0:
            digits += 1
        mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - _0)
        at += 1
    if at == begin:
        return _word(data, at, last, negative, values, k)
    if at < last and data[at] == _POINT:
        at += 1
        begin = at
        while at < last and _0 <= data[at] <= _9:
            if mantissa or data[at] != _0:
                digits += 1
            mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - _0)
            at += 1
        exponent = begin - at
        if at == begin:
            return HARD
    if at < last and (data[at] == 101 or data[at] == 69):  # e, E
        power, at = _exponent(data, at + 1, last)
        exponent += power
    if at < 0 or digits > DIGITS:
        return HARD
    if mantissa <= EXACT and -EXACT_POWER <= exponent <= EXACT_POWER:
        exact = np.float64(mantissa)
        exact = exact / EXACT_POWERS[-exponent] if exponent < 0 else exact * EXACT_POWERS[exponent]
        values[k] = -exact if negative else exact
        return at
    if mantissa == 0:
        values[k] = -0.0 if negative else 0.0
        return at
    if exponent < _LEAST or exponent > _MOST:
        return HARD
    found = nearest(mantissa, exponent)
    bits[k] = found | SIGN if negative else found
    return at if found >= 0 else HARD


@njit(cache=True)
def _word(data: Bytes, at: int, last: int, negative: bool, values: FloatArray, k: int) -> int:
    if at + 3 > last:
        return HARD
    if data[at] == 78 and data[at + 1] == 97 and data[at + 2] == 78:
        values[k] = np.nan
    elif data[at] == 73 and data[at + 1] == 110 and data[at + 2] == 102:
        values[k] = -np.inf if negative else np.inf
    else:
        return HARD
    return at + 3


@njit(cache=True)
def _exponent(data: Bytes, at: int, last: int) -> tuple[int, int]:
    """(exponent, where it ends), which is HARD where there is none or it is absurd."""
    negative = at < last and data[at] == 45
    if negative or (at < last and data[at] == 43):
        at += 1
    power, begin = 0, at
    while at < last and 48 <= data[at] <= 57:
        power = power * 10 + int(data[at] - 48)
        at += 1
    if at == begin or at - begin > 4:
        return 0, HARD
    return (-power if negative else power), at


@njit(cache=True)
def nearest(mantissa: np.uint64, exponent: int) -> int:
    """The bits of the float64 nearest to mantissa * 10^exponent, or HARD.

    The upper 64 bits of the product decide, or more of them where those are not enough."""
    one, low_nine = np.uint64(1), np.uint64(0x1FF)
    empty = _leading_zeros(mantissa)
    mantissa <<= np.uint64(empty)
    high, low = _times(mantissa, _POWERS[exponent - _LEAST, 0])
    if high & low_nine == low_nine and low + mantissa < mantissa:
        next_high, next_low = _times(mantissa, _POWERS[exponent - _LEAST, 1])
        merged = low + next_high
        if merged < low:
            high += one
        if high & low_nine == low_nine and merged + one == 0 and next_low + mantissa < mantissa:
            return HARD
        low = merged
    top = high >> np.uint64(63)
    kept = high >> (top + np.uint64(9))  # 54 bits
    if low == 0 and high & low_nine == 0 and kept & np.uint64(3) == 1:
        return HARD  # halfway, perhaps
    kept = (kept + (kept & one)) >> one
    power = (217706 * exponent >> 16) + 64 + 1023 - empty - (1 - int(top))
    if kept >> np.uint64(53):
        kept >>= one
        power += 1
    if power < 1 or power > 0x7FE:
        return HARD  # less than a normal number, or infinite
    return power << 52 | int(kept & np.uint64((1 << 52) - 1))


@njit(cache=True)
def _leading_zeros(word: np.uint64) -> int:
    count = 0
    for width in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(64 - width) == 0:
            word <<= np.uint64(width)
            count += width
    return count


@njit(cache=True)
def _times(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """(upper, lower 64 bits) of the product."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low, b_high, b_low = a >> half, a & mask, b >> half, b & mask
    cross = a_high * b_low + (a_low * b_low >> half)
    other = a_low * b_high + (cross & mask)
    return a_high * b_high + (cross >> half) + (other >> half), a * b
