"""Under which labels a series is exposed, and which label values are too many to be.

A label that tells nearly every series apart (a request id, a pod's hash, a path with numbers in it) makes a new exposed series of
each of its values, for ever. Which labels are such is read off their values, not off their names:

- they are many (`MANY`), and either
- they keep coming: within a day as many new ones as there were (`GROWTH`), or
- they identify: each belongs to fewer than `SHARED` series of one metric, and they look like chance. That is, by the entropy of the
  character at each place there is room for 2^`RANDOM` times as many values as there are, unlike in numbered names, and most
  values mix letters and digits within a word, or hold a number of six digits, unlike names that people give.

Such a label's values are hashed into buckets (`#17`), always the same for the same value. Once compressed, a label stays so, so
that what is exposed under it has no second name. Distinct values are counted by the k smallest hashes (Bar-Yossef et al., RANDOM
2002), which do not depend on the order in which values come. The metric's own name is never compressed.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiops.domain import Labels
from aiops.schema.exposition import escape

MANY = 100
TOO_MANY = 10_000  # whatever they look like
GROWTH, SHARED, RANDOM = 2.0, 2.0, 16.0
DAY_S = 86_400
K = 1024  # hashes kept: distinct values are counted to 3 %
_SHOWN = 256  # texts looked at
_RECENT = 10_000
_SPACE = float(1 << 64)
_MIXED = re.compile(r"\d{6}|(?:[a-zA-Z]+\d+){2}|(?:\d+[a-zA-Z]+){2}")
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_]")

# What this program adds, or what would mean something else beside it.
_TAKEN = {"metric": "source_metric", "quantile": "source_quantile"}


class Sketch:
    """How many distinct values came, and a sample of them that depends on nothing but the values."""

    __slots__ = ("_heap", "texts")

    def __init__(self) -> None:
        self._heap: list[int] = []  # negated: the largest of the K smallest is first
        self.texts: dict[int, str] = {}

    def add(self, text: str) -> None:
        code = _hash(text)
        if code in self.texts:
            return
        if len(self._heap) == K:
            if code >= -self._heap[0]:
                return
            del self.texts[-heapq.heappushpop(self._heap, -code)]
        else:
            heapq.heappush(self._heap, -code)
        self.texts[code] = text

    @property
    def count(self) -> float:
        return float(len(self._heap)) if len(self._heap) < K else (K - 1) * _SPACE / (-self._heap[0] + 1)

    def sample(self) -> list[str]:
        return [self.texts[code] for code in heapq.nsmallest(_SHOWN, self.texts)]

    def kept(self) -> dict[str, str]:
        return {str(code): text for code, text in sorted(self.texts.items())}

    @staticmethod
    def of(kept: Mapping[str, str]) -> Sketch:
        sketch = Sketch()
        sketch.texts = {int(code): text for code, text in kept.items()}
        sketch._heap = [-code for code in sketch.texts]
        heapq.heapify(sketch._heap)
        return sketch


class Label:
    """What is known of one label."""

    __slots__ = ("_recent", "before", "compressed", "day", "pairs", "series", "values")

    def __init__(self) -> None:
        self.series = 0  # that ever had it
        self.values, self.pairs = Sketch(), Sketch()  # its values, and each with the metric it stood at
        self.day, self.before = 0, 0.0  # the day, and how many values there were when it began
        self.compressed = ""  # why, or "" while it is not
        self._recent: set[tuple[str, str]] = set()  # counted already: most labels have few values

    def add(self, metric: str, value: str) -> None:
        """Counts a series at which the label stands."""
        self.series += 1
        if (metric, value) not in self._recent:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent.add((metric, value))
            self.values.add(value)
            self.pairs.add(f"{metric}\0{value}")

    @property
    def growth(self) -> float:
        return self.values.count / self.before if self.before else 1.0

    @property
    def shared(self) -> float:
        return self.series / max(self.pairs.count, 1.0)

    @property
    def spare_bits(self) -> float:
        """log2 of how many times as many values the places of its values have room for."""
        return room_bits(self.values.sample()) - math.log2(max(self.values.count, 1.0))

    @property
    def mixed(self) -> float:
        """Share of values that no person would give as a name."""
        sample = self.values.sample()
        return sum(_MIXED.search(value) is not None for value in sample) / max(len(sample), 1)

    def judge(self, day: int, many: float) -> bool:
        """Whether it is compressed from now on."""
        count = self.values.count
        if day != self.day:
            self.day, self.before = day, 0.0 if not self.day else count
        if self.compressed or count < many:
            return False
        if count >= TOO_MANY:
            self.compressed = f"{count:.0f} values"
        elif self.before >= 1 and self.growth >= GROWTH:
            self.compressed = f"{count:.0f} values, {self.growth:.1f} times as many as when the day began"
        elif self.shared < SHARED and self.mixed > 0.5 and self.spare_bits >= RANDOM:
            self.compressed = f"{count:.0f} values, {self.shared:.1f} series each, {self.spare_bits:.0f} bits of chance"
        return bool(self.compressed)


class Names:
    """Names series for exposition. `many`: values that a label may have; `buckets`: what a compressed one is left with."""

    def __init__(self, many: int = MANY, buckets: int = 64) -> None:
        self._many, self._buckets = many, buckets
        self.labels: dict[str, Label] = {}
        self.version = 0  # moves when names change
        self._learnt = False

    def learn(self, labels: Labels) -> None:
        """Takes note of a series that is new."""
        self._learnt = True
        metric = labels.get("__name__", "")
        for name, value in labels.items():
            if name == "__name__":
                continue
            known = self.labels.get(name)
            if known is None:
                known = self.labels[name] = Label()
            known.add(metric, value)

    def judge(self, now_s: int) -> None:
        """Looks at all labels again, where new series came; another compressed one is another version of the names."""
        if self._learnt:
            self._learnt = False
            changed = [label.judge(now_s // DAY_S + 1, self._many) for label in self.labels.values()]
            self.version += any(changed)

    @property
    def compressed(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, label in self.labels.items() if label.compressed))

    def text(self, labels: Labels, otherwise: str = "") -> str:
        """`metric="...",a="b"`: the labels as they are exposed, sorted. `otherwise` names a series without a metric's name."""
        told = {"metric": labels.get("__name__", "") or otherwise}
        for name, value in sorted(labels.items()):
            if name != "__name__" and value:
                shown = _NOT_NAME.sub("_", _TAKEN.get(name, name))
                shown = f"_{shown}" if shown[0].isdigit() else shown
                while shown in told:
                    shown = f"source_{shown}"
                known = self.labels.get(name)
                told[shown] = self.bucket(value) if known is not None and known.compressed else value
        return ",".join(f'{name}="{escape(value)}"' for name, value in sorted(told.items()))

    def bucket(self, value: str) -> str:
        return f"#{_hash(value) % self._buckets}"

    def report(self) -> list[dict[str, Any]]:
        """What is known of each label, those with the most values first."""
        rows = [
            {
                "label": name,
                "values": round(label.values.count),
                "series": label.series,
                "series_per_value": round(label.shared, 2),
                "growth": round(label.growth, 2),
                "chance_bits": round(label.spare_bits, 1),
                "buckets": self._buckets if label.compressed else None,
                "why": label.compressed or None,
            }
            for name, label in self.labels.items()
        ]
        return sorted(rows, key=lambda row: (-int(row["values"] or 0), str(row["label"])))

    def kept(self) -> dict[str, Any]:
        return {
            name: {
                "series": label.series,
                "values": label.values.kept(),
                "pairs": label.pairs.kept(),
                "day": label.day,
                "before": label.before,
                "compressed": label.compressed,
            }
            for name, label in sorted(self.labels.items())
        }

    def take(self, kept: Mapping[str, Mapping[str, Any]]) -> None:
        for name, told in kept.items():
            label = self.labels[name] = Label()
            label.series, label.day, label.before = told["series"], told["day"], told["before"]
            label.values, label.pairs = Sketch.of(told["values"]), Sketch.of(told["pairs"])
            label.compressed = told["compressed"]
        self.version += 1


def room_bits(values: list[str]) -> float:
    """Entropy of the character at each place, in bits, summed over the places; a value that has ended counts as a character."""
    if not values:
        return 0.0
    total, size = 0.0, len(values)
    for place in range(max(map(len, values))):
        counts = Counter(value[place : place + 1] for value in values)
        total -= sum(n / size * math.log2(n / size) for n in counts.values())
    return total


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
