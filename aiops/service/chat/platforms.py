"""The chats of this house: the platforms that people write from, who decides there, and how chats are spoken to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from aiops.ports import Replies
from aiops.render.language import ENGLISH
from aiops.service.chat import answering
from aiops.service.chat.apps import Apps
from aiops.service.chat.people import People


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
    people: People = field(default_factory=People)
    language: str = ENGLISH  # in which chats are told what nobody there asked
    room: threading.Semaphore = field(default_factory=answering.room)


def platforms_of(request: Request) -> Platforms:
    """What the application was made with."""
    platforms: Platforms = request.app.state.platforms
    return platforms
