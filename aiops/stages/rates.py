"""Counters of a Panel as rates, for whoever reads metrics: what grows for ever says nothing by its level. Pure."""

from __future__ import annotations

from aiops.domain import Panel, series_key
from aiops.kernels.counters import is_counter, rate


def with_rates(panel: Panel) -> Panel:
    """Counters as per-second rates, renamed `rate(NAME)`, in the order of their new keys; everything else as it is."""
    names = panel.metrics
    rows = [i for i, name in enumerate(names) if is_counter(name, panel.values[i])]
    if not rows:
        return panel
    values, labels = panel.values.copy(), list(panel.labels)
    values[rows] = rate(panel.times, panel.values[rows])
    for i in rows:
        labels[i] = {**labels[i], "__name__": f"rate({names[i]})"}
    order = sorted(range(len(labels)), key=lambda i: series_key(labels[i]))
    return Panel(
        tuple(labels[i] for i in order),
        panel.times,
        values[order],
        tuple(panel.nodes[i] for i in order),
        panel.incident,
    )
