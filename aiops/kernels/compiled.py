"""`njit`: a function that numba compiles, or takes from its cache, when it is first called.

numba and what its first kernel needs take 0.6 s of processor time to load. A server answers before that, and a command that calls
no kernel does without.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# numba's modules import each other: of two threads that both are the first, one could see half of a module.
_loading = threading.RLock()


class Kernel(Generic[P, R]):
    """Called as its function is. Numba takes it for the compiled function (its `_numba_type_`), so kernels call each other."""

    def __init__(self, function: Callable[P, R], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function, self._options = function, options
        self._dispatcher: Any = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        found: R = (self._dispatcher or self._loaded())(*args, **kwargs)
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dispatcher or self._loaded(), name)

    def _loaded(self) -> Any:
        with _loading:
            if self._dispatcher is None:
                import numba

                self._dispatcher = numba.njit(**self._options)(self._function)
        return self._dispatcher


def njit(**options: Any) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """As `numba.njit`, whose options these are."""
    return lambda function: Kernel(function, options)


def load() -> None:
    """Loads what the first kernel would load, for who has time for it before."""
    _nothing()


@njit(cache=True)
def _nothing() -> None:
    return
