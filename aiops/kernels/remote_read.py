"""Prometheus remote read: the request written, and both kinds of answer decoded without one object per sample.

The wire (prompb/remote.proto, tsdb/docs/format/chunks.md): a request is a snappy block of protobuf. An answer is either a stream
of frames (uvarint length, CRC-32C, protobuf `ChunkedReadResponse`) whose chunks are XOR-compressed after T. Pelkonen et al.,
Gorilla, VLDB 2015, or one snappy block of protobuf `ReadResponse` with plain samples. Lengths are checked before they are believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.domain import FloatArray, IntArray
from aiops.errors import DataError
from aiops.kernels.snappy import compress, decompress
from aiops.kernels.wire import Bytes, field, integer, next_field, uvarint
from aiops.kernels.xor import Words, big_endian, capacity, unpack

STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
FRAME_LIMIT = 64 << 20  # bytes; Prometheus sends about 1 MiB a frame
EQUAL, NOT_EQUAL, MATCHES, MATCHES_NOT = range(4)

Labels = tuple[tuple[str, str], ...]

_XOR, _HISTOGRAMS = 1, (2, 3)
_OK, _TRUNCATED, _CHECKSUM, _TOO_LARGE, _MALFORMED = range(5)
_WHY = ("", "it ends too early", "its CRC-32C is wrong", "it is larger than allowed", "it is no valid protobuf")


class Matcher(NamedTuple):
    kind: int  # EQUAL, NOT_EQUAL, MATCHES or MATCHES_NOT
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of all series behind one another: series k owns starts[k]:starts[k + 1]. Times in epoch milliseconds, increasing."""

    labels: tuple[Labels, ...]
    starts: IntArray  # (S + 1,)
    times: IntArray
    values: FloatArray
    histograms: tuple[Labels, ...]  # series that held native histograms, which are left out


