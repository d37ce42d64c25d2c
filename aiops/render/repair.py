"""A repair in words: what it would do and within which bounds, before anybody says yes. The same in every form of a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiops.domain import Check, Limits, Remediation, RepairPlan, Usage
from aiops.render.language import listed, said, say
from aiops.render.values import quantity

# Who has to do what before it acts, by the runbook's mode.
MODES = {
    "suggest": "somebody plans it, somebody else approves it, and somebody runs it",
    "approve": "it runs as soon as somebody approves it",
    "auto": "it runs by itself",
    "off": "it does not run",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of what is to be known. exact: words of a query or a command, which are shown letter by letter."""

    label: str
    words: str
    exact: bool = False


def proposed(r: Remediation) -> list[Fact]:
    """What a report proposes. What does not apply is left out."""
    facts = [
        Fact(say("Why"), said(r.why)),
        Fact(say("How"), _how(r.verbs, script=r.script)),
        Fact(say("Limits"), limits(r.limits) if r.limits else ""),
        *(Fact(say("Only if"), words, exact=True) for words in r.before),
        Fact(say("Reach"), reach(r.most_targets, r.most_percent, r.cool_down_s)),
        Fact(say("Check after it"), r.check, exact=True),
        Fact(say("Within"), span(r.within_s) if r.within_s else ""),
        Fact(say("Undo"), said(r.undo)),
        Fact(say("Who decides"), decides(r.mode, r.approvers)),
        Fact(say("So far"), experience(r.worked, r.tried)),
        Fact(say("Runbook"), r.runbook, exact=True),
    ]
    return [fact for fact in facts if fact.words]


def planned(p: RepairPlan, mode: str) -> list[Fact]:
    """What is to be approved: beside its words, which stand by themselves."""
    facts = [
        Fact(say("Why"), said(p.why)),
        *(Fact(say("Evidence"), said(words)) for words in p.evidence),
        Fact(say("How"), _how(p.verbs, script=p.script)),
        Fact(say("Limits"), limits(p.limits) if p.script else ""),
        *(Fact(say("Only if"), _check(check), exact=True) for check in p.before),
        Fact(say("Reach"), reach(p.most_targets, p.most_percent, p.cool_down_s)),
        Fact(say("Check after it"), _check(p.effect), exact=True),
        Fact(say("And back in its band"), _check(p.alerted) if p.alerted else "", exact=True),
        Fact(say("Within"), span(p.effect.within_s)),
        Fact(say("Undo"), " ".join(p.undo), exact=True) if p.undo else Fact(say("Undo"), said(p.undo_words)),
        Fact(say("Who decides"), decides(mode, p.approvers)),
        Fact(say("Runbook"), p.runbook, exact=True),
        Fact(say("Owner"), p.owner),
    ]
    return [fact for fact in facts if fact.words]


def limits(held: Limits) -> str:
    """What a script may use at most."""
    return listed(
        [
            span(held.timeout_s),
            say("{size} of memory", size=_size(held.memory)),
            say("{n} processes", n=held.pids),
            say("processor weight {n} beside 100", n=held.cpu_weight),
            say("{size} of output", size=_size(held.output)),
        ]
    )


def reach(targets: int, percent: int, cool_down_s: float) -> str:
    """The blast radius."""
    within = span(cool_down_s) if cool_down_s else ""
    most = [say("{n} targets", n=targets) if targets > 1 else say("1 target")] if targets else []
    most += [say("{n} % of their kind", n=percent)] if percent else []
    if not most:
        return ""
    told = say("at most {what}", what=listed(most))
    return say("{what} within {span}", what=told, span=within) if within else told


def experience(worked: int, tried: int) -> str:
    """What earlier repairs by this runbook came to."""
    return say("worked {n} of {m} times", n=worked, m=tried) if tried else say("never tried for this kind of fault")


def decides(mode: str, approvers: int) -> str:
    """Who has to say yes."""
    told = say(MODES.get(mode, mode))
    return listed([told, say("{n} people must approve it", n=approvers)]) if approvers > 1 else told


def span(seconds: float) -> str:
    """A time that is set."""
    return quantity(seconds, "_s")


def used(usage: Usage) -> str:
    """What a run used."""
    return listed(
        [
            span(usage.wall_ms / 1e3),
            say("{time} of processor", time=span(usage.cpu_ms / 1e3)),
            say("{size} of memory", size=_size(usage.memory_peak)),
            say("{n} processes", n=usage.pids_peak),
        ]
    )


def _size(count: int) -> str:
    return quantity(count, "_bytes")


def _check(check: Check) -> str:
    return f"{check.query} {check.holds}"


def _how(verbs: Iterable[str], *, script: bool) -> str:
    if not script:
        return say("one of our own verbs, with these arguments and nothing else")
    asked = listed(list(verbs))
    told = say("in a sandbox without network and without the host's files")
    return say("{what}; it may ask for {verbs}", what=told, verbs=asked) if asked else told
