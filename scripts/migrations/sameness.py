"""Whether an index that is there is the one that a statement builds.

Owns: that comparison, and its words for people: both definitions, with the tablespace where the statement names one.
Promises: an index that cannot be compared is neither the same nor another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.migrations.indexes import Found, Table, tablespace_of
from scripts.migrations.twin import wanted_shape

if TYPE_CHECKING:
    from scripts.migrations.work import Work
    from scripts.parser.statements import Statement

# A lock that was not to be had, a deadlock, a timeout: they say nothing about the statement.
_PASSING = frozenset({"55P03", "40P01", "57014"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """same: None when it cannot be told. wanted, found: the definitions, as the server writes them where it could."""

    same: bool | None
    wanted: str
    found: str


def wanted_of(work: Work, statement: Statement, table: Table) -> tuple[str, str]:
    """What the statement would build: (shape, definition); no shape, and its own text, when no twin can show it.

    Raises:
        psycopg.Error: the connection is lost, or the table could not be had in time.
    """
    import psycopg

    try:
        return wanted_shape(work.conn, statement.node, table, lock_timeout_ms=work.budgets.lock_timeout_ms)
    except psycopg.Error as exc:
        if work.conn.closed or work.conn.broken or exc.sqlstate in _PASSING:
            raise
        return "", statement.text


def compared(work: Work, statement: Statement, table: Table, found: Found) -> Comparison:
    """Hold an index against what the statement would build on the table.

    Raises:
        psycopg.Error: as `wanted_of`.
    """
    shape, wanted = wanted_of(work, statement, table)
    there, same = found.definition, found.table == table and found.shape == shape
    named = statement.node.table_space
    if named:
        place = tablespace_of(work.conn, found.oid)
        if shape:
            wanted = f"{wanted} TABLESPACE {named}"
        there, same = f"{there} TABLESPACE {place}", same and place == named
    if not shape and found.table == table:
        return Comparison(None, wanted, there)
    return Comparison(same, wanted, there)
