"""Runs repairs in the background: what people start, what runs once it is approved, and what a death has cut off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from aiops.domain import Repair, RepairState
from aiops.errors import AiopsError, Overloaded, Refused
from aiops.flows.repair import BY_ITSELF, HOUSE, Repairs
from aiops.ops import Ops
from aiops.service.metrics import Labelled, Registry, gauge

log = logging.getLogger(__name__)

EVERY_S = 5.0
MOST = 4  # repairs that this process runs at once
STOP_S = 5.0  # what is under way gets at the end to be cut off in order


class Repairing:
    """`start` once, then `stop` once."""

    def __init__(self, ops: Ops, registry: Registry) -> None:
        self._ops, self._registry = ops, registry
        self._house = ops.by(HOUSE).repairs
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._running: dict[str, threading.Thread] = {}
        self._thread = threading.Thread(target=self._keep, name="repairs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Kills scripts, and no longer waits for effects; what does not end by then is `unknown` at the next start."""
        self._stopping.set()
        self._thread.join()
        for thread in list(self._running.values()):
            thread.join(STOP_S)

    def begin(self, repairs: Repairs, repair_id: str) -> Repair:
        """Starts to run what was approved, in the name of who asks. Raises NotFound; Refused where it isn't approved, Overloaded."""
        found = repairs.get(repair_id)
        if found.state is not RepairState.APPROVED:
            raise Refused(f"repair {repair_id} is {found.state}, not approved")
        self._spawn(repair_id, lambda: repairs.run(repair_id, self._stopping.is_set))
        return found

    def undo(self, repairs: Repairs, repair_id: str, why: str) -> Repair:
        """Starts to take it back, in the name of who asks. Raises NotFound, Overloaded; what it came to is told by the repair."""
        found = repairs.undoable(repair_id)
        self._spawn(repair_id, lambda: repairs.undo(repair_id, why, self._stopping.is_set))
        return found

    def figures(self) -> dict[Labelled, float]:
        """How many repairs are in each state, and whether all are stopped."""
        told = {gauge("aiops_repairs_stopped"): float(bool(self._house.stopped()))}
        counts = self._ops.store.repair_counts()
        return told | {gauge("aiops_repairs", state=state): float(count) for state, count in counts.items()}

    def _spawn(self, repair_id: str, work: Callable[[], Repair]) -> None:
        with self._lock:
            self._running = {name: one for name, one in self._running.items() if one.is_alive()}
            if self._stopping.is_set() or len(self._running) >= MOST:
                raise Overloaded(f"{len(self._running)} repairs are under way here, and {MOST} may be")
            if repair_id in self._running:
                raise Refused(f"repair {repair_id} is under way")
            thread = threading.Thread(target=self._do, args=(repair_id, work), name=f"repair-{repair_id}", daemon=True)
            self._running[repair_id] = thread
            thread.start()

    def _do(self, repair_id: str, work: Callable[[], Repair]) -> None:
        try:
            ended = work()
            self._registry.count("aiops_repairs_ended_total", state=ended.state)
            log.info("repair %s: %s %s", repair_id, ended.state, ended.why)
        except Refused as error:
            self._registry.count("aiops_repairs_ended_total", state=RepairState.REFUSED)
            log.warning("repair %s: %s", repair_id, error)
        except AiopsError as error:
            log.warning("repair %s has ended early: %s", repair_id, error)
        except Exception:  # one that breaks must not end the thread silently; it is unknown by then
            log.exception("repair %s", repair_id)

    def _keep(self) -> None:
        while True:
            try:
                for lost in self._house.recover():
                    self._registry.count("aiops_repairs_ended_total", state=lost.state)
                self._go_on()
            except AiopsError as error:
                log.warning("repairs can't be looked after: %s", error)
            if self._stopping.wait(EVERY_S):
                return

    def _go_on(self) -> None:
        """What needs nobody to begin it: all that the mode `auto` permits, and what the mode `approve` runs once approved."""
        mode = self._ops.governance.terms.mode
        if mode not in BY_ITSELF or self._house.stopped():
            return
        for one in self._house.list(state=RepairState.PLANNED) if mode == "auto" else ():
            if one.mode == "auto":
                self._try(one.id, self._house.permit)
        for one in self._house.list(state=RepairState.APPROVED):
            if one.mode in BY_ITSELF:
                self._try(one.id, lambda repair_id: self.begin(self._house, repair_id))

    def _try(self, repair_id: str, what: Callable[[str], Repair]) -> None:
        try:
            what(repair_id)
        except (Refused, Overloaded) as error:
            log.info("repair %s: %s", repair_id, error)
