"""What people and programs can do about repairs, each in the name of whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiops.domain import Actor, Approval, Experience, Repair, RepairState, Report, job_id
from aiops.errors import AiopsError, NotFound, Refused
from aiops.flows import turns
from aiops.flows.repair import book, machine, plan, run
from aiops.flows.repair.brakes import Terms
from aiops.flows.repair.plan import Made, Workshop
from aiops.flows.repair.run import Hands
from aiops.ports import GraphStore, MetricsSource, Premises, RepairBook, Store
from aiops.recording import unpack
from aiops.schema import wire

log = logging.getLogger(__name__)
OPEN = tuple(sorted(machine.OPEN))
CALLED_FOR = frozenset({RepairState.UNDONE, RepairState.ESCALATED, RepairState.FAILED, RepairState.UNKNOWN})
MOST = 1000  # repairs that are looked through


@dataclass(frozen=True, slots=True)
class Governance:
    """What the settings say of repairs. workshop: opens what they are made of and with, as it lies on the disk now."""

    workshop: Callable[[], Workshop]
    premises: Premises
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Repairs:
    """Bound to one actor. Whatever is refused is refused with Refused, and stands in the audit log as well.

    tell: calls a person, where a repair did not end well. A method that changes something is durable when it returns."""

    store: Store
    metrics: MetricsSource
    graph: GraphStore
    governance: Governance
    actor: Actor
    tell: Callable[[Repair], None]

    # ------------------------------------------------ looking

    def get(self, repair_id: str) -> Repair:
        """Raises NotFound."""
        found = self.store.repair(repair_id)
        if found is None:
            raise NotFound(f"no repair {repair_id!r}; `aiops remediate list` lists them")
        return machine.aged(found, self.governance.premises.now())

    def list(self, limit: int = 50, state: RepairState | None = None, report_id: str = "") -> tuple[Repair, ...]:
        """Newest first. What is too old to be approved or run is told as expired, whenever that is written down."""
        now = self.governance.premises.now()
        wide = MOST if state is RepairState.EXPIRED else limit
        states = () if state is None else {state, *OPEN} if state is RepairState.EXPIRED else {state}
        found = [machine.aged(one, now) for one in self.store.repairs(wide, states, report_id)]
        return tuple(one for one in found if state in (None, one.state))[:limit]

    def output(self, repair_id: str, step: int) -> str:
        """What the run printed that ended with that step, from 0. NotFound where nothing is kept, or it isn't what it was."""
        steps = self.get(repair_id).steps
        digest = steps[step].output if 0 <= step < len(steps) else ""
        text = self.store.repair_output(repair_id, digest) if digest else None
        if text is None or book.digest_of(text) != digest:
            raise NotFound(f"no output of step {step} of repair {repair_id} is kept as it was")
        return text

    def experience(self) -> tuple[Experience, ...]:
        """What repairs have taught."""
        return self.store.experience()

    def stopped(self) -> str:
        """Why no repair may act; "" where they may."""
        return self.governance.premises.stopped()

    # ------------------------------------------------ deciding

    def plan(self, report_id: str, runbook: str = "", parameters: Mapping[str, str] | None = None) -> Repair:
        """What a runbook, or the one that the report proposes, would do about its first cause. The same plan that is still open
        is joined. Raises NotFound, DataError, Refused."""
        with self._turn("plan", report_id) as notes:
            made = self._made(report_id, runbook, parameters or {})
            mode = plan.mode_of(made.mode, self.governance.terms.mode)
            if mode == "off":
                raise Refused("repairs are off (repairs.mode)")
            kept = self.store.govern(lambda ledger: self._planned(ledger, made, mode))
            notes.result = kept.id
        return self._told(kept)

    def propose(self, report: Report) -> Repair | None:
        """The plan that a diagnosis makes by itself, where its runbook's mode and the settings say so; None = none.

        A plan that can't be made costs the diagnosis nothing: the log says why."""
        proposed = report.remediation
        if proposed is None or plan.mode_of(proposed.mode, self.governance.terms.mode) not in plan.BY_ITSELF:
            return None
        try:
            return None if self.metrics.window() else self.plan(report.id)
        except AiopsError as error:
            log.warning("no repair is planned for report %s: %s", report.id, error)
            return None

    def approve(self, repair_id: str, digest: str = "", note: str = "") -> Repair:
        """One approval more, of the plan with this hash ("" = the one it has: what an id stands for never changes)."""
        now = self.governance.premises.now()

        def step(repair: Repair) -> Repair:
            given = Approval(self.actor, digest or repair.hash, now, note)
            return machine.approved(repair, given, self_approval=self.governance.terms.self_approval, now=now)

        return self._changed(repair_id, "approve", step, RepairState.PLANNED, RepairState.APPROVED)

    def reject(self, repair_id: str, why: str = "") -> Repair:
        """It is not to be run."""
        now = self.governance.premises.now()
        return self._changed(
            repair_id, "reject", lambda one: machine.rejected(one, self.actor, why, now), RepairState.REJECTED
        )

    def permit(self, repair_id: str) -> Repair:
        """Approved by nobody, where its mode is `auto`, and the settings still allow that."""
        now = self.governance.premises.now()
        if self.governance.terms.mode != "auto":
            raise Refused("repairs.mode is not auto")
        return self._changed(repair_id, "permit", lambda one: machine.permitted(one, now), RepairState.APPROVED)

    # ------------------------------------------------ acting

    def run(self, repair_id: str, cancelled: Callable[[], bool] = lambda: False) -> Repair:
        """Runs what was approved, once, looks for its effect, and takes it back where that is not seen. Takes as long as that.

        Refused where it may not begin; the answer says how it ended. `cancelled`: it is to end as soon as it can."""
        with self._turn("run", repair_id) as notes:
            asked = self.get(repair_id)
            repair = self._hands(asked, cancelled).run(asked)
            notes.result = str(repair.state)
        return self._told(repair)

    def undo(self, repair_id: str, why: str = "", cancelled: Callable[[], bool] = lambda: False) -> Repair:
        """Takes back what was run, once, as its plan says."""
        with self._turn("undo", repair_id) as notes:
            asked = self.get(repair_id)
            repair = self._hands(asked, cancelled).undo(asked, why)
            notes.result = str(repair.state)
        return self._told(repair, CALLED_FOR - {RepairState.UNDONE})  # which is what was wanted

    def undoable(self, repair_id: str) -> Repair:
        """The repair, where it can be taken back by its state. Raises NotFound, Refused."""
        found = self.get(repair_id)
        machine.undoing(found, self.actor, "", self.governance.premises.now())
        return found

    def stop(self, why: str) -> None:
        """No repair acts from now on, in any process here; a script that runs is killed. Until `resume`."""
        with self._turn("stop") as notes:
            notes.result = why
            self.governance.premises.stop(f"{why or 'no reason was given'} ({self.actor.name}, {self.actor.channel})")

    def resume(self) -> None:
        """Repairs may act again. NotFound where they were not stopped."""
        with self._turn("resume"):
            if not self.governance.premises.resume():
                raise NotFound("repairs are not stopped")

    def recover(self) -> tuple[Repair, ...]:
        """Repairs whose process has died are `unknown` from now on, and are never run again; which ones. Somebody is told.

        What is too old to be approved or run is expired from now on."""
        now = self.governance.premises.now()
        for repair in self.store.repairs(MOST, (RepairState.PLANNED, RepairState.APPROVED)):
            if machine.aged(repair, now) is not repair:
                self._expired(repair.id)
        found = self.store.repairs(MOST, tuple(machine.UNDER_WAY))
        lost = tuple(one for repair in found if (one := self._lost(repair)))
        if lost:
            self._sweep()
        return tuple(self._told(one) for one in lost)

    def forget(self, runbook: str = "") -> int:
        """Forgets what repairs by a runbook have taught, "" = by all; about how many kinds of fault that was."""

        def one(ledger: RepairBook) -> int:
            count = ledger.forget(runbook)
            told = {"action": "forget", "runbook": runbook or "all", "kinds": count}
            ledger.audit(told | {"actor": self.actor.name, "channel": self.actor.channel})
            return count

        return self.store.govern(one)

    # ------------------------------------------------ how

    def _made(self, report_id: str, runbook: str, given: Mapping[str, str]) -> Made:
        found = self.store.report(report_id)
        if found is None:
            raise NotFound(f"no report {report_id!r}; `aiops reports` lists them")
        recorded = self.store.recording(report_id)
        report = wire.decode(found, Report)
        seen = unpack(recorded, report_id) if recorded else None
        return plan.make(report, seen, self.governance.workshop(), runbook, given)

    def _planned(self, ledger: RepairBook, made: Made, mode: str) -> Repair:
        digest, now = plan.digest(made.plan), self.governance.premises.now()
        alike = ledger.alike(digest)
        joined = next((one for one in alike if machine.aged(one, now).state in machine.OPEN), None)
        if joined:
            return joined
        repair_id = job_id(f"{digest}\n{len(alike)}")
        new = machine.planned(repair_id, made.plan, digest, mode, self.actor, now)
        return book.save(ledger, None, new, "plan", self.actor)

    def _changed(self, repair_id: str, action: str, step: Callable[[Repair], Repair], *wanted: RepairState) -> Repair:
        """What `step` makes of it, kept; Refused where that is not `wanted`, which is kept as well."""

        def one(ledger: RepairBook) -> Repair:
            before = run.known(ledger, repair_id)
            after = step(before)
            return book.save(ledger, before, after, action if after.state in wanted else "expire", self.actor)

        with self._turn(action, repair_id) as notes:
            repair = self.store.govern(one)
            notes.result = str(repair.state)
            if repair.state not in wanted:
                raise Refused(f"repair {repair.id} is {repair.state}: {repair.why}")
        return self._told(repair)

    def _hands(self, repair: Repair, cancelled: Callable[[], bool]) -> Hands:
        """With what lies on the disk now, whatever plan can be made of that."""
        asked, of = repair.plan, self.governance
        made: Made | None = None
        try:
            made = self._made(asked.report_id, asked.runbook, asked.parameters)
        except (AiopsError, wire.Invalid) as error:
            log.warning("the plan of repair %s can't be made any more: %s", repair.id, error)
        return Hands(self.store, self.metrics, self.graph, of.premises, of.terms, self.actor, made, cancelled)

    def _expired(self, repair_id: str) -> None:
        now = self.governance.premises.now()

        def one(ledger: RepairBook) -> None:
            before = run.known(ledger, repair_id)
            after = machine.aged(before, now)
            if after is not before:
                book.save(ledger, before, after, "expire", self.actor)

        self.store.govern(one)

    def _told(self, repair: Repair, called_for: frozenset[RepairState] = CALLED_FOR) -> Repair:
        """What its episode's chat threads show is told anew; somebody is called where it began and did not help."""
        episode = self.store.episodes([repair.plan.report_id]).get(repair.plan.report_id)
        if episode:
            self.store.stir(episode.id, datetime.now(UTC))
        if repair.state in called_for:
            self.tell(repair)
        return repair

    def _sweep(self) -> None:
        try:
            self.governance.workshop().sandbox.sweep()
        except AiopsError as error:
            log.warning("what killed runs have left can't be removed: %s", error)

    def _lost(self, repair: Repair) -> Repair | None:
        premises = self.governance.premises
        with premises.held(repair.id) as mine:
            if not mine:
                return None
            why = "the process that ran it died; nobody saw how far it got"
            after = self.store.govern(lambda ledger: run.lose(ledger, repair.id, why, self.actor, premises.now()))
            return after if after.state is RepairState.UNKNOWN else None

    @contextmanager
    def _turn(self, action: str, repair_id: str = "") -> Iterator[turns.Notes]:
        with turns.turn(self.store, self.actor, f"remediate {action}", text=repair_id) as notes:
            yield notes
