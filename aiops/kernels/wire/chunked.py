"""The chunked transfer coding of HTTP/1.1 (RFC 9112, section 7.1), taken off in place.

A server that flushes after each message sends a chunk for each, such as Prometheus one for each series of a remote read; the
standard library spends some four microseconds on every chunk.
"""

from __future__ import annotations

from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes

MALFORMED = -2  # what `join` says instead of a position
_LINE = 4096  # bytes that a line may have
_MOST = 1 << 40  # bytes that a chunk may say it has


@njit(cache=True)
def join(data: Bytes, size: int, filled: int, left: int) -> tuple[int, int, int, bool]:
    """(size, filled, left, done) after as much as possible of data[size:filled] has joined the payload data[:size].

    `left`: bytes that the chunk under way still has, the two after it included; 0 where its size comes next, -1 where the trailer
    is being read. What is no chunk is `size` MALFORMED. Start with (0, filled, 0) and call again with what it returned
    and more behind `filled`. O(filled - size).
    """
    at = size
    while True:
        if left > 0:
            take = min(left, filled - at)
            size = _move(data, at, size, min(take, max(left - 2, 0)))
            at, left = at + take, left - take
            if left > 0:
                break
        line, at = at, _next_line(data, at, filled)
        if at < 0:
            if filled - line > _LINE:
                return MALFORMED, filled, left, False
            at = line
            break
        if left < 0:
            if at - line <= 2:  # an empty line ends the trailer
                return size, size, left, True
            continue
        number = _hexadecimal(data, line, at - 1)
        if number < 0:
            return MALFORMED, filled, left, False
        left = number + 2 if number else -1
    return size, _move(data, at, size, filled - at), left, False


@njit(cache=True)
def _move(data: Bytes, first: int, to: int, count: int) -> int:
    """Move `count` bytes back; where they end."""
    if first != to:  # a large chunk is read to where it belongs
        for k in range(count):
            data[to + k] = data[first + k]
    return to + count


@njit(cache=True)
def _next_line(data: Bytes, at: int, filled: int) -> int:
    """Where the next line begins; -1 where this one has not ended."""
    while at < filled:
        at += 1
        if data[at - 1] == 10:
            return at
    return -1


@njit(cache=True)
def _hexadecimal(data: Bytes, at: int, end: int) -> int:
    """The number before an extension or the end of the line; -1 where there is none."""
    told, first = 0, at
    while at < end:
        byte = int(data[at])
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= (byte | 32) <= 102:
            digit = (byte | 32) - 87
        elif byte in {59, 13, 32, 9}:  # ; CR and blanks
            break
        else:
            return -1
        told = told * 16 + digit
        if told > _MOST:
            return -1
        at += 1
    return told if at > first else -1
