"""Units of this machine's systemd, through `systemctl`: no shell, no question, and looked at again afterwards."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from aiops.domain import Outcome, RunStatus, Usage
from aiops.errors import Refused

_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.(service|timer|socket)")
_GOOD = {
    "restart": ("active",),
    "start": ("active", "activating", "inactive"),
}  # a unit that runs once is inactive when it has


class Systemd:
    """`systemctl`: the program, None = not there. units: patterns of whole names that may be touched."""

    def __init__(self, systemctl: Path | None, units: tuple[str, ...]) -> None:
        self._systemctl, self._units = systemctl, units

    def check(self, unit: str) -> None:
        """Refused for a unit that may not be touched."""
        from aiops.schema import fill

        if not _UNIT.fullmatch(unit) or not any(fill.fits(pattern, unit) for pattern in self._units):
            raise Refused(f"{unit!r} is no unit that may be touched (rules/targets.yaml, units)")
        if self._systemctl is None:
            raise Refused("systemctl is not there")

    def rehearse(self, act: str, unit: str) -> Outcome:
        """What would be done, and the unit's state now."""
        self.check(unit)
        state = self._ask("is-active", unit, 10.0)
        return Outcome(RunStatus.OK, output=f"would {act} {unit}, which is {state or 'unknown'}")

    def run(self, act: str, unit: str, timeout: float) -> Outcome:
        """Does it, and looks whether the unit is then as it should be."""
        self.check(unit)
        began = time.monotonic()
        try:
            self._ask(act, unit, timeout, must=True)
        except subprocess.TimeoutExpired:
            return Outcome(RunStatus.UNKNOWN, why=f"systemctl took longer than {timeout:g} s; it may have been done")
        except subprocess.CalledProcessError as error:
            said = error.stdout.decode(errors="replace").strip()[-500:]
            return Outcome(RunStatus.FAILED, error.returncode, said, why=f"systemctl ended with {error.returncode}")
        state = self._ask("is-active", unit, 10.0)
        usage = Usage(wall_ms=(time.monotonic() - began) * 1e3)
        if state in _GOOD[act]:
            return Outcome(RunStatus.OK, 0, f"{unit} is {state}", usage)
        return Outcome(RunStatus.FAILED, 0, f"{unit} is {state}", usage, f"{unit} is {state} after it")

    def _ask(self, act: str, unit: str, timeout: float, *, must: bool = False) -> str:
        command = [str(self._systemctl), "--no-ask-password", "--quiet" if must else "--no-pager", act, "--", unit]
        done = subprocess.run(  # noqa: S603 - one fixed program, and a unit's name that was checked
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=must,
        )
        return done.stdout.decode(errors="replace").strip()
