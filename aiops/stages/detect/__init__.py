"""Stage 4: Observation -> Findings. What left its past, and what that says about each node, channel by channel.

A *channel* is one way for a node to be guilty, with a strength in [0, 1] per node; `rank` weighs and adds them:

- `resource`  its own cpu, memory, disk moved (internal sign: nobody inherits it)
- `latency`   its own server latency rose, and no callee's did
- `budget`    the symptom's lost time or failed requests are this node's own (`budget`)
- `network`   calls to it take longer than it does (`spans`)
- `waiting`   all who call it wait longer, by their client-side metrics
- `aborted`   requests break off in it, or right after calling it (`aborted`)
- `errors`    its failures rose, or spans fail in it, and no callee's do (`failures`)
- `silence`   it stopped telling anything while others go on (`failures`)
- `change`    somebody changed it shortly before
- `alert`     it alerts by itself, beside the symptom
- `logs`      its operations write new errors or stopped writing what they always wrote (`logs`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiops.domain import Findings, Observation, Scope
from aiops.stages.detect.channels import channels_of
from aiops.stages.detect.shown import anomalies, events
from aiops.stages.detect.signs import signs_of
from aiops.stages.detect.words import reasons_of
from aiops.telemetry import stage


@stage("detect")
def detect(observation: Observation, scope: Scope, ranking: Mapping[str, Any]) -> Findings:
    """Findings of one observation; `ranking` is rules/ranking.yaml, whose `half` gives each channel's half-strength."""
    half = {name: float(value) for name, value in ranking["half"].items()}
    signs = signs_of(observation, scope)
    channels, moved = channels_of(signs, scope, half)
    reasons = reasons_of(signs, scope, half, channels, moved)
    return Findings(anomalies(signs.seen.panel, signs.scored), events(signs, scope), channels, reasons)
