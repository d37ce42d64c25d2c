"""Diagnoses of episodes: when each begins, at most so many a minute, and none twice.

A job is put in the queue before the store learns that it has begun: after a crash between the two the job is found by its id,
which follows from the episode's, and is not put again.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from aiops.domain import Alert, Episode, Inputs, Intent, Job, JobState, Mode, Task
from aiops.errors import NotFound, UsageError
from aiops.flows import work
from aiops.flows.fold import Policy, symptom
from aiops.flows.mute import Muting, why
from aiops.ports import JobQueue, Ledger, Store

MINUTE = timedelta(minutes=1)
LOOKED_AT = 1000  # that the rate holds up, at most


def begin_due(policy: Policy, store: Store, queue: JobQueue, now: datetime) -> tuple[Job, ...]:
    """Puts into the queue what is due and may begin. Raises StoreError and Overloaded; what had begun by then has begun."""
    room = max(policy.terms.per_minute - store.begun(now - MINUTE), 0)
    due = store.due(now, room + LOOKED_AT)
    _cap(policy, [episode.id for episode in due[room:]])
    quiet = policy.quiet()

    def one(ledger: Ledger, episode_id: str) -> Job | None:
        episode = ledger.episodes([episode_id])[episode_id]
        if episode.due is None or episode.due > now or episode.mode is not Mode.AUTO:
            return None  # it has begun, or gone into another, since it was looked up
        alerts = ledger.alerts(episode.id)
        if reason := _all_quiet(alerts, quiet):
            policy.count("muted", 1)
            ledger.save([dataclasses.replace(episode, mode=Mode.MUTED, why=reason, due=None)])
            return None
        return _begun(ledger, episode, policy, queue, now)

    begun = [store.fold(lambda ledger, e=episode: one(ledger, e.id), now) for episode in due[:room]]  # type: ignore[misc]
    return tuple([job for job in begun if job])


def listen_again(policy: Policy, store: Store, now: datetime) -> int:
    """Makes diagnoses due of episodes that are no longer kept quiet; how many."""
    quiet = policy.quiet()

    def one(ledger: Ledger, episode_id: str) -> bool:
        episode = ledger.episodes([episode_id])[episode_id]
        if episode.mode is not Mode.MUTED or episode.closed or _all_quiet(ledger.alerts(episode.id), quiet):
            return False
        ledger.save([dataclasses.replace(episode, mode=Mode.AUTO, why="", due=now)])
        return True

    return sum(store.fold(lambda ledger, e=episode: one(ledger, e.id), now) for episode in store.muted())  # type: ignore[misc]


def start(episode_id: str, policy: Policy, store: Store, queue: JobQueue, now: datetime) -> Job:
    """Begins a diagnosis because somebody asks, whatever the mode, the cool-down and the rate; joins one that is under way.

    `episode_id` may be the id of any of its diagnoses. Raises NotFound, UsageError, StoreError, Overloaded."""
    found = store.episodes([episode_id]).get(episode_id)
    if found is None:
        raise NotFound(f"no episode {episode_id!r}")

    def one(ledger: Ledger) -> Job:
        episode = ledger.episodes([found.id])[found.id]
        running = queue.get(episode.diagnosis) if episode.rounds else None
        if running and running.state in (JobState.QUEUED, JobState.RUNNING):
            return running
        if not episode.kept:
            raise UsageError(f"nothing is kept of episode {episode.id}")
        return _begun(ledger, episode, policy, queue, now)

    return store.fold(one, now)


def _begun(ledger: Ledger, episode: Episode, policy: Policy, queue: JobQueue, now: datetime) -> Job:
    job = job_of(episode, ledger.alerts(episode.id), policy)
    (put,) = [found] if (found := queue.get(job.id)) else queue.put([job])
    policy.count("begun", 1)
    ledger.begin(dataclasses.replace(episode, rounds=episode.rounds + 1, begun=now, due=None))
    return put


def job_of(episode: Episode, kept: tuple[tuple[datetime, Alert], ...], policy: Policy) -> Job:
    """Its next diagnosis: of all its alerts, and of the symptom that what came since the last one shows."""
    quiet = policy.quiet()
    loud = [(at, alert) for at, alert in kept if not why(alert, quiet)] or list(kept)
    since = [alert for at, alert in loud if episode.begun is None or at > episode.begun]
    about = symptom(since or [alert for _, alert in loud], policy.entities)
    made = episode.diagnosis_of(episode.rounds + 1)
    inputs = Inputs(symptom=about, alerts=tuple([alert for _, alert in kept]))
    task = Task(f"{Intent.DIAGNOSE}_{made[:12]}", Intent.DIAGNOSE, inputs)
    needed = work.needed(inputs.alerts, policy.terms.route_by)
    return Job(made, f"episode\n{made}", task, episode_id=episode.id, enqueued_at=datetime.now(UTC), labels=needed)


def _cap(policy: Policy, held_up: list[str]) -> None:
    """Counts each episode once that the rate holds up."""
    policy.count("rate_cap", len(set(held_up) - policy.capped))
    policy.capped.clear()
    policy.capped.update(held_up)


def _all_quiet(kept: tuple[tuple[datetime, Alert], ...], quiet: Muting) -> str:
    """Why all that is kept is quiet now; "" where something is not."""
    reasons = [why(alert, quiet) for _, alert in kept] if quiet else []
    return reasons[0] if reasons and all(reasons) else ""
