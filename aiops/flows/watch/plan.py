"""What a watch is told to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiops.domain import NS, BoolArray, Labels
from aiops.errors import ConfigError
from aiops.kernels.digests import Digests
from aiops.schema import selector

EVERYTHING = '{__name__!=""}'


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in whole seconds. `remember` and `forecast` are plain selectors."""

    queries: tuple[str, ...] = (EVERYTHING,)
    step_s: int = 30
    pull: int = 1  # steps that one read brings
    remember: tuple[str, ...] = ()  # series of the engine's second tier
    forecast: tuple[str, ...] = ()  # series whose forecast is exposed
    catch_up_s: int = 3600  # how far back it reads at its start, or after a break
    overlap_s: int = 120  # how late a sample may come
    expire_s: int = 7200  # how long a series may be gone
    hold_s: int = 300  # how long an alert is exposed
    timeout_s: float = 30.0  # for one read
    series: int = 1_000_000  # of one selection
    limit: int = 10_000  # series whose scores are exposed whatever they are
    floor: float = 0.5  # score from which the others are
    many: int = 100  # values a label may have, whatever they look like
    buckets: int = 64  # what a compressed label is left with
    shard: tuple[int, int] = (
        1,
        1,
    )  # which of how many: by the digest of its key each series belongs to one of them, or
    shard_by: str = ""  # by the hash of this label's value, where it is told: then only those are read
    remembers: Callable[[Labels], bool] = field(init=False, repr=False, compare=False)
    foresees: Callable[[Labels], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "remembers", _chooser("watch.remember", self.remember))
        object.__setattr__(self, "foresees", _chooser("watch.forecast", self.forecast))
        if self.expire_s < self.catch_up_s:
            raise ConfigError(
                f"watch.expire_s: {self.expire_s} is below watch.catch_up_s ({self.catch_up_s}); "
                "a series would be forgotten in the time that is read at once"
            )
        number, shards = self.shard
        if not 1 <= number <= shards:
            raise ConfigError(f"watch.shard: {number}/{shards} is none of 1/{shards} to {shards}/{shards}")
        if self.shard_by and not selector.LABEL.fullmatch(self.shard_by):
            raise ConfigError(f"watch.shard_by: {self.shard_by!r} is no name of a label")
        if len(set(self.queries)) < len(self.queries):
            raise ConfigError("watch.select: the same selection stands there twice")

    @property
    def tolerance_ns(self) -> int:
        """How far after its slot a sample may lie: a quarter of the step."""
        return self.step_s * NS // 4

    @property
    def overlap_steps(self) -> int:
        return -(-self.overlap_s // self.step_s)

    @property
    def most_steps(self) -> int:
        """That one read may walk; no longer than a series may be gone, so that a read never spans a series' end."""
        return max(1, min(self.expire_s // self.step_s, 240))

    @property
    def name(self) -> str:
        """What its files begin with: a shard moves with them to another machine."""
        number, shards = self.shard
        return "watch" if shards == 1 else f"watch-{number}-of-{shards}"

    def mine(self, wanted: Digests) -> BoolArray:
        """Which series belong to this shard: the same for the same series everywhere."""
        number, shards = self.shard
        return np.asarray(wanted[:, 0] % np.uint64(shards) == np.uint64(number - 1))

    def has(self, value: str) -> bool:
        """Whether series with this value of `shard_by` belong to this shard ("": those without the label)."""
        number, shards = self.shard
        digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % shards == number - 1

    def identity(self) -> dict[str, Any]:
        """What a saved state belongs to."""
        told = {"queries": list(self.queries), "step_s": self.step_s, "remember": list(self.remember)}
        return told | {"shard": list(self.shard), "shard_by": self.shard_by}


def _chooser(setting: str, texts: tuple[str, ...]) -> Callable[[Labels], bool]:
    """Whether any of the selectors means a series. ConfigError for one that is none."""
    choosers = []
    for text in texts:
        matchers = selector.parse(text)
        if matchers is None:
            raise ConfigError(f'{setting}: {text!r} is no plain selector, as in name{{label="value"}}')
        try:
            choosers.append(selector.chooser(matchers))
        except ValueError as error:
            raise ConfigError(f"{setting}: {text!r}: {error}") from error
    return lambda labels: any(chosen(labels) for chosen in choosers)
