"""Answers of the query API: the frame by msgspec, the samples by a kernel, and no object for any of them.

{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"__name__":"up"},"values":[[1700000000.123,"1"],...],"histograms":[...]},...]}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from aiops.domain import FloatArray, IntArray, series_key
from aiops.errors import DataError
from aiops.kernels.wire import Bytes, labels, matrix
from aiops.kernels.wire.series import FARTHEST_MS
from aiops.telemetry import cached

KEYS = 1 << 20  # that are remembered


@dataclass(frozen=True, slots=True)
class Matrix:
    """Parts behind one another: part k belongs to the series `keys[k]` and has `sizes[k]` samples, at `times` in ms.

    histograms: (part, the JSON of its samples) where native histograms came."""

    keys: list[bytes]
    sizes: IntArray
    times: IntArray
    values: FloatArray
    histograms: tuple[tuple[int, msgspec.Raw], ...] = ()


class Keys:
    """The key of each series by its labels as JSON: who asks again and again gets the same labels in the same bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._missed = 0

    def of_all(self, series: Sequence[_Series]) -> list[bytes]:
        """The key of each. Raises msgspec.ValidationError for what are no labels."""
        before = self._missed
        keys = [self.of(one.metric) for one in series]
        missed = self._missed - before
        cached("series labels", len(keys) - missed, missed)
        return keys

    def of(self, metric: msgspec.Raw) -> bytes:
        """Raises msgspec.ValidationError for what are no labels."""
        told = bytes(metric)
        key = self._known.get(told)
        if key is None:
            self._missed += 1
            if len(self._known) >= KEYS:
                self._known.clear()
            key = self._known[told] = labels.encode(msgspec.json.decode(metric, type=dict[str, str]))
        return key


class _Series(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw(b"[]")
    histograms: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct, rename={"result_type": "resultType"}):
    result_type: str
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Data
    status: str
    warnings: list[str] = []


class _OtherData(msgspec.Struct, rename={"result_type": "resultType"}):
    result_type: str = ""


class _Other(msgspec.Struct):
    status: str
    data: _OtherData | None = None
    error: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)


def read(body: Bytes, known: Keys) -> tuple[Matrix, list[str]]:
    """(the matrix, what the server warns of). DataError for whatever else the answer is, and for what is no number in it."""
    try:
        answer = _ANSWER.decode(body.data)
        if answer.status != "success" or answer.data.result_type != "matrix":
            raise _no_matrix(body)
        keys = known.of_all(answer.data.result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_matrix(body) from error
    found = answer.data.result
    if len(set(keys)) < len(keys):
        ((twice, _),) = Counter(keys).most_common(1)
        raise DataError(f"series {series_key(labels.decode(twice))} twice")
    sizes, times, values = matrix.scan([memoryview(one.values) for one in found])
    if (sizes < 0).any():
        sizes, times, values = _completed(found, keys, sizes, times, values)
    histograms = tuple((k, one.histograms) for k, one in enumerate(found) if len(one.histograms))
    return Matrix(keys, sizes, times, values, histograms), answer.warnings


def joined(parts: Sequence[Matrix]) -> Matrix:
    """The parts of all, behind one another, without their histograms."""
    keys = [key for part in parts for key in part.keys]
    sizes = np.concatenate([np.empty(0, np.int64), *(part.sizes for part in parts)])
    return Matrix(keys, sizes, *_joined([(part.times, part.values) for part in parts])[1:])


def counts_and_sums(found: Matrix) -> Matrix:
    """The native histograms as two series each, named as a classic histogram's."""
    keys, parts = [], []
    for k, told in found.histograms:
        own = labels.decode(found.keys[k])
        try:
            samples = msgspec.json.decode(told, type=list[tuple[float, _Histogram]])
        except msgspec.DecodeError as error:
            raise DataError(f"native histogram {series_key(own)}: {error}") from error
        for suffix in ("count", "sum"):
            keys.append(labels.encode(own | {"__name__": f"{own.get('__name__', '')}_{suffix}"}))
            parts.append(_part(keys[-1], [(at, getattr(one, suffix)) for at, one in samples]))
    return Matrix(keys, *_joined(parts))


class _Histogram(msgspec.Struct, gc=False):
    count: str
    sum: str


def _no_matrix(body: Bytes) -> DataError:
    head = " ".join(body[:200].tobytes().decode("utf-8", "replace").split())
    try:
        told = msgspec.json.decode(body.data, type=_Other)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return DataError(f"{error}: {head}")
    kind = told.data.result_type if told.data else "no data"
    why = f" ({told.error})" if told.error else ""
    return DataError(f"status {told.status!r}{why}, {kind} where a matrix should be: {head}")


def _completed(
    found: Sequence[_Series], keys: Sequence[bytes], sizes: IntArray, times: IntArray, values: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """With the samples of the series that the kernel has left to us."""
    parts, at = [], 0
    for one, key, size in zip(found, keys, sizes.tolist(), strict=True):
        if size < 0:
            try:
                parts.append(_part(key, msgspec.json.decode(one.values, type=list[tuple[float, str]])))
            except msgspec.DecodeError as error:
                raise DataError(f"series {series_key(labels.decode(key))}: {error}") from error
        else:
            parts.append((times[at : at + size], values[at : at + size]))
            at += size
    return _joined(parts)


def _part(key: bytes, samples: Sequence[tuple[float, str]]) -> tuple[IntArray, FloatArray]:
    try:
        times = [round(at * 1000) for at, _ in samples if abs(at) * 1000 < FARTHEST_MS]
        values = [float(value) for _, value in samples]
    except ValueError as error:
        raise DataError(f"series {series_key(labels.decode(key))}: {error}") from error
    if len(times) < len(values):
        raise DataError(f"series {series_key(labels.decode(key))}: a sample at no time that there is")
    return np.array(times, np.int64), np.array(values, np.float64)


def _joined(parts: Sequence[tuple[IntArray, FloatArray]]) -> tuple[IntArray, IntArray, FloatArray]:
    sizes = np.array([len(times) for times, _ in parts], np.int64)
    times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in parts)])
    return sizes, times, np.concatenate([np.empty(0), *(values for _, values in parts)])
