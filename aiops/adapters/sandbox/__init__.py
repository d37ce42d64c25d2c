"""The sandbox that repairs run in: `bubblewrap` runs, `launch` shuts in, `cgroups` limit, `seccomp` filters, `watch` watches."""

from aiops.adapters.sandbox.bubblewrap import Bubblewrap

__all__ = ["Bubblewrap"]
