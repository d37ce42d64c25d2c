"""Slash commands of Slack and Mattermost: `/aiops why is checkout slow?` in a channel, the verdict a few seconds later in it.

Who sent it is proved, it may come but once, and it is acknowledged at once, as both platforms want within 3 s. The work goes to
the queue; the answer goes to the address that came with the command, if that is the platform's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aiops.domain import Actor, Intent, JobState, Report
from aiops.errors import AiopsError, NotFound, SourceError
from aiops.plain import clean
from aiops.plain import markdown as escape
from aiops.ports import Replies
from aiops.redaction import redact
from aiops.render import language
from aiops.render.headline import summary
from aiops.render.language import say
from aiops.service.chat import signatures
from aiops.service.chat.apps import Apps
from aiops.service.chat.signatures import Distrusted, Proof
from aiops.service.desk import PROBLEM, Desk

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/chat", tags=["v1"])

MOST = 32  # commands that are answered at once
PATIENCE_S = 1500.0  # an answer is taken for half an hour
LOOK_S = 0.2
REPLY_S = 10.0
LONGEST = 2900  # characters of a line; Slack takes 3,000
FIELDS = 40
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)

Form = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Platform:
    """How one platform proves itself (`secret`: Slack's signing secret, Mattermost's token), and where its answers go."""

    secret: bytes = field(repr=False)
    replies: Replies
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Platforms:
    """Those that are set up."""

    slack: Platform | None = None
    mattermost: Platform | None = None
    apps: Apps = field(default_factory=Apps)
    room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MOST))


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked, by whom, and where the answer goes."""

    text: str
    actor: Actor
    session: str
    address: str
    replies: Replies
    shown: Callable[[Sequence[str], str, str], dict[str, object]]  # lines, link, what the link is called -> a message


@router.post("/slack", responses=PROBLEM)
async def slack(request: Request) -> JSONResponse:
    """A slash command of Slack, signed with its `v0` scheme."""
    platform = _platforms(request).slack
    if platform is None:
        raise NotFound("Slack is not set up: chat.slack_secret_file")
    body = await request.body()
    try:
        proof = signatures.slack(platform.secret, dict(request.scope["headers"]), body, platform.clock())
        form = _form(body)
    except Distrusted as error:
        return _distrusted(error)
    return await _taken(request, proof, _command("slack", form, platform.replies, slack_message))


@router.post("/mattermost", responses=PROBLEM)
async def mattermost(request: Request) -> JSONResponse:
    """A slash command of Mattermost, which brings its token in the form or after `Token` in the header."""
    platform = _platforms(request).mattermost
    if platform is None:
        raise NotFound("Mattermost is not set up: chat.mattermost_token_file")
    try:
        form = _form(await request.body())
        header = dict(request.scope["headers"]).get(b"authorization", b"").removeprefix(b"Token ")
        given = form.get(b"token", header)
        proof = signatures.mattermost(platform.secret, given, form.get(b"trigger_id", b""), platform.clock())
    except Distrusted as error:
        return _distrusted(error)
    return await _taken(request, proof, _command("mattermost", form, platform.replies, mattermost_message))


def slack_message(lines: Sequence[str], link: str, name: str) -> dict[str, object]:
    """Lines as plain text, in which nothing is a mention, a link or a format."""
    texts = [{"type": "plain_text", "text": clean(line, LONGEST) or "-", "emoji": False} for line in lines]
    if link:
        texts.append({"type": "mrkdwn", "text": f"<{link}|{name}>"})
    fallback = clean(lines[0], LONGEST).translate({ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"})
    return {"text": fallback, "blocks": [{"type": "section", "text": text} for text in texts]}


def mattermost_message(lines: Sequence[str], link: str, name: str) -> dict[str, object]:
    """Lines as Markdown in which what comes from outside does nothing."""
    told = [escape(line, LONGEST) for line in lines]
    return {"text": "\n\n".join([*told, *([f"[{name}]({link})"] if link else [])])}


# ---------------------------------------------------------------- taking a command


def _platforms(request: Request) -> Platforms:
    platforms: Platforms = request.app.state.platforms
    return platforms


def _form(body: bytes) -> dict[bytes, bytes]:
    """The first value of each field. Distrusted for what is no form: nobody who signs would send it."""
    exact = "surrogateescape"  # so that what is no UTF-8 is compared as the bytes it is
    try:
        text = body.decode("utf-8", exact)
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS, errors=exact)
    except ValueError as error:
        raise Distrusted("the body is no form") from error
    return {name.encode("utf-8", exact): values[0].encode("utf-8", exact) for name, values in fields.items()}


def _command(
    channel: str, form: Form, replies: Replies, shown: Callable[[Sequence[str], str, str], dict[str, object]]
) -> Command:
    def text(name: bytes) -> str:
        return form.get(name, b"").decode("utf-8", "replace")

    who = ".".join(part for part in (text(b"team_id"), text(b"user_id")) if part)
    return Command(
        text(b"text").strip()[:4000],
        Actor(channel, clean(who, 128)),
        clean(text(b"channel_id"), 64),
        text(b"response_url"),
        replies,
        shown,
    )


async def _taken(request: Request, proof: Proof, command: Command) -> JSONResponse:
    """The acknowledgement; the answer comes later, from a thread."""
    desk: Desk = request.app.state.desk
    mine = replace(desk, ops=desk.ops.by(command.actor))
    ends = datetime.fromtimestamp(proof.ends, UTC)
    if not await anyio.to_thread.run_sync(desk.ops.store.once, proof.once, ends):
        return _distrusted(Distrusted("the request was used before"))
    room = _platforms(request).room
    with language.speaking(language.of_text(command.text)):
        if not command.text:
            told = say("Ask something, such as: why is checkout slow?")
        elif not room.acquire(blocking=False):
            told = say("Too much is being asked at once; please ask again in a minute.")
        else:
            threading.Thread(target=_answer, args=(mine, command, room), name="chat", daemon=True).start()
            told = say("Looking into it.")
    return JSONResponse({"response_type": "ephemeral", **command.shown([told], "", "")})


def _distrusted(error: Distrusted) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 401)


# ---------------------------------------------------------------- answering it


def _answer(desk: Desk, command: Command, room: threading.Semaphore) -> None:
    """Runs in a thread of its own. A failure of ours is told to who asked and to nobody else."""
    try:
        with language.speaking(language.of_text(command.text)):
            try:
                message = {"response_type": "in_channel"} | _found(desk, command)
            except AiopsError as error:
                message = {"response_type": "ephemeral"} | command.shown([redact(str(error))], "", "")
            except Exception:  # whoever asked must hear that there is no answer
                log.exception("a command from %s", command.actor.channel)
                told = say("Something broke; the log of the server has the details.")
                message = {"response_type": "ephemeral"} | command.shown([told], "", "")
        command.replies.post(command.address, message, REPLY_S)
    except SourceError as error:
        log.warning("%s was not answered: %s", command.actor.channel, error)
    finally:
        room.release()


def _found(desk: Desk, command: Command) -> dict[str, object]:
    """The verdict, or the question back. Raises AiopsError."""
    plan = desk.ops.plan(command.text, session=command.session)
    if plan.task.intent in (Intent.CLARIFY, Intent.REJECT):
        lines = [plan.task.question or say("What is to be diagnosed?"), *(f"- {one}" for one in plan.choices)]
        return command.shown(lines, "", "")
    started = desk.submit(plan.task)
    give_up = time.monotonic() + PATIENCE_S
    while started.status in UNDER_WAY:
        if time.monotonic() > give_up:
            raise SourceError("the diagnosis", "the queue", f"no worker has ended it within {PATIENCE_S:.0f} s")
        time.sleep(LOOK_S)
        started = desk.find(started.id)
    report = desk.report(started.id)
    return command.shown(_lines(report), _link(desk, report), say("The whole report"))


def _lines(report: Report) -> Sequence[str]:
    return [line for line in summary(report, UTC) if line]


def _link(desk: Desk, report: Report) -> str:
    """Empty where nobody has said how people reach this server."""
    return desk.link(f"/reports/{report.id}") if desk.external_url else ""
