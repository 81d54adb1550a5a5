"""The tasks that owe the invariants, and the beginning of the names of their failures.

A failure's name begins with P0, Phase 0, whatever its severity; then comes the area, then what is wrong. An invariant
that a later task tightened is owed by that task from then on: without it the promise as a whole is not kept
(docs/adr/0053-which-task-a-failure-names.md).
"""

from __future__ import annotations

# What 0001 to 0025 brought belongs to the phase as a whole; no task of its own is on record.
FOUNDATION = "PHASE-0"
# The task that made new rows billable and stitchable, with 0026 and 0027.
TIGHTENING = "TSK-P0-149"
TIGHTENED = "P0.BIZ.HOOKS.DELTA_TIGHTENING"
TIGHTENING_MIGRATIONS = (26, 27)
