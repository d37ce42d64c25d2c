"""Slash commands, which Slack and Mattermost send in the same form: answered at once by words, later at the address they bring."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from aiops.domain import Actor
from aiops.plain import clean
from aiops.ports import Message
from aiops.service.chat import answering, forms
from aiops.service.chat.answering import Question
from aiops.service.chat.platforms import Platform, platforms_of

ANSWER_S = 20.0


def command(request: Request, name: str, platform: Platform, form: forms.Form) -> JSONResponse:
    """Takes the question of a command that is proved; `name` is the platform's."""
    address, channel = forms.text(form, b"response_url"), clean(forms.text(form, b"channel_id"), 64)

    def answer(message: Message, public: bool) -> None:
        platform.replies.post(address, message, public, ANSWER_S)

    who = Actor(name, person(forms.text(form, b"team_id"), forms.text(form, b"user_id")))
    question = Question(forms.text(form, b"text"), who, channel, answer)
    told = answering.take(request.app.state.desk, question, platforms_of(request).room)
    return JSONResponse(dict(platform.replies.shown(Message((told,)), public=False)))


def person(team: str, user: str) -> str:
    """TEAM.USER, by which people are listed, so that nobody is somebody of another workspace."""
    return clean(".".join(part for part in (team, user) if part), 128)
