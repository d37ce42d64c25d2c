"""A question that came in from a chat: acknowledged at once, looked into by a thread, answered where it came from."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

import anyio.to_thread

from aiops.domain import Actor, Intent, JobState, Report
from aiops.errors import AiopsError, SourceError
from aiops.plain import clean
from aiops.ports import Message
from aiops.redaction import redact
from aiops.render import language
from aiops.render.headline import summary
from aiops.render.language import say
from aiops.service.chat.signatures import Distrusted, Proof
from aiops.service.desk import Desk

log = logging.getLogger(__name__)

MOST = 32  # questions that are looked into at once
PATIENCE_S = 1500.0  # Slack takes an answer for half an hour
LOOK_S = 0.2
LONGEST = 2900  # characters of a line; Slack takes 3,000
LONGEST_QUESTION = 4000
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)

Answer: TypeAlias = Callable[[Message, bool], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, by whom. session: the conversation, in which a follow-up is understood.

    answer: called once, in a thread, with the message and whether all may read it, else only who asked; it may raise SourceError."""

    text: str
    actor: Actor
    session: str
    answer: Answer = field(repr=False)


def room() -> threading.Semaphore:
    """For as many questions as are looked into at once."""
    return threading.Semaphore(MOST)


async def once(desk: Desk, proof: Proof) -> None:
    """Raises Distrusted for a request that was taken before, also by a former process."""
    ends = datetime.fromtimestamp(proof.ends, UTC)
    if not await anyio.to_thread.run_sync(desk.ops.store.once, proof.once, ends):
        raise Distrusted("the request was used before")


def take(desk: Desk, question: Question, free: threading.Semaphore) -> str:
    """What to say at once; the answer comes later. Waits for nothing."""
    with language.speaking(language.of_text(question.text)):
        return refused(desk, question, free) or say("Looking into it.")


def refused(desk: Desk, question: Question, free: threading.Semaphore) -> str:
    """Why a question is not looked into, in words; "" where it is, as by `take`."""
    if not question.text.strip():
        return say("Ask something, such as: why is checkout slow?")
    if not free.acquire(blocking=False):
        return say("Too much is being asked at once; please ask again in a minute.")
    threading.Thread(target=_answer, args=(desk, question, free), name="chat", daemon=True).start()
    return ""


def line(text: str) -> str:
    """A line of a message, of whatever text."""
    return clean(text, LONGEST)


def _answer(desk: Desk, question: Question, free: threading.Semaphore) -> None:
    """A failure of ours is told to who asked and to nobody else."""
    try:
        with language.speaking(language.of_text(question.text)):
            message, public = _found(replace(desk, ops=desk.ops.by(question.actor)), question)
            question.answer(message, public)
    except SourceError as error:
        log.warning("%s was not answered: %s", question.actor.channel, error)
    finally:
        free.release()


def _found(desk: Desk, question: Question) -> tuple[Message, bool]:
    try:
        return _verdict(desk, question)
    except AiopsError as error:
        return Message((line(redact(str(error))),)), False
    except Exception:  # whoever asked must hear that there is no answer
        log.exception("a question from %s", question.actor.channel)
        return Message((say("Something broke; the log of the server has the details."),)), False


def _verdict(desk: Desk, question: Question) -> tuple[Message, bool]:
    """The verdict, or the question back. Raises AiopsError."""
    plan = desk.ops.plan(question.text.strip()[:LONGEST_QUESTION], session=question.session)
    if plan.task.intent in (Intent.CLARIFY, Intent.REJECT):
        lines = [plan.task.question or say("What is to be diagnosed?"), *(f"- {one}" for one in plan.choices)]
        return Message(tuple(map(line, lines))), False
    started = desk.submit(plan.task)
    give_up = time.monotonic() + PATIENCE_S
    while started.status in UNDER_WAY:
        if time.monotonic() > give_up:
            raise SourceError("the diagnosis", "the queue", f"no worker has ended it within {PATIENCE_S:.0f} s")
        time.sleep(LOOK_S)
        started = desk.find(started.id)
    return _told(desk, desk.report(started.id)), True


def _told(desk: Desk, report: Report) -> Message:
    # Nothing leads to the report where nobody has said how people reach this server.
    link = desk.link(f"/reports/{report.id}") if desk.external_url else ""
    lines = tuple([line(one) for one in summary(report, UTC) if one])
    return Message(lines, link, say("The whole report"))
