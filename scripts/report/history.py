"""Files and ledger, as text and JSON: what is applied, what would run.

Owns: the words of `invoke plan` and `invoke status`.
Never: says that something ran; a plan runs nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from scripts.clock import iso_utc
from scripts.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.migrations.ledger import LedgerRow
    from scripts.migrations.plan import Plan

_GAP: Final = "   "
NO_SUMS: Final = "the folder has no list of sums: a file that was edited before it ever ran is not noticed"


def render_plan(plan: Plan) -> str:
    """What `migrate` would run, in order, and how; the last line counts it."""
    width = max((len(escape(file.name)) for file in plan.pending), default=0)
    lines = [
        _GAP.join(
            [
                f"{escape(file.name):<{width}}",
                "statement by statement, outside a transaction" if file.no_tx else "in one transaction",
            ]
        )
        for file in plan.pending
    ]
    return "\n".join([*lines, *_remarks(plan), _sum(plan) + ("; nothing was run" if plan.pending else "")])


def render_status(plan: Plan, rows: Iterable[LedgerRow]) -> str:
    """Every file with the time it was applied at, or `pending`; the last line counts them.

    Args:
        plan: files and ledger compared.
        rows: the ledger the plan was made from.
    """
    applied_at = {row.version: iso_utc(row.applied_at) for row in rows}
    width = max((len(escape(file.name)) for file in (*plan.applied, *plan.pending)), default=0)
    lines = [f"{escape(file.name):<{width}}   applied   {applied_at[file.name]}" for file in plan.applied]
    lines += [f"{escape(file.name):<{width}}   pending" for file in plan.pending]
    return "\n".join([*lines, *_remarks(plan), _sum(plan)])


def status_json(plan: Plan, rows: Iterable[LedgerRow]) -> str:
    """The same for programs: the plan's own JSON, with the time of each applied file."""
    applied_at = {row.version: iso_utc(row.applied_at) for row in rows}
    value: dict[str, Any] = plan.as_json()
    value["applied"] = [entry | {"applied_at": applied_at[entry["name"]]} for entry in value["applied"]]
    return json.dumps(value, indent=2)


def plan_json(plan: Plan) -> str:
    """The plan for programs."""
    return json.dumps(plan.as_json(), indent=2)


def _remarks(plan: Plan) -> list[str]:
    return [] if plan.sums_checked else [NO_SUMS]


def _sum(plan: Plan) -> str:
    applied, pending = len(plan.applied), len(plan.pending)
    total = applied + pending
    return f"{total} file{'' if total == 1 else 's'} = {applied} applied + {pending} pending"
