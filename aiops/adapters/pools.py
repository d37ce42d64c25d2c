"""Pools of processes for bulk work: this process alone, or a Dask cluster (the extra `dask`), here or elsewhere.

Features of many series are extracted by tsfresh, spread by tsfresh's own distributor for a cluster.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from aiops.domain import FloatArray
from aiops.errors import ConfigError, SourceError

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 4  # calls a worker has waiting, so that a long list neither fills the scheduler nor lets anybody idle


class Here:
    """No pool: one call after the other in this process."""

    def map(self, call: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Answers in the order of the items."""
        return map(call, items)

    def features(self, series: Sequence[FloatArray], asked: Mapping[str, Any]) -> tuple[tuple[str, ...], FloatArray]:
        """(names, (S, F)) by tsfresh's names."""
        return _extracted(series, asked, None)

    def close(self) -> None:
        """Nothing to close."""


class DaskPool:
    """A Dask cluster: `workers` processes of this machine, or the scheduler at `address` (tcp://HOST:8786), whose workers have
    aiops installed in the same version and see the same files. Raises SourceError when it can't be reached."""

    def __init__(self, address: str = "", workers: int = 0, timeout: float = 30.0) -> None:
        import distributed

        dask: Any = distributed  # half of it has types
        self._whom = address or f"{workers} processes"
        self._cluster: Any = None
        if not address:
            self._cluster = dask.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=40,
                host="127.0.0.1",
            )
        try:
            self._client: Any = dask.Client(address or self._cluster, timeout=timeout)
            self._client.wait_for_workers(1, timeout=timeout)
        except (OSError, TimeoutError) as error:
            self.close()
            raise SourceError("a Dask cluster", self._whom, str(error) or "no worker came in time") from error

    def map(self, call: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Answers in the order of the items. What a call raises is raised; SourceError when the cluster is lost."""
        from distributed import CancelledError, KilledWorker

        waiting: list[Any] = []
        most = AHEAD * max(len(self._client.scheduler_info()["workers"]), 1)
        try:
            for item in items:
                waiting.append(self._client.submit(call, item, pure=False))
                if len(waiting) >= most:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except (CancelledError, KilledWorker, OSError) as error:
            raise SourceError("a Dask cluster", self._whom, str(error)) from error

    def features(self, series: Sequence[FloatArray], asked: Mapping[str, Any]) -> tuple[tuple[str, ...], FloatArray]:
        """(names, (S, F)) by tsfresh's names, a row for each series."""
        from tsfresh.utilities.distribution import ClusterDaskDistributor

        return _extracted(series, asked, ClusterDaskDistributor(self._client.scheduler.address))

    def close(self) -> None:
        """Ends processes of this machine; a cluster elsewhere goes on. Twice does no harm."""
        if client := getattr(self, "_client", None):
            client.close()
        if self._cluster is not None:
            self._cluster.close()


def _extracted(series: Sequence[FloatArray], asked: Mapping[str, Any], by: Any) -> tuple[tuple[str, ...], FloatArray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tsfresh warns of its own dependencies when imported, and of short series
        try:
            import pandas as pd
            from tsfresh import extract_features
        except ImportError as error:
            raise ConfigError(
                "features need the extra 'forecast': pip install '.[forecast]' in the checkout"
            ) from error
        lengths = [len(values) for values in series]
        long = pd.DataFrame({"id": np.repeat(np.arange(len(series)), lengths), "value": np.concatenate(series)})
        told = extract_features(
            long, column_id="id", default_fc_parameters=dict(asked), disable_progressbar=True, n_jobs=0, distributor=by
        ).sort_index()
    return tuple(name.removeprefix("value__") for name in told.columns), told.to_numpy(np.float64)
