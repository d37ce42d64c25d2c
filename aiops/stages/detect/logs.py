"""Logs: templates that came and went within the operation that writes them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from aiops.domain import Logs, Spans
from aiops.kernels.templates import TemplateMiner, is_error
from aiops.stages.detect.presence import Shift, count_pairs, presence_shifts
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
    totals = count_spans(spans, table)
    pairs: set[tuple[tuple[str, str], str, bool, str]] = set()
    example: dict[tuple[tuple[str, str], str, bool], int] = {}
    order = sorted(range(len(logs)), key=lambda row: (logs.times[row], logs.messages[row]))
    for row in order:
        span = table.rows.get(logs.span_ids[row], -1)
        if span < 0 or table.nodes[table.node[span]] != logs.nodes[row]:
            continue
        group = (logs.nodes[row], table.operations[table.operation[span]])
        incident = bool(logs.incident[row])
        pairs.add((group, str(numbers[row]), incident, logs.span_ids[row]))
        example.setdefault((group, str(numbers[row]), incident), row)
    shifts = presence_shifts(totals, count_pairs((group, item, incident) for group, item, incident, _ in sorted(pairs)))
    holders: dict[tuple[tuple[str, str], str], set[str]] = {}
    for group, item, incident, span_id in pairs:
        if not incident:
            holders.setdefault((group, item), set()).add(span_id)
    gains = [s for s in shifts if s.after > s.before and not is_error(miner.templates[int(s.item)])]
    found = []
    for shift in shifts:
        if shift.g < SIGNIFICANT:
            continue
        strength = sqrt(shift.g) * _magnitude(shift, _replacement(shift, gains, holders))
        template = miner.templates[int(shift.item)]
        row = example.get(
            (shift.group, shift.item, shift.after > shift.before), example.get((shift.group, shift.item, False), -1)
        )
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


def _replacement(shift: Shift, gains: list[Shift], holders: dict[tuple[tuple[str, str], str], set[str]]) -> float:
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


def count_spans(spans: Spans, table: SpanTable) -> dict[tuple[str, str], tuple[int, int]]:
    """(node, operation) -> number of spans (baseline, incident)."""
    return {
        group: counts
        for (group, _), counts in count_pairs(
            ((table.nodes[n], table.operations[o]), "", bool(i))
            for n, o, i in zip(table.node, table.operation, spans.incident, strict=True)
        ).items()
    }
