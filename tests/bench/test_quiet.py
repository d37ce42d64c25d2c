"""Windows without a fault: real rows, none in both window and past, the same every time."""

from __future__ import annotations

import numpy as np
from incidents.test_golden import case
from stages import system

from aiops.bench.quiet import Window, windows
from aiops.bench.rca import run_fault_free
from aiops.domain import NS, Intent, Recording, Task, from_ns, to_ns

EARLIER = 20 * system.STEP  # before the symptom, a fault of long ago


def recording() -> Recording:
    """Every sample of every series is its own number, so that its place is known."""
    values = {key: np.arange(len(v)) + 1000.0 * k for k, (key, v) in enumerate(sorted(system.quiet().items()))}
    return Recording("x", Task("t_01", Intent.DIAGNOSE), system.scope(), system.observe(values))


def made() -> list[Window]:
    return list(windows("a name", {"earlier_faults_in_baseline": [(to_ns(system.AT) - EARLIER) // NS]}, recording()))


def test_windows_hold_rows_of_the_baseline_and_no_row_is_on_both_sides() -> None:
    found = made()
    assert {w.kind for w in found} == {"between", "bootstrap"}, "sixty samples are too few to cut windows of seven out"
    lasts = system.STEP * sum(at >= to_ns(system.AT) - 2 * system.STEP for at in system.times())
    spoiled = {
        row
        for row, at in enumerate(system.times())
        if -system.STEP <= at - (to_ns(system.AT) - EARLIER) <= lasts or at >= to_ns(system.AT) - 2 * system.STEP
    }
    for window in (w for w in found if w.kind == "bootstrap"):
        panel = window.observation.panel
        rows = panel.values[0].astype(int)
        now, past = set(rows[panel.incident].tolist()), set(rows[~panel.incident].tolist())
        assert not now & past
        assert not (now | past) & spoiled
        assert (np.diff(panel.times) == system.STEP).all()
        assert from_ns(int(panel.times[panel.incident][2])) == window.scope.at, (
            "the symptom comes two samples late, as recorded"
        )


def test_a_window_between_faults_follows_its_own_past_without_a_break() -> None:
    found = [w for w in made() if w.kind == "between"]
    assert found
    for window in found:
        panel = window.observation.panel
        rows = panel.values[0].astype(int)
        assert rows.tolist() == list(range(len(rows))), "all that was recorded before, the earlier fault with it"
        assert 3 <= int(panel.incident.sum()) <= 7


def test_the_same_name_gives_the_same_windows_and_another_name_others() -> None:
    one, two = made(), made()
    assert [w.observation.panel.values.tolist() for w in one] == [w.observation.panel.values.tolist() for w in two]
    other = windows("another", {}, recording())
    assert next(other).observation.panel.values.tolist() != one[0].observation.panel.values.tolist()


def test_a_recorded_baseline_stays_mostly_without_a_cause() -> None:
    table, code = run_fault_free(case("petshop"))
    assert code == 0
    shares = [float(line.split()[3]) for line in table.splitlines()[1:]]
    assert len(shares) == 2
    assert min(shares) >= 0.9
