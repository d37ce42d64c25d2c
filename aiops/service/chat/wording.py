"""What chats are told: a verdict in three lines with its picture, what became of its episode, and what may be pressed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from aiops.domain import Episode, Repair, RepairState, Report
from aiops.plain import clean
from aiops.ports import Button, Message
from aiops.render import png
from aiops.render.headline import summary
from aiops.render.language import ENGLISH, say, speaking
from aiops.service.approving import STATES
from aiops.service.chat.pressing import Act, Press
from aiops.units import clock, lag, zone

log = logging.getLogger(__name__)

LONGEST = 2900  # characters of a line; Slack takes 3,000
NAME = 500  # characters of a name
KEPT = 16  # pictures
ZOOM = 1.5  # chats show them smaller than they are
LIFE = timedelta(days=7)  # of a button
LABELS = {
    Act.APPROVE: ("Approve", "good"),
    Act.REJECT: ("Reject", "bad"),
    Act.AGAIN: ("Diagnose again", ""),
    Act.RIGHT: ("Right", ""),
    Act.WRONG: ("Wrong", ""),
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How chats are spoken to: in which language and time zone, and where this server is for people ("" = nobody has said)."""

    language: str = ENGLISH
    zone: tzinfo = UTC
    external_url: str = ""


class Pictures:
    """The charts of reports as PNG, each drawn once, whoever wants it. Thread-safe."""

    def __init__(self, manner: Manner) -> None:
        self._manner, self._lock = manner, threading.Lock()
        self._drawn: OrderedDict[str, bytes] = OrderedDict()

    def of(self, report: Report) -> bytes:
        """b"" where this machine can't draw it."""
        with self._lock:
            if report.id not in self._drawn:
                self._drawn[report.id] = self._draw(report)
                while len(self._drawn) > KEPT:
                    self._drawn.popitem(last=False)
            return self._drawn[report.id]

    def _draw(self, report: Report) -> bytes:
        try:
            return png.png(report, tz=self._manner.zone, language=self._manner.language, zoom=ZOOM)
        except png.NoFont as error:
            log.warning("messages go without pictures: %s", error)
        except Exception:  # a picture that can't be drawn must not cost the verdict; the log has the traceback
            log.exception("the picture of %s", report.id)
        return b""


@dataclass(frozen=True, slots=True)
class Wording:
    """The words for one chat, whose name is bound into what is pressed in it. seal: makes a press into what a button brings."""

    manner: Manner
    chat: str
    seal: Callable[[Press], str]
    pictures: Pictures

    def head(self, report: Report, episode: Episode, repair: Repair | None = None) -> Message:
        """The first post of a thread: the newest verdict, and how it stands. The picture is drawn by `picture`."""
        with speaking(self.manner.language):
            lines = [*self._verdict(report), *self._standing(episode, repair)]
            if episode.closed:
                lines[0] = say("Resolved: {line}", line=lines[0])
            buttons = tuple(self._buttons(report, episode, repair))
            return self._message(lines, report, episode, "diagnosis.completed", buttons)

    def update(self, report: Report, episode: Episode) -> Message:
        """A later diagnosis, told in the thread."""
        with speaking(self.manner.language):
            lines = [say("Diagnosed again:"), *self._verdict(report)]
            return self._message(lines, report, episode, "diagnosis.updated")

    def end(self, report: Report, episode: Episode) -> Message:
        """The end of an episode, told in the thread."""
        with speaking(self.manner.language):
            return self._message([self._over(episode)], report, episode, "episode.resolved")

    def picture(self, report: Report) -> bytes:
        """The chart as PNG; b"" where this machine can't draw it."""
        return self.pictures.of(report)

    # ------------------------------------------------------------ parts

    def _verdict(self, report: Report) -> list[str]:
        return [line(one) for one in summary(report, self.manner.zone) if one] or [str(report.verdict)]

    def _standing(self, episode: Episode, repair: Repair | None) -> Iterable[str]:
        counted = [say("{n} alerts", n=episode.alerts)] if episode.alerts > 1 else []
        counted += [say("came back {n} times", n=episode.recurrences)] if episode.recurrences else []
        if counted:
            yield ", ".join(counted)
        if repair:
            yield line(
                say(
                    "Repair {title} on {targets}: {state}",
                    title=repair.plan.title,
                    targets=_targets(repair),
                    state=say(STATES[repair.state]),
                )
            )
        if episode.closed:
            yield self._over(episode)

    def _over(self, episode: Episode) -> str:
        ended = episode.closed or datetime.now(UTC)
        lasted = lag(max(ended - episode.opened, timedelta())).removeprefix("+")
        return say(
            "Resolved at {when}, after {long}.",
            when=f"{clock(ended, self.manner.zone)} {zone(ended.astimezone(self.manner.zone))}",
            long=lasted,
        )

    def _buttons(self, report: Report, episode: Episode, repair: Repair | None) -> Iterable[Button]:
        """Nothing can be pressed where it would not reach us."""
        if not self.manner.external_url:
            return
        ends = int((datetime.now(UTC) + LIFE).timestamp())
        if repair and repair.state is RepairState.PLANNED and not episode.closed:
            for act in (Act.APPROVE, Act.REJECT):
                yield self._button(Press(act, report.id, self.chat, repair.id, repair.hash, ends))
        if not episode.closed:
            yield self._button(Press(Act.AGAIN, report.id, self.chat, ends=ends))
        if report.root_causes:
            for act in (Act.RIGHT, Act.WRONG):
                yield self._button(Press(act, report.id, self.chat, ends=ends))

    def _button(self, press: Press) -> Button:
        label, style = LABELS[press.act]
        return Button(str(press.act), say(label), self.seal(press), style)

    def _message(
        self, lines: Sequence[str], report: Report, episode: Episode, event: str, buttons: tuple[Button, ...] = ()
    ) -> Message:
        base = self.manner.external_url.rstrip("/")
        about = {
            "event": event,
            "at": (episode.closed or datetime.now(UTC)).isoformat(timespec="seconds"),
            "episode": episode.id,
            "report": report.id,
            "verdict": str(report.verdict),
            "symptom": clean(report.symptom.service or "", NAME),
            "cause": clean(report.root_causes[0].node, NAME) if report.root_causes else "",
        }
        link = f"{base}/reports/{report.id}" if base else ""
        return Message(tuple(lines), link, say("The whole report"), b"", buttons, about)


def line(text: str) -> str:
    """A line of a message, of whatever text."""
    return clean(text, LONGEST)


def _targets(repair: Repair) -> str:
    return ", ".join(repair.plan.targets)
