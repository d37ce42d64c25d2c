"""What the kernel tells of this process, under the names that every Prometheus client uses (proc(5))."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from aiops.service.metrics import Labelled, gauge

_SELF = Path("/proc/self")


def figures() -> dict[Labelled, float]:
    """Memory, descriptors, processor time and start; nothing where there is no /proc."""
    try:
        # The name in parentheses may hold blanks and parentheses itself.
        fields = (_SELF / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        opened = len(os.listdir(_SELF / "fd"))  # noqa: PTH208 - names alone, and the one of the listing itself
    except OSError:
        return {}
    ticks = os.sysconf("SC_CLK_TCK")
    user, system, started, pages = (int(fields[i]) for i in (11, 12, 19, 21))
    return {
        gauge("process_cpu_seconds_total"): (user + system) / ticks,
        gauge("process_start_time_seconds"): booted + started / ticks,
        gauge("process_resident_memory_bytes"): float(pages * os.sysconf("SC_PAGE_SIZE")),
        gauge("process_open_fds"): float(opened - 1),
        gauge("process_max_fds"): float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }
