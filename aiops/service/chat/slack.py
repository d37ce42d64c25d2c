"""Slack: slash commands, events (a mention of the app, a message to it) and buttons, all signed, all at one address.

Each is acknowledged at once, within Slack's 3 s; what it asks for is done in a thread.
https://docs.slack.dev/apis/events-api, https://docs.slack.dev/interactivity/handling-user-interaction
"""

from __future__ import annotations

import html
import logging
import re
import secrets
import threading
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from aiops.domain import Actor
from aiops.errors import NotFound, SourceError
from aiops.plain import clean
from aiops.ports import Chat, Message
from aiops.service.chat import answering, fields, forms, signatures
from aiops.service.chat.answering import Question
from aiops.service.chat.commands import ANSWER_S, command, person
from aiops.service.chat.fields import Fields
from aiops.service.chat.platforms import Platform, platforms_of
from aiops.service.chat.pressing import Presser, Pressing
from aiops.service.chat.signatures import Distrusted, Proof
from aiops.service.desk import PROBLEM, Desk

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/chat", tags=["v1"])

REPEATED_S = 86_400  # Slack tries an event again for an hour at most
ASKING = ("app_mention", "message")
_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^>]*)?>")
_MARKED = re.compile(r"<(?:[^>|]*\|)?([^>]*)>")  # a link or a channel, with the words that are shown


@router.post("/slack", responses=PROBLEM)
async def slack(request: Request) -> Response:
    """A slash command, an event or a press, signed with Slack's `v0` scheme."""
    platform = platforms_of(request).slack
    if platform is None:
        raise NotFound("Slack is not set up: chat.slack_secret_file")
    body, headers = await request.body(), dict(request.scope["headers"])
    proof = signatures.slack(platform.secret, headers, body, platform.clock())
    await answering.once(request.app.state.desk, proof)
    if headers.get(b"content-type", b"").startswith(b"application/json"):
        return await _event(request, platform, fields.read(body))
    form = forms.read(body)
    if b"payload" in form:
        return _press(request, platform, fields.read(form[b"payload"]))
    return command(request, "slack", platform, form)


# ---------------------------------------------------------------- events


async def _event(request: Request, platform: Platform, told: Fields) -> Response:
    """200 for whatever is signed: Slack sends again, and in the end no more, what is answered otherwise."""
    if fields.text(told, "type") == "url_verification":
        return JSONResponse({"challenge": fields.text(told, "challenge")})
    name = fields.text(told, "event_id")
    if not name:
        raise Distrusted("the event has no id")
    # A repetition is signed anew, and is known by its id.
    event = Proof(signatures.digest(b"slack event", name.encode()), platform.clock() + REPEATED_S)
    try:
        await answering.once(request.app.state.desk, event)
    except Distrusted:
        return Response()
    _asked(request, platform, told)
    return Response()


def _asked(request: Request, platform: Platform, told: Fields) -> None:
    """A question, where the event is one: bots are not answered, lest two talk for ever, nor is what was edited or joined."""
    event = fields.part(told, "event")
    kind, user, channel = (fields.text(event, name) for name in ("type", "user", "channel"))
    direct = kind != "message" or fields.text(event, "channel_type") == "im"
    if kind not in ASKING or not direct or not user or not channel or event.get("bot_id") or event.get("subtype"):
        return
    there = platform.replies.channel(channel)
    if there is None:
        log.warning("Slack was asked something that can't be answered: chat.slack_bot_file is not set")
        return
    thread = fields.text(event, "thread_ts") or fields.text(event, "ts")
    who = person(fields.text(told, "team_id"), user)
    answer = _in_thread(there, thread)
    question = Question(words(fields.text(event, "text")), Actor("slack", who), clean(channel, 64), answer)
    if why := answering.refused(request.app.state.desk, question, platforms_of(request).room):
        _aside(request, lambda: answer(Message((why,)), False))


def _in_thread(there: Chat, thread: str) -> answering.Answer:
    key = secrets.token_hex(16)

    def answer(message: Message, public: bool) -> None:  # noqa: ARG001 - the thread is theirs
        there.post(message, ANSWER_S, key=key, thread=thread)

    return answer


def words(text: str) -> str:
    """What somebody wrote, without mentions, and with Slack's marks as they are read."""
    return html.unescape(_MARKED.sub(r"\1", _MENTION.sub(" ", text))).strip()


# ---------------------------------------------------------------- buttons


def _press(request: Request, platform: Platform, told: Fields) -> Response:
    """Acknowledged at once; what came of it is told to who pressed."""
    actions = told.get("actions")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    value = fields.text(action, "value")
    if fields.text(told, "type") != "block_actions" or not value:
        return Response()
    user, team = fields.part(told, "user"), fields.part(told, "team")
    # In a channel that two organisations share, the user's own workspace counts.
    who = person(fields.text(user, "team_id") or fields.text(team, "id"), fields.text(user, "id"))
    presser = Presser("slack", who, fields.text(fields.part(told, "channel"), "id"))
    desk, pressing = request.app.state.desk, request.app.state.pressing
    address = fields.text(told, "response_url")

    def run() -> None:
        platform.replies.post(address, Message((_pressed(pressing, desk, value, presser),)), False, ANSWER_S)

    return Response(status_code=200 if _aside(request, run) else 503)  # with 503 Slack says that it did not work


def _pressed(pressing: Pressing, desk: Desk, value: str, presser: Presser) -> str:
    try:
        return pressing.pressed(desk, value, presser)
    except Distrusted as error:
        log.warning("Slack sent a press that is not believed: %s", error)
        return str(error)


# ---------------------------------------------------------------- parts


def _aside(request: Request, work: Callable[[], None]) -> bool:
    """Does something in a thread; False, and nothing is done, where too much is being done already."""
    free = platforms_of(request).apps.telling
    if not free.acquire(blocking=False):
        return False

    def run() -> None:
        try:
            work()
        except SourceError as error:
            log.warning("Slack was not answered: %s", error)
        finally:
            free.release()

    threading.Thread(target=run, name="chat", daemon=True).start()
    return True
