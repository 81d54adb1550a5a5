"""Files and ledger, as text and JSON: what is applied, what would run.

Owns: the words of `invoke plan` and `invoke status`.
Never: says that something ran; a plan runs nothing.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from scripts.clock import iso_utc
from scripts.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.ledger.table import LedgerRow
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


def render_status(
    plan: Plan, rows: Iterable[LedgerRow], half_done: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> str:
    """Every file with the time it was applied at, or `pending`; the last line counts them.

    Args:
        plan: files and ledger compared.
        rows: the ledger the plan was made from.
        half_done: of pending files that were begun, how many statements are done and how many were begun.
    """
    applied_at = {row.version: _time(row) for row in rows}
    width = max((len(escape(file.name)) for file in (*plan.applied, *plan.pending)), default=0)
    lines = [f"{escape(file.name):<{width}}   applied   {applied_at[file.name]}" for file in plan.applied]
    lines += [f"{escape(file.name):<{width}}   {_pending(file, half_done)}" for file in plan.pending]
    return "\n".join([*lines, *_remarks(plan), _sum(plan)])


def status_json(
    plan: Plan, rows: Iterable[LedgerRow], half_done: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> str:
    """The same for programs: the plan's own JSON, with the time of each applied file."""
    applied_at = {row.version: _time(row) for row in rows}
    value: dict[str, Any] = plan.as_json()
    value["applied"] = [entry | {"applied_at": applied_at[entry["name"]]} for entry in value["applied"]]
    value["half_done"] = {name: {"done": done, "begun": begun} for name, (done, begun) in half_done.items()}
    return json.dumps(value, indent=2)


def plan_json(plan: Plan) -> str:
    """The plan for programs."""
    return json.dumps(plan.as_json(), indent=2)


def _pending(file: MigrationFile, half_done: Mapping[str, tuple[int, int]]) -> str:
    if file.name not in half_done:
        return "pending"
    done, begun = half_done[file.name]
    total = len(file.statements)
    under_way = f", statement {done + 1} was begun" if begun > done else ""
    return f"half done: {done} of {total} statements{under_way}; the next run goes on from there"


def _time(row: LedgerRow) -> str:
    return "never" if row.applied_at is None else iso_utc(row.applied_at)


def _remarks(plan: Plan) -> list[str]:
    return [] if plan.sums_checked else [NO_SUMS]


def _sum(plan: Plan) -> str:
    applied, pending = len(plan.applied), len(plan.pending)
    total = applied + pending
    return f"{total} file{'' if total == 1 else 's'} = {applied} applied + {pending} pending"
