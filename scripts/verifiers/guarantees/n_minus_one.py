"""INV-021: what the release before sends is still answered as it was, save the breaks that were announced.

Columns that are still there say nothing about statements that still work (D-26), so the statements themselves are sent:
schema/n_minus_one.yml holds them, each with its answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.errors.verifiers import StatementsError
from scripts.settings import ROOT
from scripts.verifiers.probes.playing import Control, Probe, play
from scripts.verifiers.probes.violations import rewritten, said

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.stage import Stage

STATEMENTS = ROOT / "schema" / "n_minus_one.yml"
_FIELDS = {"name", "role", "sql", "answer", "broken_by"}
_OPTIONAL = {"given", "answer_before", "break"}


@dataclass(frozen=True, slots=True)
class OldStatement:
    """One statement of the release before.

    role: who sends it, the owner when empty. given: what stands in the database before it, sent by the owner.
    answer: `accepted`, or SQLSTATE and constraint. answer_before: the answer at the release itself, where it
    was another; then `announced` says why the break was meant. broken_by: a change of the schema after which it is
    answered otherwise, to be planted to see that this would be found: a statement that locks no table, or a function of
    `public`, a text of its definition and what stands there instead.
    """

    name: str
    role: str
    sql: str
    answer: str
    broken_by: str | tuple[str, str, str]
    given: tuple[str, ...] = ()
    answer_before: str = ""
    announced: str = ""

    @property
    def before(self) -> str:
        """The answer at the release that sent it."""
        return self.answer_before or self.answer


def read_statements(path: Path = STATEMENTS) -> tuple[OldStatement, ...]:
    """The statements, in the file's order.

    Raises:
        StatementsError: the file is missing, holds none, or one of them lacks a field or breaks without saying why.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["statements"]
        found = tuple(_statement(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StatementsError.unreadable(path.name, type(exc).__name__) from exc
    if not found or len({one.name for one in found}) != len(found):
        raise StatementsError.unreadable(path.name, "no statement, or two of one name")
    return found


def verify(database: Database, findings: Findings) -> None:
    """Send every statement and compare its answer."""
    # The release before knows of no agreement that came after it: a column made NOT NULL breaks what leaves it out.
    play(database.conn, findings, [probe_of(one) for one in read_statements()], as_agreed=True)
    findings.details.update(last_migration=database.files[-1].name, ok=not findings.failed())


def probe_of(one: OldStatement) -> Probe:
    """The question that the statement is, and the change that it must notice."""
    if isinstance(one.broken_by, str):
        name, plant = one.broken_by, said(one.broken_by.encode())
    else:
        function, _, instead = one.broken_by
        name, plant = f"public.{function}: {instead}", rewritten(one.broken_by)
    return Probe(one.name, partial(_send, one), (Control(name, plant, breaks=(one.name,)),))


def _send(one: OldStatement, stage: Stage) -> None:
    for sql in one.given:
        stage.run(sql.encode())
    stage.refused(one.name, one.answer, one.sql.encode(), role=one.role, where=f"schema/n_minus_one.yml, {one.name}")


def _statement(entry: dict[str, Any]) -> OldStatement:
    keys = set(entry)
    breaks = "answer_before" in keys
    if not keys >= _FIELDS or keys - _FIELDS - _OPTIONAL or breaks != bool(entry.get("break")):
        msg = "fields"
        raise ValueError(msg)
    return OldStatement(
        name=entry["name"],
        role=entry["role"],
        sql=entry["sql"],
        answer=entry["answer"],
        broken_by=_violation(entry["broken_by"]),
        given=tuple(entry.get("given", ())),
        answer_before=entry.get("answer_before", ""),
        announced=entry.get("break", ""),
    )


def _violation(given: Any) -> str | tuple[str, str, str]:
    if isinstance(given, str) and given:
        return given
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        msg = "broken_by"
        raise TypeError(msg)
    function, old, new = given
    return function, old, new
