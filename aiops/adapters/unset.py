"""The metrics source where none is configured: what needs none (reports, replay, graph, audit) works, the rest says so."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from aiops.domain import Labels, Panel, Samples, Scope, Symptom, TimeRange
from aiops.errors import ConfigError


class UnsetMetrics:
    """Every question is a ConfigError that names the setting."""

    def read(self, scope: Scope, timeout: float) -> Panel:  # noqa: ARG002 - the port's signature
        _say()

    def samples(
        self,
        query: str,  # noqa: ARG002 - as above
        window: TimeRange,  # noqa: ARG002 - as above
        timeout: float,  # noqa: ARG002 - as above
        step: timedelta | None = None,  # noqa: ARG002 - as above
    ) -> Samples:
        _say()

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:  # noqa: ARG002 - as above
        _say()

    def label_values(self, label: str, query: str, window: TimeRange, timeout: float) -> tuple[str, ...]:  # noqa: ARG002 - as above
        _say()

    def window(self) -> TimeRange | None:
        _say()

    def symptom(self) -> Symptom:
        _say()

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - as above
        _say()


def _say() -> NoReturn:
    raise ConfigError("no metrics source: give --metrics prometheus+http://HOST:PORT or --case DIR (aiops config init)")
