"""What people told about earlier reports, as a prior for the next one on the same symptom (`aiops feedback`, docs/feedback.md).

Of `told` reports on this symptom whose truth is known, node c was the cause in `confirmed`. With a pseudo-count of `doubt` reports
that say nothing (additive smoothing, the posterior mean of a Dirichlet prior), its strength is

    e = confirmed / (told + doubt)        0 without feedback, below 1 however much there is

and `rank` adds -log(1 - w e) to the evidence that this incident itself has against c, at most a fixed part of that evidence: it
decides between close candidates, accuses nobody alone, and never changes the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiops.domain import Feedback, Findings, Prior, Recording
from aiops.stages.explain import called
from aiops.stages.rank import PRIOR


def recall(told: Iterable[Feedback]) -> tuple[Prior, ...]:
    """Priors of the nodes that were confirmed at least once, sorted; `told` is all feedback on one symptom.

    That a node was *not* the cause counts against it alone, since the cause stayed unknown."""
    confirmed: Counter[str] = Counter()
    refuted: Counter[str] = Counter()
    for each in told:
        (refuted if each.wrong else confirmed)[each.cause] += 1
    known = confirmed.total()
    return tuple(Prior(node, confirmed[node], known + refuted[node]) for node in sorted(confirmed))


def nodes_of(recording: Recording) -> tuple[str, ...]:
    """The things that may be named as the cause behind a report: all that was seen, sorted."""
    seen = recording.observation
    ends = (end for call in seen.calls for end in (call.caller, call.callee))
    names = {*recording.scope.nodes, *seen.panel.nodes, *seen.logs.nodes, *seen.spans.nodes, *ends}
    return tuple(sorted(name for name in names if name and not name.startswith("_")))


def strengths(priors: Iterable[Prior], ranking: Mapping[str, Any]) -> dict[str, float]:
    """Node id -> e."""
    doubt = float(ranking["prior"]["doubt"])
    return {prior.node: prior.confirmed / (prior.told + doubt) for prior in priors}


def with_reasons(findings: Findings, priors: Iterable[Prior], symptom: str) -> Findings:
    """The findings with the words that a report shows for each prior."""
    words = {
        prior.node: f"prior: confirmed as the cause in {prior.confirmed} of {prior.told} "
        f"report{'' if prior.told == 1 else 's'} on {called(symptom)}"
        for prior in priors
    }
    return replace(findings, reasons={**findings.reasons, PRIOR: words}) if words else findings
