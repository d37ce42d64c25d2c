"""The labels of a series as bytes: its identity, written once and decoded only when somebody looks.

The form is that of a `TimeSeries` in Prometheus' remote protocols (prompb/types.proto): for each label, by name, a field 1 that
holds the name as field 1 and the value as field 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from aiops.domain import Labels
from aiops.errors import DataError
from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes
from aiops.kernels.wire.protobuf import field, next_field


def encode(labels: Mapping[str, str]) -> bytes:
    """The key of a series. Raises UnicodeEncodeError for what is no text."""
    parts = []
    for text in sorted(labels.items()):
        name, value = text[0].encode(), text[1].encode()
        if (size := len(name) + len(value) + 4) < 128:
            parts.append(b"\n%c\n%c%b\x12%c%b" % (size, len(name), name, len(value), value))  # what follows, at a tenth
        else:
            parts.append(field(1, field(1, name) + field(2, value)))
    return b"".join(parts)


def decode(key: bytes) -> dict[str, str]:
    """What `encode` wrote, or a server; what is no UTF-8 becomes U+FFFD. DataError where the form is another."""
    labels, at = {}, 0
    try:
        while at < len(key):
            at, last = _payload(key, at, 10)
            name = value = ""
            while at < last:
                number = key[at]
                at, end = _payload(key, at, 18 if number == 18 else 10)
                text = key[at:end].decode("utf-8", "replace")
                name, value = (name, text) if number == 18 else (text, value)
                at = end
            labels[name] = value
    except IndexError as error:
        raise DataError("labels of a series: they end too early") from error
    return labels


def _payload(key: bytes, at: int, tag: int) -> tuple[int, int]:
    """First and last byte of what the field at `at` holds. IndexError where it is cut, DataError where it has another tag."""
    if key[at] != tag:
        raise DataError("labels of a series: they have an unknown field")
    size = shift = 0
    while True:
        at += 1
        size |= (key[at] & 127) << shift
        shift += 7
        if key[at] < 128:
            break
    if at + size >= len(key):
        raise IndexError
    return at + 1, at + 1 + size


@njit(cache=True)
def sound(data: Bytes, at: int, last: int) -> bool:
    """Whether a label, without its tag and length, is one that `decode` takes."""
    while at < last:
        key, _, at = next_field(data, at, last)
        if at < 0 or key not in (10, 18):
            return False
    return True


class Decoded(Sequence[Labels]):
    """Labels by their keys, each decoded when it is looked at: a hundred thousand series cost nothing but their bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, place: int) -> Labels: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Labels]: ...
    def __getitem__(self, place: int | slice) -> Labels | Sequence[Labels]:
        return Decoded(self._keys[place]) if isinstance(place, slice) else decode(self._keys[place])
