"""What a bench of speed measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: the median of the rounds, with the least and the most."""

    name: str
    value: float
    least: float
    most: float
    unit: str
    reference: float | None = None  # the reference's median, same unit
    reference_name: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.reference if self.reference else None
