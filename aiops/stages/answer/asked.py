"""What a question was about, and what there is of it."""

from __future__ import annotations

from dataclasses import dataclass

from aiops.domain import Figure, Gap, Panel, Task
from aiops.stages.figures import Limit, Measured

MOST_SAID = 6  # figures in one line


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question was about, and what there is of it."""

    task: Task
    panel: Panel
    told: tuple[Measured, ...]
    limits: tuple[Limit, ...]
    gaps: tuple[Gap, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(one.figure for one in self.told)

    @property
    def known(self) -> tuple[Figure, ...]:
        return tuple(f for f in self.figures if f.samples)