def request(matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> bytes:
    """The body of a POST that asks for one selector, both ends inclusive; streamed chunks are preferred, samples accepted."""
    query = integer(1, start_ms) + integer(2, end_ms)
    for kind, name, value in matchers:
        query += field(3, integer(1, kind) + field(2, name.encode()) + field(3, value.encode()))
    return compress(field(1, query) + field(2, bytes([1, 0])))


def decode_stream(body: bytes, start_ms: int, end_ms: int) -> Samples:
    """The samples in [start_ms, end_ms] of a streamed answer. DataError names the series of a broken chunk, or the frame."""
    data = np.frombuffer(body, np.uint8)
    code, frame, count, chunk_count = _index(data, _EMPTY, _EMPTY)
    _raise(code, f"frame {frame} of the answer")
    series, chunks = np.empty((count, 2), np.int64), np.empty((chunk_count, 4), np.int64)
    _index(data, series, chunks)
    labels = [_labels(body, int(first), int(last)) for first, last in series]
    histograms = np.isin(chunks[:, 3], _HISTOGRAMS)
    unknown = chunks[~histograms & (chunks[:, 3] != _XOR)]
    if len(unknown):
        raise DataError(f"series {_told(labels[unknown[0, 0]])}: its chunk has the unknown encoding {unknown[0, 3]}")
    plain = chunks[~histograms]
    times, values = np.empty(capacity(data, plain), np.int64), np.empty(capacity(data, plain))
    sizes = np.zeros(count, np.int64)
    bad = _decode(data, big_endian(body), plain, start_ms, end_ms, times, values, sizes)
    if bad >= 0:
        raise DataError(f"series {_told(labels[plain[bad, 0]])}: its chunk {_WHY[_TRUNCATED].removeprefix('it ')}")
    total = int(sizes.sum())
    kept = {int(k) for k in chunks[histograms, 0]}
    return _merged(labels, sizes, times[:total], values[:total], tuple(labels[k] for k in sorted(kept)))


def decode_block(body: bytes) -> Samples:
    """The samples of a snappy-compressed `ReadResponse`, as servers without chunks send it. DataError where it is broken."""
    raw = decompress(body)
    labels, histograms, spans = [], [], []
    for _, result in _messages(raw, 0, len(raw), 1):
        for _, (first, last) in _messages(raw, *result, 1):
            labels.append(_labels(raw, first, last))
            spans.append((first, last))
            if any(_messages(raw, first, last, 4)):
                histograms.append(labels[-1])
    data = np.frombuffer(raw, np.uint8)
    times, values = np.empty(len(data) // 2 + 1, np.int64), np.empty(len(data) // 2 + 1)
    sizes, filled = np.zeros(len(spans), np.int64), 0
    for k, (first, last) in enumerate(spans):
        size = _plain(data, first, last, times[filled:], values[filled:])
        if size < 0:
            raise DataError(f"series {_told(labels[k])}: its samples end too early")
        sizes[k], filled = size, filled + size
    return _merged(labels, sizes, times[:filled], values[:filled], tuple(histograms))


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) as RFC 3720 defines it."""
    view = np.frombuffer(data, np.uint8)
    return int(_crc(view, 0, len(view), _TABLES))


# ---------------------------------------------------------------- protobuf in Python: few and small messages


def _messages(raw: bytes, first: int, last: int, wanted: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """(field, (first, last byte)) of the length-delimited fields with number `wanted`."""
    view = np.frombuffer(raw, np.uint8)
    at = first
    while at < last:
        field, begin, end = next_field(view, at, last)
        if end < 0:
            raise DataError("the answer is no valid protobuf")
        if field == wanted << 3 | 2:
            yield wanted, (begin, end)
        at = end


def _labels(raw: bytes, first: int, last: int) -> Labels:
    pairs = []
    for _, (begin, end) in _messages(raw, first, last, 1):
        texts = {}
        for number in (1, 2):
            for _, (a, b) in _messages(raw, begin, end, number):
                texts[number] = raw[a:b].decode("utf-8", "replace")
        pairs.append((texts.get(1, ""), texts.get(2, "")))
    return tuple(pairs)


def _told(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={value!r}" for name, value in labels) + "}"


def _raise(code: int, where: str) -> None:
    if code != _OK:
        raise DataError(f"{where}: {_WHY[code]}")


def _merged(
    labels: Sequence[Labels], sizes: IntArray, times: IntArray, values: FloatArray, histograms: tuple[Labels, ...]
) -> Samples:
    """One entry per label set, though frames may split a series; its times increasing, the last of equal ones kept."""
    first: dict[Labels, int] = {}
    owner = np.array([first.setdefault(one, len(first)) for one in labels], np.int64)
    place = np.repeat(owner, sizes)
    if len(first) < len(labels) or (np.diff(times)[np.diff(place) == 0] <= 0).any():
        order = np.lexsort((times, place))
        place, times, values = place[order], times[order], values[order]
        last = np.ones(len(times), bool)
        last[:-1] = (np.diff(place) != 0) | (np.diff(times) != 0)
        place, times, values = place[last], times[last], values[last]
    starts = np.searchsorted(place, np.arange(len(first) + 1))
    return Samples(tuple(first), starts, times, values, tuple(dict.fromkeys(histograms)))


# ---------------------------------------------------------------- kernels


def _castagnoli() -> NDArray[np.uint32]:
    """Eight tables of the reflected polynomial 0x82F63B78, for eight bytes at a time."""
    tables = np.zeros((8, 256), np.uint32)
    rest = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rest = np.where(rest & 1, rest >> 1 ^ np.uint32(0x82F63B78), rest >> 1)
    tables[0] = rest
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> 8 ^ tables[0][tables[k - 1] & 255]
    return tables


_TABLES = _castagnoli()
_EMPTY = np.empty((0, 4), np.int64)


@njit(cache=True)
def _crc(data: Bytes, first: int, last: int, tables: NDArray[np.uint32]) -> int:
    rest, at = np.uint32(0xFFFFFFFF), first
    while at + 8 <= last:
        low = rest ^ (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        )
        rest = (
            tables[7, low & np.uint32(255)]
            ^ tables[6, low >> np.uint32(8) & np.uint32(255)]
            ^ tables[5, low >> np.uint32(16) & np.uint32(255)]
            ^ tables[4, low >> np.uint32(24)]
            ^ tables[3, data[at + 4]]
            ^ tables[2, data[at + 5]]
            ^ tables[1, data[at + 6]]
            ^ tables[0, data[at + 7]]
        )
        at += 8
    while at < last:
        rest = tables[0, (rest ^ np.uint32(data[at])) & np.uint32(255)] ^ rest >> np.uint32(8)
        at += 1
    return int(rest ^ np.uint32(0xFFFFFFFF))


@njit(cache=True)
def _index(data: Bytes, series: IntArray, chunks: IntArray) -> tuple[int, int, int, int]:
    """Count, or where the arrays have room note, the series and chunks of all frames: (code, frame, series, chunks).

    series: (S, 2) first and last byte of each message. chunks: (C, 4) series, first and last byte of the data, encoding.
    """
    at, frame, count, chunk_count = 0, 0, 0, 0
    while at < len(data):
        code, begin, end = _frame(data, at, len(series) == 0)
        while code == _OK and begin < end:
            key, first, begin = next_field(data, begin, end)
            if begin < 0:
                code = _MALFORMED
            elif key == 10:
                if len(series):
                    series[count, 0], series[count, 1] = first, begin
                added = _index_series(data, first, begin, count, chunks, chunk_count)
                code = _OK if added >= 0 else _MALFORMED
                chunk_count += added
                count += 1
        if code != _OK:
            return code, frame, 0, 0
        at, frame = end, frame + 1
    return _OK, frame, count, chunk_count


@njit(cache=True)
def _frame(data: Bytes, at: int, checked: bool) -> tuple[int, int, int]:
    """(code, first and last byte of the message) of the frame at `at`."""
    size, begin = uvarint(data, at, len(data))
    if begin < 0 or begin + 4 > len(data):
        return _TRUNCATED, 0, 0
    if size < 0 or size > FRAME_LIMIT:
        return _TOO_LARGE, 0, 0
    told = 0
    for k in range(4):
        told = told << 8 | int(data[begin + k])
    begin += 4
    if size > len(data) - begin:
        return _TRUNCATED, 0, 0
    if checked and _crc(data, begin, begin + size, _TABLES) != told:
        return _CHECKSUM, 0, 0
    return _OK, begin, begin + size


@njit(cache=True)
def _index_series(data: Bytes, at: int, last: int, owner: int, chunks: IntArray, known: int) -> int:
    """Note the chunks of one series; how many, or -1 where a field does not fit."""
    added = 0
    while at < last:
        key, first, at = next_field(data, at, last)
        if at < 0:
            return -1
        if key != 18:
            continue
        encoding, begin, end, inner = 0, first, first, first
        while inner < at:
            key, begin_field, inner_end = next_field(data, inner, at)
            if inner_end < 0:
                return -1
            if key == 24:
                encoding, _ = uvarint(data, begin_field, inner_end)
            elif key == 34:
                begin, end = begin_field, inner_end
            inner = inner_end
        if len(chunks):
            chunks[known + added, 0], chunks[known + added, 1] = owner, begin
            chunks[known + added, 2], chunks[known + added, 3] = end, encoding
        added += 1
    return added


@njit(cache=True)
def _decode(
    data: Bytes,
    words: Words,
    chunks: IntArray,
    start: int,
    end: int,
    times: IntArray,
    values: FloatArray,
    sizes: IntArray,
) -> int:
    """Unpack every chunk behind the one before, keeping [start, end]; the index of a broken chunk, or -1."""
    filled = 0
    for k in range(len(chunks)):
        added = unpack(data, words, chunks[k, 1], chunks[k, 2], start, end, times[filled:], values[filled:])
        if added < 0:
            return k
        sizes[chunks[k, 0]] += added
        filled += added
    return -1


@njit(cache=True)
def _plain(data: Bytes, at: int, last: int, times: IntArray, values: FloatArray) -> int:
    """The samples of one `TimeSeries`; how many, or -1 where a field does not fit."""
    size = 0
    store = np.zeros(1, np.int64)
    number = store.view(np.float64)
    while at < last:
        key, first, at = next_field(data, at, last)
        if at < 0:
            return -1
        if key != 18:
            continue
        store[0], time, inner = 0, 0, first
        while inner < at:
            key, begin, inner = next_field(data, inner, at)
            if inner < 0:
                return -1
            if key == 9:
                store[0] = 0
                for k in range(8):
                    store[0] |= np.int64(np.uint64(data[begin + k]) << np.uint64(8 * k))
            elif key == 16:
                time, _ = uvarint(data, begin, inner)
        times[size], values[size] = time, number[0]
        size += 1
    return size
