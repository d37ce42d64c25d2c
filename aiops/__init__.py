"""Root-cause analysis of incidents from metrics, logs, traces and topology, on your own machine.

with aiops.connect("prometheus+http://127.0.0.1:9090") as ops:
report = ops.diagnose(service="checkout")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiops.app import connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> Any:
    # `connect` pulls in numpy and the stores; `aiops --help` must not pay for it.
    if name == "connect":
        from aiops.app import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
