"""Doing a repair: brakes, the act, its effect, and taking it back. Each state is written down before what it stands for begins.

Whoever runs one holds a lock that dies with the process; so what is found under way without its lock was cut off, becomes
`unknown`, and is never begun again. What executors do they do once for each key, and the key is the repair's own.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiops.domain import Actor, Calls, Command, Instant, Outcome, Repair, RepairPlan, RepairState, RunStatus
from aiops.errors import AiopsError, NotFound, Refused, UsageError
from aiops.flows.repair import book, brakes, checks, machine, plan
from aiops.flows.repair.brakes import Terms
from aiops.flows.repair.plan import Made
from aiops.ports import GraphStore, MetricsSource, Premises, RepairBook, Store
from aiops.redaction import redact

log = logging.getLogger(__name__)
LONGEST_WHY = 1000  # characters
S = RepairState
Step = Callable[[Repair], Repair]


@dataclass(frozen=True, slots=True)
class Hands:
    """Who does it, with what. made: the plan as it can be made by now, None = it can't. `cancelled`: this process ends."""

    store: Store
    metrics: MetricsSource
    graph: GraphStore
    premises: Premises
    terms: Terms
    actor: Actor
    made: Made | None
    cancelled: Callable[[], bool]

    def run(self, repair: Repair) -> Repair:
        """Raises Refused where it may not begin; the repair is then refused, or expired, for good, unless it was not approved."""
        with self._ours(repair):
            why, calls = self._outside(repair)
            repair = self.store.govern(lambda ledger: self._begin(ledger, repair.id, why, calls))
            if repair.state is not S.RUNNING:
                raise Refused(f"repair {repair.id} is {repair.state}: {repair.why}")
            with self._never_left(repair.id):
                outcome = self._do(repair, "act")
                repair = self._ended(repair.id, "end", outcome, machine.acted)
                if repair.state is S.VERIFYING:
                    return self._verified(repair)
                return self._taken_back(repair, outcome.why) if repair.state is S.FAILED else repair

    def undo(self, repair: Repair, why: str) -> Repair:
        """Because a person wants it."""
        with self._ours(repair):
            if self._digest() != repair.hash:
                raise Refused(f"runbook, script, targets or evidence of {repair.id} have changed: take it back by hand")
            if stopped := self.premises.stopped():
                raise Refused(f"repairs are stopped: {stopped}")
            return self._undone(repair.id, why)

    # ------------------------------------------------ the parts of it

    def _outside(self, repair: Repair) -> tuple[str, Calls]:
        try:
            why = brakes.outside(repair, self.terms, self.metrics, self.premises, self.store)
            return why, self.graph.calls() if repair.plan.most_percent else Calls.of(())
        except AiopsError as error:
            return f"it can't be told whether it may: {error}", Calls.of(())

    def _begin(self, ledger: RepairBook, repair_id: str, why: str, calls: Calls) -> Repair:
        before, now = known(ledger, repair_id), self.premises.now()
        stopped = self.premises.stopped()  # once more: what was asked outside may have taken its time
        why = why or (f"repairs are stopped: {stopped}" if stopped else "")
        why = why or brakes.inside(before, ledger, self.terms, calls, now)
        after = machine.begun(before, self._digest(), why, self.actor, now)
        action = {S.RUNNING: "start", S.EXPIRED: "expire"}.get(after.state, "refuse")
        return book.save(ledger, before, after, action, self.actor)

    def _verified(self, repair: Repair) -> Repair:
        why = self._unseen(repair.plan)
        if why is None:
            return self._lost(repair.id, "the service was stopped before its effect was seen")
        if why and self._may_undo(repair):
            return self._undone(repair.id, why)
        return self._moved(
            repair.id, "verify", lambda one: machine.seen(one, why, worked=not why, now=self.premises.now())
        )

    def _taken_back(self, repair: Repair, why: str) -> Repair:
        return self._undone(repair.id, why) if self._may_undo(repair) else repair

    def _undone(self, repair_id: str, why: str) -> Repair:
        repair = self._moved(repair_id, "undo", lambda one: machine.undoing(one, self.actor, why, self.premises.now()))
        with self._never_left(repair_id):
            return self._ended(repair_id, "undone", self._do(repair, "undo"), machine.undone)

    def _may_undo(self, repair: Repair) -> bool:
        return bool(repair.plan.undo) and not repair.undo_begun and not self.premises.stopped()

    def _do(self, repair: Repair, what: str) -> Outcome:
        """What came of its act, or of its undo. Whatever else went wrong meanwhile, nobody can tell how far it got."""
        assert self.made is not None  # what was begun is what was made, to the letter
        act, shop = self.made.undo if what == "undo" else self.made.act, self.made.workshop
        assert act is not None
        key, patience_s = f"repair/{repair.id}/{repair.hash}/{what}", repair.plan.limits.timeout_s
        try:
            if act.verb:
                return shop.executor.run(act, key, patience_s)
            command = Command(act.argv, files=act.files, limits=repair.plan.limits)
            if not act.verbs:
                return shop.sandbox.run(command, self._halt)
            with shop.executor.door(act.verbs, key) as door:
                return shop.sandbox.run(dataclasses.replace(command, door=door), self._halt)
        except UsageError as error:
            return Outcome(RunStatus.REFUSED, why=str(error))
        except Exception as error:  # a defect, too, must not leave it as if nothing had been done
            log.exception("repair %s", repair.id)
            return Outcome(RunStatus.UNKNOWN, why=f"{type(error).__name__}: {error}")

    def _digest(self) -> str:
        return plan.digest(self.made.plan) if self.made else ""

    def _halt(self) -> bool:
        return self.cancelled() or bool(self.premises.stopped())

    def _unseen(self, wanted: RepairPlan) -> str | None:
        """Why its effect was not seen in time, "" = it was: what the runbook wants, and the metric that alerted in its band.

        None = nobody may wait for it any longer."""
        end = time.monotonic() + wanted.effect.within_s
        pause = min(5.0, max(0.2, wanted.effect.within_s / 30))
        looked = [wanted.effect, *([wanted.alerted] if wanted.alerted else [])]
        while True:
            now = self.premises.now().at
            why = next((w for one in looked if (w := checks.failing(one, self.metrics, now, brakes.ASK_S))), "")
            left = end - time.monotonic()
            if not why or left <= 0:
                return f"not within {wanted.effect.within_s:g} s: {why}" if why else ""
            if self.cancelled():
                return None
            time.sleep(min(pause, left))

    # ------------------------------------------------ writing it down

    def _moved(self, repair_id: str, action: str, step: Step, output: str = "") -> Repair:
        def one(ledger: RepairBook) -> Repair:
            before = known(ledger, repair_id)
            return book.save(ledger, before, step(before), action, self.actor, output)

        return self.store.govern(one)

    def _ended(self, repair_id: str, action: str, outcome: Outcome, step: Callable[..., Repair]) -> Repair:
        text, now = book.kept(outcome), self.premises.now()
        told = dataclasses.replace(outcome, why=redact(outcome.why)[:LONGEST_WHY])
        return self._moved(repair_id, action, lambda one: step(one, told, book.digest_of(text), now), text)

    @contextmanager
    def _ours(self, repair: Repair) -> Iterator[None]:
        with self.premises.held(repair.id) as mine:
            if not mine:
                raise Refused(f"repair {repair.id} is being run by another process")
            yield

    @contextmanager
    def _never_left(self, repair_id: str) -> Iterator[None]:
        """Whatever ends this early leaves it `unknown`; where not even that can be written down, the next start does."""
        try:
            yield
        except BaseException as error:
            self._lost(repair_id, f"{type(error).__name__}: {error}")
            raise

    def _lost(self, repair_id: str, why: str) -> Repair:
        return self.store.govern(lambda ledger: lose(ledger, repair_id, why, self.actor, self.premises.now()))


def lose(ledger: RepairBook, repair_id: str, why: str, actor: Actor, now: Instant) -> Repair:
    """The repair, `unknown` from now on where it was under way."""
    before = known(ledger, repair_id)
    after = machine.lost(before, why, now)
    return after if after is before else book.save(ledger, before, after, "lose", actor)


def known(ledger: RepairBook, repair_id: str) -> Repair:
    """Raises NotFound."""
    found = ledger.get(repair_id)
    if found is None:
        raise NotFound(f"no repair {repair_id!r}; `aiops remediate list` lists them")
    return found
