"""Repairs under governance: plan -> approval -> brakes -> run -> verify -> succeeded, undone or a person is called.

    repair = ops.repairs.plan(report_id)         # nothing runs; the plan says exactly what would
    ops.repairs.approve(repair.id)               # by somebody else
    ops.repairs.run(repair.id)                   # once, and only what was approved

`machine` says what may follow what, `plan` what exactly is to be done, `brakes` what keeps it from beginning, `run` does it.
Every change of state is in the store, and in its audit chain, in one transaction before anything comes of it.
"""

from aiops.flows.repair.brakes import Condition, Terms
from aiops.flows.repair.calling import called_for
from aiops.flows.repair.desk import Governance, Repairs
from aiops.flows.repair.machine import HOUSE
from aiops.flows.repair.plan import BY_ITSELF, Workshop

__all__ = ["BY_ITSELF", "HOUSE", "Condition", "Governance", "Repairs", "Terms", "Workshop", "called_for"]
