"""Stage 7: RootCauses -> Remediation. Matches runbooks; proposes, never runs."""

from __future__ import annotations

from aiops.domain import Remediation, RootCause, RootCauses, Verdict
from aiops.rules import Runbook
from aiops.telemetry import stage


@stage("prescribe")
def prescribe(causes: RootCauses, runbooks: tuple[Runbook, ...]) -> Remediation | None:
    """The first runbook (by name) that mends the first root cause's kind of fault and whose parameters its node satisfies.

    None when the verdict is inconclusive: a repair of a guess is not offered."""
    if causes.verdict is not Verdict.FOUND or not causes.candidates:
        return None
    cause = causes.candidates[0]
    fitting = (p for r in sorted(runbooks, key=lambda r: r.name) if (p := _fit(r, cause)) is not None)
    return next(fitting, None)


def _fit(runbook: Runbook, cause: RootCause) -> Remediation | None:
    if runbook.mode == "off" or cause.fault not in runbook.faults or not runbook.node.fullmatch(cause.node):
        return None
    known = {"node": cause.node}
    values = {name: known.get(name, f"<{name}>") for name in runbook.parameters}
    if any(name in known and not pattern.fullmatch(values[name]) for name, pattern in runbook.parameters.items()):
        return None

    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    return Remediation(
        runbook=runbook.name,
        title=runbook.title,
        target=cause.node,
        argv=tuple(fill(a) for a in runbook.argv),
        parameters=values,
        why=f"mends {cause.fault} faults; {cause.node} is the first root cause",
        check=fill(runbook.check),
        undo=fill(runbook.undo),
        mode=runbook.mode,
    )
