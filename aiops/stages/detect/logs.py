"""Logs: templates that came and went within the operation that writes them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from aiops.domain import Logs, Spans
from aiops.kernels.templates import TemplateMiner, is_error
from aiops.stages.detect.presence import Counts, Shift, presence_shifts, weigh_up, witness_parts
from aiops.stages.detect.spans import SpanTable

SIGNIFICANT = 10.8  # chi-squared with one degree of freedom at 0.001


@dataclass(frozen=True, slots=True)
class TemplateShift:
    """A template that its operation writes more or less often. `strength` = sqrt(G) x the part of the spans that lost (of
    those that had it) or gained it, less what an alternative template gained. `row` is the log row of an example."""

    node: str
    operation: str
    template: str
    error: bool
    before: float
    after: float
    strength: float
    row: int

    @property
    def what(self) -> str:
        if self.before == 0:
            return "new"
        return "lost" if self.after < self.before else "surged"

    @property
    def accuses(self) -> bool:
        """Whether it speaks of a fault here: an error that came, or a normal line that went. A lost error is recovery, and a
        new normal line somebody else's."""
        return self.error == (self.after > self.before)


def template_shifts(logs: Logs, spans: Spans, table: SpanTable) -> list[TemplateShift]:
    """Significant shifts, strongest first. Lines are tied to operations by their span id; others say nothing here."""
    miner = TemplateMiner()
    numbers = miner.fit(logs.messages)
    parts = span_parts(spans, table)
    holds: set[tuple[tuple[str, str], str, int]] = set()
    example: dict[tuple[tuple[str, str], str, bool], int] = {}
    order = sorted(range(len(logs)), key=lambda row: (logs.times[row], logs.messages[row]))
    for row in order:
        span = table.rows.get(logs.span_ids[row], -1)
        if span < 0 or table.nodes[table.node[span]] != logs.nodes[row]:
            continue
        group = (logs.nodes[row], table.operations[table.operation[span]])
        holds.add((group, str(numbers[row]), span))
        example.setdefault((group, str(numbers[row]), bool(spans.incident[span])), row)
    seen = weigh_up(((group, item), bool(spans.incident[span]), parts[span]) for group, item, span in holds)
    shifts = presence_shifts(witnesses(spans, table, parts), seen)
    holders: dict[tuple[tuple[str, str], str], set[int]] = {}
    for group, item, span in holds:
        if not spans.incident[span]:
            holders.setdefault((group, item), set()).add(span)
    gains = [s for s in shifts if s.after > s.before and not is_error(miner.templates[int(s.item)])]
    found = []
    for shift in shifts:
        if shift.g < SIGNIFICANT:
            continue
        strength = sqrt(shift.g) * _magnitude(shift, _replacement(shift, gains, holders))
        template = miner.templates[int(shift.item)]
        row = example[shift.group, shift.item, shift.after > shift.before]
        node, operation = shift.group
        found.append(
            TemplateShift(node, operation, template, is_error(template), shift.before, shift.after, strength, row)
        )
    return sorted(found, key=lambda s: (-s.strength, s.node, s.template))


def _magnitude(shift: Shift, replaced: float) -> float:
    """Of a loss the part that is gone and not `replaced`, of a gain the part of spans that has it now: when half of the spans
    lose a line that only half of them had, the loss is whole."""
    if shift.after > shift.before:
        return shift.after - shift.before
    return max(0.0, shift.before - shift.after - replaced) / shift.before


def _replacement(shift: Shift, gains: list[Shift], holders: dict[tuple[tuple[str, str], str], set[int]]) -> float:
    """How much of a loss is another way through the code, not a break: the largest gain of a normal template of the same
    operation that the baseline knows as an alternative (no span of it wrote both)."""
    mine = holders.get((shift.group, shift.item), set())
    return max(
        (
            gain.after - gain.before
            for gain in gains
            if gain.group == shift.group and gain.before > 0 and not mine & holders[gain.group, gain.item]
        ),
        default=0.0,
    )


def span_parts(spans: Spans, table: SpanTable) -> list[float]:
    """(N,) what part of a witness each span is, among those of its operation, trace and side."""
    sides = spans.incident.tolist()
    return witness_parts(
        list(zip(table.node.tolist(), table.operation.tolist(), spans.trace_ids.tolist(), sides, strict=True))
    )


def witnesses(spans: Spans, table: SpanTable, parts: list[float]) -> dict[tuple[str, str], Counts]:
    """(node, operation) -> how many traces came by (baseline, incident)."""
    groups = zip(table.node.tolist(), table.operation.tolist(), strict=True)
    counts = weigh_up(zip(groups, spans.incident.tolist(), parts, strict=True))
    return {(table.nodes[n], table.operations[o]): pair for (n, o), pair in counts.items()}
