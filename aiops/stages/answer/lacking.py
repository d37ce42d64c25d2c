"""What could not be answered and why, and what an answer rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiops.domain import Figure
from aiops.stages.answer.asked import MOST_SAID, Asked
from aiops.stages.answer.words import span_of
from aiops.stages.courses import asked_rows, bare, steps_s
from aiops.stages.figures import asked_metrics
from aiops.units import quantity


def nothing(asked: Asked) -> tuple[str, str, str]:
    """Nothing to answer from: of what, what there is instead, and what would help."""
    inputs, names = asked.task.inputs, asked_metrics(asked.task)
    about = f"{', '.join(names) or 'anything'} of {', '.join(inputs.services) or 'any service'}"
    if asked.known:
        first = f"Unknown whether {about} is normal: there are too few samples of before to compare with"
    else:
        first = f"No samples of {about} {span_of(asked)}"
    nodes = set(inputs.services)
    there = sorted({bare(m) for node, m in zip(asked.panel.nodes, asked.panel.metrics, strict=True) if node in nodes})
    second = (
        f"There is: {', '.join(there[:8])}{' and more' if len(there) > 8 else ''}"
        if there
        else "Nothing was read that could answer it"
    )
    mends = list(dict.fromkeys(g.mend for g in asked.gaps if g.mend))
    whys = [f"{g.what}: {g.why}" for g in asked.gaps[:2]]
    help_ = "; ".join(mends[:2]) or "another time, or another name: `aiops doctor` shows what the metrics source has"
    return first, "; ".join([second, *whys]), f"Would help: {help_}"


def missing(asked: Asked) -> str:
    """Of what was asked and has no samples."""
    inputs, names = asked.task.inputs, asked_metrics(asked.task)
    known = {(f.node, _asked_name(f, names)) for f in asked.known}
    if names:
        lost = [f"{n} of {s}" for n in names for s in inputs.services if (s, n) not in known]
        lost += [] if inputs.services else [n for n in names if n not in {metric for _, metric in known}]
    else:
        lost = [s for s in inputs.services if s not in {node for node, _ in known}]
    return f". No samples: {', '.join(lost[:MOST_SAID])}" if lost else ""


def _asked_name(f: Figure, names: Sequence[str]) -> str:
    own = bare(f.metric)
    return own if own in names else f"{own.partition('(')[2].removesuffix(')')}_bucket"


def rests_on(asked: Asked) -> str:
    """How many samples, put together how, and what was not seen."""
    known, panel = asked.known, asked.panel
    now = asked_rows(panel, asked.task)
    step = float(np.median(steps_s(panel.times))) if len(panel.times) > 1 else 0.0
    counts = sorted({f.samples for f in known})
    samples = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    how = sorted({f"{f.how} of {f.series} series" for f in known if f.how})
    together = f" ({', '.join(how[:2])})" if how else ""
    before = panel.times[~now]
    against = f", against {len(before)} before" if len(before) else ", with nothing before to compare with"
    notes = "".join(f". {limit.note}" for limit in asked.limits if limit.note)
    notes += "".join(f". Not applied: {g.what} ({g.why})" for g in asked.gaps if g.what.startswith("filter "))
    unseen = sorted({g.what for g in asked.gaps if not g.what.startswith("filter ")})
    blind = f". Not seen: {', '.join(unseen[:3])}{' and more' if len(unseen) > 3 else ''}" if unseen else ""
    return f"Rests on {samples} sample{'' if samples == '1' else 's'} {_every(step)} apart{together}{against}{notes}{blind}"


def _every(seconds: float) -> str:
    return quantity(seconds, "_s") if seconds else "no time"
