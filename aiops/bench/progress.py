"""A bar on standard error where a person looks at it."""

from __future__ import annotations

import sys


def progress(done: int, total: int, width: int = 30) -> None:
    """Redraw the bar; a finished one ends its line. Silent where standard error is no terminal."""
    if not sys.stderr.isatty() or total == 0:
        return
    filled = width * done // total
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (width - filled)}] {done}/{total}{chr(10) if done == total else ''}")
    sys.stderr.flush()
