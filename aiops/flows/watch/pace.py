"""How often a selection is read: less often when reading it takes too long or the server asks for mercy, and back again.

A read brings all points of the steps since the last one, so that reading less often costs no point and changes no result, only the
delay; and what a read costs hardly grows with the steps in it, since a server finds, and sends, whole chunks. The series near
the threshold are meanwhile read at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST = 16  # times the usual interval
BUSY, EASY = 0.5, 0.2  # shares of the interval that a read may take, and below which it is easy
CALM = 3  # easy reads in a row until the interval is halved


@dataclass(slots=True)
class Pace:
    """The interval between two reads, as a multiple of the usual one, and why it is not 1."""

    stretch: int = 1
    reason: str = ""
    _easy: int = 0

    def served(self, seconds: float, interval_s: float) -> bool:
        """After a read that took `seconds`; `interval_s` is the present interval. True when the stretch changes."""
        if seconds > BUSY * interval_s:
            return self._stretched(f"a read took {seconds:.1f} s of {interval_s:g} s")
        self._easy = self._easy + 1 if seconds < EASY * interval_s else 0
        if self.stretch == 1 or self._easy < CALM:
            return False
        self._easy, self.stretch = 0, self.stretch // 2
        if self.stretch == 1:
            self.reason = ""
        return True

    def pushed_back(self, why: str) -> bool:
        """After a read that the server did not serve in time, or refused for its load."""
        return self._stretched(why)

    def _stretched(self, why: str) -> bool:
        self._easy, self.reason = 0, why
        if self.stretch >= MOST:
            return False
        self.stretch *= 2
        return True
